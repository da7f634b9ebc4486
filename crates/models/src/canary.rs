//! Built-in inputs whose vectors a collection keeps, so that a process that computes another space is found out.

use crate::encoder::{Embedding, LoadedModel, TextRole};
use crate::error::ModelError;
use sightline_core::vector::{VectorError, cosine};
use sightline_core::{Canary, CollectionDescription, VectorField};
use sightline_pictures::Picture;
use std::collections::BTreeMap;

// The inputs are part of every collection's description: a change of any of them needs a new name.
const TEXTS: [(&str, &str); 2] = [
    ("text:english/v1", "A red apple on a wooden table."),
    ("text:mixed/v1", "심장 비대 · cardiomégalie légère, 左下肺野 0.5 cm"),
];
/// Red, green and blue at a column and a row.
type Pixel = fn(u32, u32) -> [u8; 3];
const PICTURES: [(&str, Pixel); 2] = [("picture:slopes/v1", slopes), ("picture:rings/v1", rings)];
const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;

/// Why a model may not serve a collection.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// The canaries could not be computed.
    #[error("cannot compute the built-in canaries: {0}")]
    Model(#[from] ModelError),
    /// A canary has no vector.
    #[error(
        "the built-in canary {input} of field {field} has no vector ({source}): the model is damaged, copy it again"
    )]
    NoVector {
        /// The field.
        field: VectorField,
        /// The canary.
        input: String,
        /// Why.
        source: VectorError,
    },
    /// The collection's canary is none of those that this version knows.
    #[error(
        "collection {collection} keeps the canary {input} for field {field}, which this version does not know: use the version that made the collection, or a newer one"
    )]
    UnknownInput {
        /// The collection.
        collection: String,
        /// The field.
        field: VectorField,
        /// The canary.
        input: String,
    },
    /// The vectors differ.
    #[error("model {model} gives another vector than collection {collection} keeps for the canary {input} of field {field}: cosine {cosine:.4}, below {min}; use the model that made the collection, or another collection", min = Canary::MIN_COSINE)]
    OtherSpace {
        /// The collection.
        collection: String,
        /// The model.
        model: String,
        /// The field.
        field: VectorField,
        /// The canary.
        input: String,
        /// Cosine of the two vectors.
        cosine: f64,
    },
}

/// The vectors of the built-in inputs, for each field that the model fills.
///
/// # Errors
/// When the model cannot compute them.
pub fn canaries(model: &LoadedModel) -> Result<BTreeMap<VectorField, Vec<Canary>>, CanaryError> {
    let mut fields = BTreeMap::new();
    if let Some(preprocessor) = model.preprocessor() {
        let pictures: Vec<_> = PICTURES
            .iter()
            .filter_map(|(_, pixel)| generate(*pixel))
            .map(|picture| preprocessor.prepare(&picture))
            .collect();
        let names = PICTURES.map(|(name, _)| name);
        fields.insert(
            VectorField::Image,
            named(VectorField::Image, &names, model.encode_images(&pictures)?)?,
        );
    }
    if model.folder.text.is_some() {
        let texts = TEXTS.map(|(_, text)| text.to_owned());
        let names = TEXTS.map(|(name, _)| name);
        fields.insert(
            VectorField::Text,
            named(
                VectorField::Text,
                &names,
                model.encode_texts(&texts, TextRole::Document)?,
            )?,
        );
    }
    Ok(fields)
}

/// Proves that a model's own vectors lie where the collection's creator found them. Fields without canaries (imported
/// vectors) and fields that the model does not fill pass.
///
/// # Errors
/// When a vector lies elsewhere, or cannot be computed.
pub fn check(description: &CollectionDescription, model: &LoadedModel) -> Result<(), CanaryError> {
    let wanted = description.fields.values().any(|field| !field.canaries.is_empty());
    if !wanted {
        return Ok(());
    }
    let ours = canaries(model)?;
    for (field, described) in &description.fields {
        let Some(ours) = ours.get(field) else { continue };
        for theirs in &described.canaries {
            let collection = description.name.to_string();
            let Some(ours) = ours.iter().find(|canary| canary.input == theirs.input) else {
                return Err(CanaryError::UnknownInput {
                    collection,
                    field: *field,
                    input: theirs.input.clone(),
                });
            };
            let cosine = if ours.vector.len() == theirs.vector.len() {
                cosine(&ours.vector, &theirs.vector)
            } else {
                0.0
            };
            // Written so that NaN, which compares with nothing, is refused too.
            if cosine >= f64::from(Canary::MIN_COSINE) {
                continue;
            }
            return Err(CanaryError::OtherSpace {
                collection,
                model: model.folder.name.to_string(),
                field: *field,
                input: theirs.input.clone(),
                cosine,
            });
        }
    }
    Ok(())
}

fn named(field: VectorField, names: &[&str], vectors: Vec<Embedding>) -> Result<Vec<Canary>, CanaryError> {
    let canary = |(name, vector): (&&str, Embedding)| {
        let input = (*name).to_owned();
        match vector {
            Ok(vector) => Ok(Canary { input, vector }),
            Err(source) => Err(CanaryError::NoVector { field, input, source }),
        }
    };
    names.iter().zip(vectors).map(canary).collect()
}

fn generate(pixel: Pixel) -> Option<Picture> {
    let rgb = (0..HEIGHT)
        .flat_map(|y| (0..WIDTH).flat_map(move |x| pixel(x, y)))
        .collect();
    Picture::new(WIDTH, HEIGHT, rgb)
}

/// Three slopes of brightness in three directions.
fn slopes(x: u32, y: u32) -> [u8; 3] {
    [
        low_byte(x * 255 / (WIDTH - 1)),
        low_byte(y * 255 / (HEIGHT - 1)),
        low_byte((x + y) * 255 / (WIDTH + HEIGHT - 2)),
    ]
}

/// Coloured rings around the middle, with every spatial frequency between broad and fine.
fn rings(x: u32, y: u32) -> [u8; 3] {
    let (dx, dy) = (x.abs_diff(WIDTH / 2), y.abs_diff(HEIGHT / 2));
    let square = dx * dx + dy * dy;
    [
        low_byte(square / 16),
        low_byte(square / 32),
        255 - low_byte(square / 64),
    ]
}

fn low_byte(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests;
