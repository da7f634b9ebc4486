//! What is embedded: a folder's pictures, a file's lines, or a manifest's items, batch by batch.

use crate::error::CliError;
use sightline_core::plan::Range;
use sightline_core::run::Columns;
use sightline_core::{ManifestEntry, ManifestFormat, Outcome, Source as ItemSource};
use sightline_datasets::{is_picture, read_page};
use sightline_objects::{LocalStore, ObjectStore};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where inputs come from.
pub(super) enum Source<'a> {
    /// A folder of pictures, or one picture.
    Images(&'a Path),
    /// A file with a text a line.
    Texts(&'a Path),
    /// A manifest, and whether its pictures are meant.
    Items(&'a Path, bool),
}

/// One input.
pub(super) struct Input {
    /// What names its row.
    pub(super) key: String,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// A file.
    Picture(PathBuf),
    Text(String),
    /// Why there is nothing to embed.
    Failed(String),
}

/// Inputs in their order.
pub(super) enum Inputs {
    Files { all: VecDeque<Input>, total: u64 },
    Lines { lines: BufReader<File>, number: u64 },
    Items(Box<Items>),
}

pub(super) struct Items {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
    source: ItemSource,
    cursor: Option<String>,
    pictures: bool,
    ended: bool,
}

impl Inputs {
    pub(super) async fn open(source: Source<'_>, _pictures: bool) -> Result<Self, CliError> {
        match source {
            Source::Images(path) => {
                let mut found = Vec::new();
                walk(path, path, &mut found)?;
                if found.is_empty() {
                    let message = format!("there is no picture in {}: name a folder of pictures", path.display());
                    return Err(CliError::Usage(message));
                }
                found.sort_by(|a, b| a.key.cmp(&b.key));
                let total = found.len() as u64;
                Ok(Self::Files {
                    all: found.into(),
                    total,
                })
            }
            Source::Texts(path) => {
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                Ok(Self::Lines {
                    lines: BufReader::new(file),
                    number: 0,
                })
            }
            Source::Items(path, pictures) => Ok(Self::Items(Box::new(Items::open(path, pictures).await?))),
        }
    }

    /// How many there are, where that is known.
    pub(super) fn total(&self) -> Option<u64> {
        match self {
            Self::Files { total, .. } => Some(*total),
            Self::Lines { .. } | Self::Items(_) => None,
        }
    }

    /// At most `limit` more; none at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Option<Vec<Input>>, CliError> {
        let batch = match self {
            Self::Files { all, .. } => all.drain(..limit.min(all.len())).collect(),
            Self::Lines { lines, number } => read_lines(lines, number, limit)?,
            Self::Items(items) => return items.next(limit).await,
        };
        Ok(Some(batch).filter(|batch: &Vec<Input>| !batch.is_empty()))
    }
}

impl Items {
    async fn open(path: &Path, pictures: bool) -> Result<Self, CliError> {
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let format = match ending.as_deref() {
            Some("csv") => ManifestFormat::Csv,
            Some("jsonl" | "ndjson") => ManifestFormat::Jsonl,
            Some("parquet") => ManifestFormat::Parquet,
            _ => {
                let message = format!(
                    "cannot tell how {} is written: name a .csv, .jsonl or .parquet file",
                    path.display()
                );
                return Err(CliError::Usage(message));
            }
        };
        let whole = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        let root = whole.parent().unwrap_or(Path::new("/")).to_owned();
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let store = LocalStore::open(&root)
            .await
            .map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(Self {
            store: Arc::new(store),
            root,
            source: ItemSource::Manifest {
                path: name,
                format,
                columns: Columns::default(),
            },
            cursor: None,
            pictures,
            ended: false,
        })
    }

    async fn next(&mut self, limit: usize) -> Result<Option<Vec<Input>>, CliError> {
        while !self.ended {
            let page = read_page(
                Arc::clone(&self.store),
                &self.source,
                &Range::default(),
                self.cursor.as_deref(),
                limit,
            )
            .await
            .map_err(|error| CliError::Usage(error.to_string()))?;
            self.ended = page.next.is_none();
            self.cursor = page.next;
            if !page.entries.is_empty() {
                return Ok(Some(page.entries.into_iter().map(|entry| self.input(entry)).collect()));
            }
        }
        Ok(None)
    }

    fn input(&self, entry: ManifestEntry) -> Input {
        let key = entry.key().to_string();
        let content = match entry {
            ManifestEntry::Ended(ended) => Content::Failed(match ended.outcome {
                Outcome::Failed { message, .. } | Outcome::Skipped { message, .. } => message,
                Outcome::Indexed { .. } | Outcome::Unchanged { .. } => "it was ended before".to_owned(),
            }),
            ManifestEntry::Item(item) if self.pictures => match item.image {
                Some(object) => Content::Picture(self.root.join(object.key)),
                None => Content::Failed("the item has no picture".to_owned()),
            },
            ManifestEntry::Item(item) => match item.text {
                Some(text) => Content::Text(text),
                None => Content::Failed("the item has no text".to_owned()),
            },
        };
        Input { key, content }
    }
}

/// Every picture in a folder and below; keys are paths below the folder.
fn walk(root: &Path, path: &Path, found: &mut Vec<Input>) -> Result<(), CliError> {
    let kind = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if kind.is_file() {
        let below = path
            .strip_prefix(root)
            .ok()
            .filter(|below| !below.as_os_str().is_empty());
        let key = below.unwrap_or(path).to_string_lossy().into_owned();
        if below.is_none() || is_picture(&key) {
            found.push(Input {
                key,
                content: Content::Picture(path.to_owned()),
            });
        }
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let entry = entry.map_err(|error| unreadable(path, &error))?;
        // A link to a folder could lead in a circle.
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if !(is_link && entry.path().is_dir()) {
            walk(root, &entry.path(), found)?;
        }
    }
    Ok(())
}

fn read_lines(lines: &mut BufReader<File>, number: &mut u64, limit: usize) -> Result<Vec<Input>, CliError> {
    let mut batch = Vec::with_capacity(limit);
    while batch.len() < limit {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        *number += 1;
        let ends = line
            .iter()
            .rev()
            .take_while(|byte| matches!(byte, b'\n' | b'\r'))
            .count();
        line.truncate(line.len() - ends);
        let content = match String::from_utf8(line) {
            Ok(text) => Content::Text(text),
            Err(_) => Content::Failed("the line is not UTF-8".to_owned()),
        };
        batch.push(Input {
            key: number.to_string(),
            content,
        });
    }
    Ok(batch)
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Usage(format!("cannot read {}: {error}", path.display()))
}
