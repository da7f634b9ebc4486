//! `sightline.v1.Embedding` over any encoder.

use crate::check::{self, MAX_IMAGES, MAX_TEXTS};
use crate::encoder::{Encoded, Encoder, ModelDescription};
use crate::wire::{ANY_MODEL, resource_name, to_message};
use sightline_core::VectorField;
use sightline_models::TextRole;
use sightline_proto::v1;
use sightline_proto::v1::embedding_server::{Embedding, EmbeddingServer};
use sightline_service::ServiceError;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// `sightline.v1.Embedding`.
#[derive(Debug)]
pub struct EmbeddingService {
    encoder: Option<Arc<dyn Encoder>>,
    max_image_bytes: usize,
}

impl EmbeddingService {
    /// Serves an encoder; without one, every call is refused. Pictures' files have at most `max_image_bytes`.
    #[must_use]
    pub fn new(encoder: Option<Arc<dyn Encoder>>, max_image_bytes: usize) -> Self {
        Self {
            encoder,
            max_image_bytes,
        }
    }

    /// The gRPC service, with messages of at most so many bytes.
    #[must_use]
    pub fn into_server(self, max_message_bytes: usize) -> EmbeddingServer<Self> {
        EmbeddingServer::new(self)
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
    }

    /// The encoder, where it serves the model that is asked for.
    fn encoder(&self, model: &str) -> Result<(&dyn Encoder, Arc<ModelDescription>), ServiceError> {
        let encoder = self.encoder.as_deref().ok_or_else(|| {
            let message = "this server has no model: ask one that does, or start it with a model";
            ServiceError::failed_precondition("NO_MODEL", message)
        })?;
        let described = encoder.description();
        let ours = described.model.as_str();
        if !model.is_empty() && model != ours {
            let asked: String = model.chars().take(255).collect();
            let message = format!(
                "this server has model {ours}, not {asked}: leave the model empty, or ask a server that has it"
            );
            return Err(ServiceError::failed_precondition("MODEL_NOT_SERVED", message));
        }
        Ok((encoder, described))
    }
}

/// Wrong fields, gathered, so that a caller mends them once.
#[derive(Debug, Default)]
struct Wrong(Option<ServiceError>);

impl Wrong {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0 = Some(match self.0.take() {
            None => ServiceError::invalid_argument(field, message),
            Some(error) => error.and_field(field, message),
        });
    }

    fn check(self) -> Result<(), ServiceError> {
        self.0.map_or(Ok(()), Err)
    }
}

fn check_inputs<T>(name: &str, inputs: &[T], most: usize, check: impl Fn(&T) -> Result<(), String>) -> Wrong {
    let mut wrong = Wrong::default();
    if !(1..=most).contains(&inputs.len()) {
        wrong.add(name, format!("has {} inputs: give 1 to {most}", inputs.len()));
    }
    for (position, input) in inputs.iter().take(most).enumerate() {
        if let Err(message) = check(input) {
            wrong.add(format!("{name}[{position}]"), message);
        }
    }
    wrong
}

fn respond(
    name: &str,
    field: VectorField,
    described: &ModelDescription,
    encoded: Vec<Encoded>,
) -> Result<Response<v1::EmbedResponse>, Status> {
    let mut wrong = Wrong::default();
    let mut embeddings = Vec::with_capacity(encoded.len());
    for (position, vector) in encoded.into_iter().enumerate() {
        match vector {
            Ok(values) => embeddings.push(v1::Vector { values }),
            Err(error) => wrong.add(format!("{name}[{position}]"), error.to_string()),
        }
    }
    wrong.check()?;
    let fingerprint = described.fields.get(&field).map(|side| side.fingerprint.to_string());
    Ok(Response::new(v1::EmbedResponse {
        embeddings,
        model: described.model.to_string(),
        fingerprint: fingerprint.unwrap_or_default(),
    }))
}

fn role(value: i32) -> Result<TextRole, ServiceError> {
    match v1::TextRole::try_from(value) {
        Ok(v1::TextRole::Unspecified | v1::TextRole::Query) => Ok(TextRole::Query),
        Ok(v1::TextRole::Document) => Ok(TextRole::Document),
        Err(_) => Err(ServiceError::invalid_argument(
            "role",
            format!("is {value}, which is none: give TEXT_ROLE_QUERY or TEXT_ROLE_DOCUMENT"),
        )),
    }
}

#[tonic::async_trait]
impl Embedding for EmbeddingService {
    async fn embed_images(
        &self,
        request: Request<v1::EmbedImagesRequest>,
    ) -> Result<Response<v1::EmbedResponse>, Status> {
        let request = request.into_inner();
        let limit = self.max_image_bytes;
        check_inputs("images", &request.images, MAX_IMAGES, |file| check::image(file, limit)).check()?;
        let (encoder, described) = self.encoder(&request.model)?;
        let images = request.images.into_iter().map(Into::into).collect();
        let encoded = encoder.encode_images(&described, images).await;
        respond(
            "images",
            VectorField::Image,
            &described,
            encoded.map_err(ServiceError::from)?,
        )
    }

    async fn embed_texts(
        &self,
        request: Request<v1::EmbedTextsRequest>,
    ) -> Result<Response<v1::EmbedResponse>, Status> {
        let request = request.into_inner();
        check_inputs("texts", &request.texts, MAX_TEXTS, |text| check::text(text)).check()?;
        let role = role(request.role)?;
        let (encoder, described) = self.encoder(&request.model)?;
        let encoded = encoder.encode_texts(&described, request.texts, role).await;
        respond(
            "texts",
            VectorField::Text,
            &described,
            encoded.map_err(ServiceError::from)?,
        )
    }

    async fn get_model(&self, request: Request<v1::GetModelRequest>) -> Result<Response<v1::Model>, Status> {
        let name = request.into_inner().name;
        let (_, described) = self.encoder("")?;
        if name != ANY_MODEL && name != resource_name(&described.model) {
            let name: String = name.chars().take(255).collect();
            return Err(ServiceError::not_found("model", name).into());
        }
        Ok(Response::new(to_message(&described)))
    }
}
