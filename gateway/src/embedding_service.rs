//! `sightline.v1.Embedding`.

use crate::encoder::{Encoder, EncoderInput};
use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::query::request::{check_image, check_text};
use crate::query::violations::Violations;
use sightline_core::VectorField;
use sightline_proto::v1;
use sightline_proto::v1::embedding_server::Embedding;
use std::sync::Arc;
use tonic::{Request, Response, Status};

const MAX_IMAGES: usize = 256;
const MAX_TEXTS: usize = 1024;

#[derive(Debug)]
pub(crate) struct EmbeddingService {
    shared: Arc<Shared>,
}

impl EmbeddingService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn encoder(&self, model: &str) -> Result<&Encoder, GatewayError> {
        let encoder = self.shared.encoder.as_ref().ok_or(GatewayError::NoModel)?;
        let ours = encoder.model().model().as_str();
        if !model.is_empty() && model != ours {
            return Err(GatewayError::OtherModel {
                asked: model.chars().take(255).collect(),
                ours: ours.to_owned(),
            });
        }
        Ok(encoder)
    }

    async fn embed(
        &self,
        model: &str,
        field: VectorField,
        inputs: Vec<(String, EncoderInput)>,
    ) -> Result<v1::EmbedResponse, GatewayError> {
        let encoder = self.encoder(model)?;
        let Some(side) = encoder.model().fields().get(&field) else {
            return Err(GatewayError::CannotEncode {
                model: encoder.model().model().to_string(),
                input: if field == VectorField::Image { "picture" } else { "text" },
                field,
                reason: "it has no such side; ask a gateway whose model has",
            });
        };
        let fingerprint = side.fingerprint.to_string();
        let vectors = encoder.encode(inputs).await?;
        Ok(v1::EmbedResponse {
            embeddings: vectors.into_iter().map(|values| v1::Vector { values }).collect(),
            model: encoder.model().model().to_string(),
            fingerprint,
        })
    }
}

fn check_count(field: &str, count: usize, limit: usize, violations: &mut Violations) {
    if !(1..=limit).contains(&count) {
        violations.add(field, format!("has {count} inputs: give 1 to {limit}"));
    }
}

#[tonic::async_trait]
impl Embedding for EmbeddingService {
    async fn embed_images(
        &self,
        request: Request<v1::EmbedImagesRequest>,
    ) -> Result<Response<v1::EmbedResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        check_count("images", request.images.len(), MAX_IMAGES, &mut violations);
        let mut inputs = Vec::new();
        for (position, bytes) in request.images.into_iter().take(MAX_IMAGES).enumerate() {
            let place = format!("images[{position}]");
            if check_image(&place, &bytes, self.shared.limits.max_image_bytes, &mut violations) {
                inputs.push((place, EncoderInput::Image(bytes.into())));
            }
        }
        violations.check()?;
        Ok(Response::new(
            self.embed(&request.model, VectorField::Image, inputs).await?,
        ))
    }

    async fn embed_texts(
        &self,
        request: Request<v1::EmbedTextsRequest>,
    ) -> Result<Response<v1::EmbedResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        check_count("texts", request.texts.len(), MAX_TEXTS, &mut violations);
        let mut inputs = Vec::new();
        for (position, text) in request.texts.into_iter().take(MAX_TEXTS).enumerate() {
            let place = format!("texts[{position}]");
            if check_text(&place, &text, &mut violations) {
                inputs.push((place, EncoderInput::Text(text)));
            }
        }
        violations.check()?;
        Ok(Response::new(
            self.embed(&request.model, VectorField::Text, inputs).await?,
        ))
    }
}
