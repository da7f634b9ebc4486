//! The vectors' file, the keys of its rows, and what failed.

use crate::error::CliError;
use serde_json::json;
use sightline_npy::{NpyError, NpyWriter};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Three files that grow together. The vectors' file is written beside its place and put there at the end, so that a
/// file of that name is always whole.
pub(super) struct Output {
    path: PathBuf,
    partial: PathBuf,
    vectors: NpyWriter<BufWriter<File>, f32>,
    keys: BufWriter<File>,
    errors: Option<BufWriter<File>>,
    rows: u64,
    failed: u64,
}

/// Where the keys of the rows are: one a line, in the order of rows.
pub(super) fn keys_file(out: &Path) -> PathBuf {
    out.with_extension("keys.txt")
}

/// Where what failed is: a JSON object a line.
pub(super) fn errors_file(out: &Path) -> PathBuf {
    out.with_extension("errors.jsonl")
}

impl Output {
    pub(super) fn create(path: &Path, dimension: u32) -> Result<Self, CliError> {
        let partial = path.with_extension("npy.partial");
        let vectors = NpyWriter::new(BufWriter::new(create(&partial)?), &[dimension as usize]).map_err(failed)?;
        let errors = errors_file(path);
        if errors.exists() {
            fs::remove_file(&errors)?;
        }
        Ok(Self {
            vectors,
            keys: BufWriter::new(create(&keys_file(path))?),
            errors: None,
            rows: 0,
            failed: 0,
            partial,
            path: path.to_owned(),
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// A row, or why there is none.
    pub(super) fn write(&mut self, key: &str, outcome: Result<Vec<f32>, String>) -> Result<(), CliError> {
        match outcome {
            Ok(vector) => {
                self.vectors.push(&vector).map_err(failed)?;
                // One key is one line, whatever is in it.
                writeln!(
                    self.keys,
                    "{}",
                    key.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
                )?;
                self.rows += 1;
            }
            Err(reason) => {
                let errors = match &mut self.errors {
                    Some(errors) => errors,
                    None => self.errors.insert(BufWriter::new(create(&errors_file(&self.path))?)),
                };
                writeln!(errors, "{}", json!({"key": key, "message": reason}))?;
                self.failed += 1;
            }
        }
        Ok(())
    }

    /// Closes the files; gives the numbers of rows and of failures.
    pub(super) fn finish(mut self) -> Result<(u64, u64), CliError> {
        self.keys.flush()?;
        if let Some(errors) = &mut self.errors {
            errors.flush()?;
        }
        self.vectors.finish().map_err(failed)?.flush()?;
        fs::rename(&self.partial, &self.path)?;
        Ok((self.rows, self.failed))
    }
}

fn create(path: &Path) -> Result<File, CliError> {
    File::create(path).map_err(|error| CliError::Usage(format!("cannot write {}: {error}", path.display())))
}

fn failed(error: NpyError) -> CliError {
    CliError::Failed(error.to_string())
}
