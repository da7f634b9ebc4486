//! Where results and progress are written.

use crate::error::CliError;
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// Standard output for results, standard error for progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    json: bool,
    bar: bool,
}

impl Console {
    /// The process's own console.
    pub(crate) fn of_process(json: bool) -> Self {
        Self {
            json,
            bar: io::stderr().is_terminal() && !json,
        }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches, so that progress is a bar.
    pub(crate) fn has_bar(&self) -> bool {
        self.bar
    }

    /// Columns that a table may take.
    pub(crate) fn width(&self) -> Option<u16> {
        // Into a pipe nothing is cut: what reads it has its own idea of width.
        io::stdout()
            .is_terminal()
            .then(|| comfy_table::Table::new().width())
            .flatten()
    }

    /// Writes result text, with a line's end.
    pub(crate) fn say(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Writes a result for programs: one line.
    pub(crate) fn json(&self, value: &Value) -> Result<(), CliError> {
        self.say(&value.to_string())
    }

    /// Writes a line of progress; nothing where programs read.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            warn(text);
        }
    }
}

/// Writes a line to standard error. Where it is closed there is nobody left to tell.
pub(crate) fn warn(text: &str) {
    let _told = writeln!(io::stderr(), "{text}");
}
