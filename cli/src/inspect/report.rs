//! What was found of one picture.

use serde_json::{Value, json};
use sightline_pictures::{Content, Facts, Picture, Preprocessor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why a picture cannot be shown.
#[derive(Debug)]
pub(super) struct Problem {
    /// One word of a fixed list, or `unreadable`.
    pub(super) reason: String,
    /// What is wrong, and what to do.
    pub(super) message: String,
}

/// A picture that was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) facts: Facts,
    pub(super) picture: Picture,
    /// What a DICOM says of itself, as it becomes attributes.
    pub(super) tags: BTreeMap<String, Value>,
    /// The network's input: its shape, and the numbers.
    pub(super) pixels: Option<([usize; 3], Vec<f32>)>,
    /// What is done to it, in order.
    pub(super) steps: Vec<String>,
}

/// One picture.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) image: PathBuf,
    pub(super) found: Result<Found, Problem>,
    /// What was written of it.
    pub(super) files: Vec<PathBuf>,
}

impl Report {
    pub(super) fn new(image: &Path, found: Result<Content, Problem>, preprocessor: Option<&Preprocessor>) -> Self {
        let prepared = |content: Content| {
            let Content { facts, picture, tags } = content;
            let mut steps: Vec<String> = facts.steps.iter().map(|step| (*step).to_owned()).collect();
            let pixels = match preprocessor {
                Some(preprocessor) => {
                    steps.extend(preprocessor.steps(&picture));
                    Some(pixels(preprocessor, &picture)?)
                }
                None => None,
            };
            Ok(Found {
                facts,
                picture,
                tags,
                pixels,
                steps,
            })
        };
        Self {
            image: image.to_owned(),
            found: found.and_then(prepared),
            files: Vec::new(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let image = self.image.to_string_lossy();
        let files: Vec<_> = self.files.iter().map(|file| file.to_string_lossy()).collect();
        match &self.found {
            Ok(found) => json!({
                "image": image,
                "format": found.facts.format.to_string(),
                "width": found.facts.width,
                "height": found.facts.height,
                "mode": found.facts.mode,
                "orientation": found.facts.orientation,
                "steps": found.steps,
                "tags": found.tags,
                "decoded": {"width": found.picture.width(), "height": found.picture.height()},
                "pixels": found.pixels.as_ref().map(|(shape, _)| shape),
                "files": files,
            }),
            Err(problem) => json!({
                "image": image,
                "error": problem.message,
                "reason": problem.reason,
                "files": files,
            }),
        }
    }

    /// Lines for a person; `None` where nothing was found.
    pub(super) fn to_text(&self) -> Option<String> {
        let found = self.found.as_ref().ok()?;
        let facts = &found.facts;
        let mut lines = vec![format!(
            "{}: {}, {} x {}, {}, orientation {}",
            self.image.display(),
            facts.format,
            facts.width,
            facts.height,
            facts.mode,
            facts.orientation
        )];
        lines.extend(found.steps.iter().map(|step| format!("  {step}")));
        lines.extend(found.tags.iter().map(|(name, value)| format!("  {name} = {value}")));
        lines.extend(self.files.iter().map(|file| format!("  -> {}", file.display())));
        Some(lines.join("\n"))
    }
}

fn pixels(preprocessor: &Preprocessor, picture: &Picture) -> Result<([usize; 3], Vec<f32>), Problem> {
    let mut values = vec![0.0; preprocessor.values()];
    let written = preprocessor.write(&preprocessor.prepare(picture), &mut values);
    written.map_err(|error| Problem {
        reason: "preprocessing".to_owned(),
        message: error.to_string(),
    })?;
    let [height, width] = preprocessor.size();
    Ok(([3, height as usize, width as usize], values))
}
