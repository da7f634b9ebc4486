//! The lines of a TOML file's keys.

use super::problems::ConfigError;
use std::collections::BTreeMap;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// A TOML file that was read.
#[derive(Debug)]
pub(super) struct File {
    /// What it says.
    pub(super) table: toml::Table,
    /// The line, from 1, of every key at every level.
    pub(super) lines: BTreeMap<String, usize>,
}

/// Reads TOML. The error does not repeat the line, which may hold a password.
pub(super) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    let failed = |error: toml::de::Error| {
        let place = error
            .span()
            .map_or(String::new(), |span| format!("line {}: ", line_of(text, span.start)));
        ConfigError::File {
            path: path.to_owned(),
            reason: format!("{place}{}", error.message()),
        }
    };
    let table: toml::Table = toml::from_str(text).map_err(failed)?;
    let spanned = DeTable::parse(text).map_err(failed)?;
    let mut lines = BTreeMap::new();
    note_lines(text, "", spanned.get_ref(), &mut lines);
    Ok(File { table, lines })
}

fn note_lines(text: &str, prefix: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            note_lines(text, &format!("{key}."), inner, lines);
        }
        lines.insert(key, line_of(text, name.span().start));
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
}
