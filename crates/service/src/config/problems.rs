//! Mistakes in a configuration, gathered.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The type's default: nobody gave a value.
    Default,
    /// A line of the file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the key.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    Flag {
        /// As a person wrote it: `--set queue.url`, `--listen`.
        flag: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("not given"),
            Self::File { path, line } => write!(formatter, "{}, line {line}", path.display()),
            Self::Environment { variable } => write!(formatter, "environment, {variable}"),
            Self::Flag { flag } => write!(formatter, "command line, {flag}"),
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, `queue.url`.
    pub key: String,
    /// Where the value, or the unknown key, stands.
    pub origin: Origin,
    /// What is wrong, and what to do.
    pub message: String,
}

/// A configuration that cannot be used, with every mistake that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or is no TOML.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why, with the line where that is known.
        reason: String,
    },
    /// The file was read, and its keys, the environment's or the command line's are wrong.
    #[error("{}", listing(.0))]
    Problems(Vec<Problem>),
}

fn listing(problems: &[Problem]) -> String {
    let count = problems.len();
    let mut text = format!(
        "the configuration has {count} mistake{}:",
        if count == 1 { "" } else { "s" }
    );
    for Problem { key, origin, message } in problems {
        text.push_str(&format!("\n  {key} ({origin}): {message}"));
    }
    text
}

/// A list of mistakes in the making.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    origins: BTreeMap<String, Origin>,
    prefix: String,
}

impl Problems {
    pub(super) fn new(origins: BTreeMap<String, Origin>) -> Self {
        Self {
            origins,
            ..Self::default()
        }
    }

    /// Notes a mistake of `key`, which is relative to the block that is being checked.
    pub fn note(&mut self, key: &str, message: impl Into<String>) {
        let key = format!("{}{key}", self.prefix);
        let origin = self.origins.get(&key).cloned().unwrap_or(Origin::Default);
        self.found.push(Problem {
            key,
            origin,
            message: message.into(),
        });
    }

    /// Checks a block whose keys begin with `block` and a dot.
    pub fn within(&mut self, block: &str, check: impl FnOnce(&mut Self)) {
        let outer = self.prefix.len();
        self.prefix.push_str(block);
        self.prefix.push('.');
        check(self);
        self.prefix.truncate(outer);
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.found.iter().any(|problem| problem.key == key)
    }

    /// The mistakes so far.
    #[must_use]
    pub fn into_vec(self) -> Vec<Problem> {
        self.found
    }
}
