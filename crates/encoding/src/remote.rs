//! The encoder in another process, through its `Embedding` service.

use crate::encoder::{Encoded, Encoder, InputError, ModelDescription};
use crate::error::EncodeError;
use crate::retry;
use crate::wire::{ANY_MODEL, from_message};
use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::VectorField;
use sightline_models::TextRole;
use sightline_proto::v1;
use sightline_proto::v1::embedding_client::EmbeddingClient;
use sightline_service::explain;
use sightline_service::grpc::{ClientOptions, ConnectError, TracedChannel, connect};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

/// When an encoder that is away may be back, where nobody says.
const AWAY_RETRY: Duration = Duration::from_secs(2);

/// Where an encoder is, and how it is reached.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Its URL.
    pub url: String,
    /// Connections.
    pub client: ClientOptions,
    /// The longest time for one call, all its attempts together.
    pub timeout: Duration,
    /// Largest message in bytes.
    pub max_message_bytes: usize,
}

/// An encoder behind a URL. The connection is made again by itself when it is lost.
#[derive(Debug)]
pub struct RemoteEncoder {
    options: RemoteOptions,
    client: EmbeddingClient<TracedChannel>,
    described: RwLock<Arc<ModelDescription>>,
}

impl RemoteEncoder {
    /// Connects, and asks which model is served.
    ///
    /// # Errors
    /// When the URL is none, or nobody answers there ([`EncodeError::is_retryable`]), or no model is served.
    pub async fn connect(options: RemoteOptions) -> Result<Self, EncodeError> {
        let connected = connect("encoder", &options.url, &options.client).await;
        let channel = connected.map_err(|error| unreachable_at(&options.url, &error))?;
        let client = EmbeddingClient::new(channel)
            .max_decoding_message_size(options.max_message_bytes)
            .max_encoding_message_size(options.max_message_bytes);
        let described = ask(&client, &options).await?;
        Ok(Self {
            described: RwLock::new(Arc::new(described)),
            options,
            client,
        })
    }

    fn failure(&self, status: &Status) -> EncodeError {
        failure(&self.options.url, status)
    }

    /// Makes the call until it is answered or its time is over.
    async fn call<F, R>(&self, make: R) -> Result<v1::EmbedResponse, Status>
    where
        R: Fn(EmbeddingClient<TracedChannel>, Duration) -> F,
        F: Future<Output = Result<Response<v1::EmbedResponse>, Status>>,
    {
        let until = Instant::now() + self.options.timeout;
        let answer = retry::until(until, rand::random::<f64>, |left| make(self.client.clone(), left)).await;
        answer.map(Response::into_inner)
    }

    /// Embeds inputs by calls of `make`. Inputs that the server names as bad are left out of the next call, so that each
    /// has an answer of its own.
    async fn encode<T, F, R>(
        &self,
        field: VectorField,
        described: &ModelDescription,
        inputs: Vec<T>,
        make: R,
    ) -> Result<Vec<Encoded>, EncodeError>
    where
        T: Clone,
        R: Fn(EmbeddingClient<TracedChannel>, Vec<T>, Duration) -> F,
        F: Future<Output = Result<Response<v1::EmbedResponse>, Status>>,
    {
        let side = described.fields.get(&field).ok_or_else(|| EncodeError::NoSide {
            model: described.model.to_string(),
            field,
        })?;
        let mut bad: BTreeMap<usize, InputError> = BTreeMap::new();
        loop {
            let good: Vec<usize> = (0..inputs.len())
                .filter(|position| !bad.contains_key(position))
                .collect();
            let mut vectors = Vec::new();
            if !good.is_empty() {
                let given: Vec<T> = good
                    .iter()
                    .filter_map(|position| inputs.get(*position).cloned())
                    .collect();
                let answer = match self.call(|client, left| make(client, given.clone(), left)).await {
                    Ok(answer) => answer,
                    Err(status) => {
                        let named = named_inputs(&status);
                        if named.is_empty() || named.keys().any(|position| *position >= good.len()) {
                            return Err(self.failure(&status));
                        }
                        bad.extend(
                            named
                                .into_iter()
                                .filter_map(|(at, why)| good.get(at).map(|at| (*at, why))),
                        );
                        continue;
                    }
                };
                if answer.fingerprint != side.fingerprint.as_str() {
                    return Err(self.changed().await);
                }
                vectors = self.checked(answer, good.len(), side.space.dimension)?;
            }
            let mut vectors = vectors.into_iter();
            let encoded = (0..inputs.len()).map(|position| match bad.remove(&position) {
                Some(error) => Some(Err(error)),
                None => vectors.next().map(Ok),
            });
            let encoded: Option<Vec<Encoded>> = encoded.collect();
            return encoded.ok_or_else(|| self.refused("it gave fewer vectors than inputs".into()));
        }
    }

