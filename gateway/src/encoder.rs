//! A call's inputs through the encoder, wherever that runs.

use crate::error::GatewayError;
use crate::query::violations::Violations;
use bytes::Bytes;
use sightline_encoding::{EncodeError, Encoded, Encoder, ModelDescription};
use sightline_models::TextRole;

/// One input.
#[derive(Debug, Clone)]
pub(crate) enum EncoderInput {
    Image(Bytes),
    Text(String),
}

impl EncoderInput {
    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "picture",
            Self::Text(_) => "text",
        }
    }
}

/// Encodes the inputs of one query, in order, as what is looked for. An input's own failure is a violation at its place.
pub(crate) async fn encode(
    encoder: &dyn Encoder,
    described: &ModelDescription,
    inputs: Vec<(String, EncoderInput)>,
) -> Result<Vec<Vec<f32>>, GatewayError> {
    let mut places = Vec::with_capacity(inputs.len());
    let (mut images, mut texts) = (Vec::new(), Vec::new());
    for (place, input) in inputs {
        match input {
            EncoderInput::Image(file) => {
                places.push((place, true));
                images.push(file);
            }
            EncoderInput::Text(text) => {
                places.push((place, false));
                texts.push(text);
            }
        }
    }
    let pictures = async {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        encoder.encode_images(described, images).await
    };
    let words = async {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        encoder.encode_texts(described, texts, TextRole::Query).await
    };
    let (images, texts) = tokio::try_join!(pictures, words).map_err(GatewayError::Encode)?;
    in_order(places, images, texts)
}

fn in_order(
    places: Vec<(String, bool)>,
    images: Vec<Encoded>,
    texts: Vec<Encoded>,
) -> Result<Vec<Vec<f32>>, GatewayError> {
    let (mut images, mut texts) = (images.into_iter(), texts.into_iter());
    let mut violations = Violations::default();
    let mut vectors = Vec::with_capacity(places.len());
    for (place, is_image) in places {
        let encoded = if is_image { images.next() } else { texts.next() };
        let missing = || GatewayError::Encode(EncodeError::Model("it gave fewer vectors than inputs".into()));
        if let Some(mut vector) = violations.take(&place, encoded.ok_or_else(missing)?) {
            sightline_core::vector::normalize(&mut vector)
                .map_err(|error| GatewayError::Encode(EncodeError::Model(error.to_string())))?;
            vectors.push(vector);
        }
    }
    violations.check()?;
    Ok(vectors)
}