    fn checked(&self, answer: v1::EmbedResponse, count: usize, dimension: u32) -> Result<Vec<Vec<f32>>, EncodeError> {
        let vectors: Vec<Vec<f32>> = answer.embeddings.into_iter().map(|vector| vector.values).collect();
        if vectors.len() != count {
            return Err(self.refused(format!("it gave {} vectors for {count} inputs", vectors.len())));
        }
        match vectors
            .iter()
            .find(|vector| u32::try_from(vector.len()) != Ok(dimension))
        {
            None => Ok(vectors),
            Some(vector) => Err(self.refused(format!("it gave a vector of {} values, not {dimension}", vector.len()))),
        }
    }

    fn refused(&self, reason: String) -> EncodeError {
        EncodeError::Refused {
            url: self.options.url.clone(),
            reason,
        }
    }

    /// Learns what is served now.
    async fn changed(&self) -> EncodeError {
        match ask(&self.client, &self.options).await {
            Err(error) => error,
            Ok(now) => {
                let name = now.model.to_string();
                tracing::warn!(
                    url = self.options.url,
                    model = name,
                    "the encoder serves another model now"
                );
                *self.described.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
                EncodeError::Changed {
                    url: self.options.url.clone(),
                    now: name,
                }
            }
        }
    }
}

/// Which model is served.
async fn ask(
    client: &EmbeddingClient<TracedChannel>,
    options: &RemoteOptions,
) -> Result<ModelDescription, EncodeError> {
    let until = Instant::now() + options.timeout;
    let answer = retry::until(until, rand::random::<f64>, |left| {
        let mut client = client.clone();
        async move {
            let name = ANY_MODEL.to_owned();
            client.get_model(within(left, v1::GetModelRequest { name })).await
        }
    });
    let answer = answer.await.map_err(|status| failure(&options.url, &status))?;
    from_message(answer.into_inner()).map_err(|error| EncodeError::Refused {
        url: options.url.clone(),
        reason: error.to_string(),
    })
}

fn within<T>(left: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(left);
    request
}

fn unreachable_at(url: &str, error: &ConnectError) -> EncodeError {
    let (url, reason) = (url.to_owned(), error.to_string());
    if error.is_retryable() {
        EncodeError::Away {
            url,
            reason,
            retry_after: AWAY_RETRY,
        }
    } else {
        EncodeError::Refused { url, reason }
    }
}

fn failure(url: &str, status: &Status) -> EncodeError {
    let retry_after = retry::said_delay(status).unwrap_or(AWAY_RETRY);
    let reason = explain(status);
    match status.code() {
        Code::ResourceExhausted => EncodeError::Busy {
            what: format!("at {url}"),
            retry_after,
        },
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => EncodeError::Away {
            url: url.to_owned(),
            reason,
            retry_after,
        },
        Code::Internal => EncodeError::Model(format!("at {url}: {reason}")),
        _ => EncodeError::Refused {
            url: url.to_owned(),
            reason,
        },
    }
}

/// The inputs that a refusal names, by their positions: `images[3]`, `texts[0]`.
fn named_inputs(status: &Status) -> BTreeMap<usize, InputError> {
    let violations = status.get_details_bad_request().map(|details| details.field_violations);
    let named = violations.unwrap_or_default().into_iter().filter_map(|violation| {
        let (name, rest) = violation.field.split_once('[')?;
        let position = rest.strip_suffix(']')?.parse().ok()?;
        matches!(name, "images" | "texts").then_some((position, InputError(violation.description)))
    });
    named.collect()
}

#[async_trait]
impl Encoder for RemoteEncoder {
    fn description(&self) -> Arc<ModelDescription> {
        Arc::clone(&self.described.read().unwrap_or_else(PoisonError::into_inner))
    }

    #[tracing::instrument(skip_all, fields(inputs = images.len(), server.address = self.options.url))]
    async fn encode_images(
        &self,
        described: &ModelDescription,
        images: Vec<Bytes>,
    ) -> Result<Vec<Encoded>, EncodeError> {
        self.encode(
            VectorField::Image,
            described,
            images,
            |mut client, images, left| async move {
                let images = images.iter().map(|file| file.to_vec()).collect();
                let model = String::new();
                client
                    .embed_images(within(left, v1::EmbedImagesRequest { model, images }))
                    .await
            },
        )
        .await
    }

    #[tracing::instrument(skip_all, fields(inputs = texts.len(), server.address = self.options.url))]
    async fn encode_texts(
        &self,
        described: &ModelDescription,
        texts: Vec<String>,
        role: TextRole,
    ) -> Result<Vec<Encoded>, EncodeError> {
        let role = match role {
            TextRole::Query => v1::TextRole::Query,
            TextRole::Document => v1::TextRole::Document,
        };
        self.encode(
            VectorField::Text,
            described,
            texts,
            |mut client, texts, left| async move {
                let (model, role) = (String::new(), role.into());
                client
                    .embed_texts(within(left, v1::EmbedTextsRequest { model, texts, role }))
                    .await
            },
        )
        .await
    }
}
