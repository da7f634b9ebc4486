//! From legs to vectors: encodes pictures and texts, reads items, checks vectors, and folds them by field.

use super::fold::{EncodedLeg, fold};
use super::request::{Input, Leg, LegField};
use super::violations::Violations;
use crate::encoder::{EncoderInput, encode};
use crate::error::GatewayError;
use crate::known_vectors::KnownVectors;
use crate::metrics::GatewayMetrics;
use crate::retrieval::{FieldQuery, vector_of};
use crate::spaces::check_space;
use crate::texts::KnownTexts;
use sightline_core::vector::normalize;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId, VectorField};
use sightline_encoding::{Encoder, ModelDescription};
use sightline_index::{Projection, VectorIndex};
use tracing::Instrument;

/// What legs are resolved against.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    pub(crate) index: &'a dyn VectorIndex,
    pub(crate) encoder: Option<&'a dyn Encoder>,
    pub(crate) description: &'a CollectionDescription,
    pub(crate) known_texts: &'a KnownTexts,
    pub(crate) known_vectors: &'a KnownVectors,
    pub(crate) metrics: &'a GatewayMetrics,
}

impl Resolver<'_> {
    /// One query a field.
    pub(crate) async fn resolve(&self, legs: Vec<Leg>) -> Result<Vec<FieldQuery>, GatewayError> {
        let legs = self.choose_fields(legs).await?;
        let rows = self.items(&legs).await?;
        let mut violations = Violations::default();
        let mut encoded: Vec<Option<EncodedLeg>> = Vec::with_capacity(legs.len());
        let mut waiting = Vec::new();
        for (position, (leg, field)) in legs.into_iter().enumerate() {
            let input = match leg.input {
                Input::Image(bytes) => EncoderInput::Image(bytes),
                Input::Text(text) => EncoderInput::Text(text),
                Input::Item(id) => {
                    let vector = item_vector(&rows, &id, field, &leg.place, &mut violations);
                    encoded.push(vector.map(|vector| EncodedLeg {
                        field,
                        vector,
                        weight: leg.weight,
                    }));
                    continue;
                }
                Input::Vector(values) => {
                    let vector = self.given_vector(values, field, &leg.place, &mut violations);
                    encoded.push(vector.map(|vector| EncodedLeg {
                        field,
                        vector,
                        weight: leg.weight,
                    }));
                    continue;
                }
            };
            encoded.push(Some(EncodedLeg {
                field,
                vector: Vec::new(),
                weight: leg.weight,
            }));
            waiting.push((position, field, leg.place, input));
        }
        violations.check()?;
        let mut legs: Vec<EncodedLeg> = encoded.into_iter().flatten().collect();
        for (position, vector) in self.encode(waiting).await? {
            if let Some(leg) = legs.get_mut(position) {
                leg.vector = vector;
            }
        }
        fold(legs).map_err(|cancelled| {
            let message = format!(
                "the legs on {} cancel each other out, and would add 0 to every score: change a weight, or leave them out",
                cancelled.0
            );
            GatewayError::invalid("legs", message)
        })
    }

    async fn choose_fields(&self, legs: Vec<Leg>) -> Result<Vec<(Leg, VectorField)>, GatewayError> {
        let fields = &self.description.fields;
        let mut violations = Violations::default();
        let mut chosen = Vec::with_capacity(legs.len());
        let has_words = legs.iter().any(|leg| leg.field == LegField::TextOrImage);
        // Asked once, so that all legs go to one field though texts come and go meanwhile.
        let of_words = match has_words && self.words_ask_pictures().await? {
            true => VectorField::Image,
            false => VectorField::Text,
        };
        for leg in legs {
            let field = match leg.field {
                LegField::Named(field) => field,
                LegField::TextOrImage => of_words,
            };
            if fields.contains_key(&field) {
                chosen.push((leg, field));
            } else {
                let has: Vec<&str> = fields.keys().map(|field| field.as_str()).collect();
                let collection = &self.description.name;
                let message = format!("collection {collection} has no {field}, only {}", has.join(" and "));
                violations.add(leg.place, message);
            }
        }
        violations.check()?;
        Ok(chosen)
    }

    /// Whether a text that names no field is held against pictures: where the collection has no texts, and the
    /// model's two sides share a space.
    async fn words_ask_pictures(&self) -> Result<bool, GatewayError> {
        let fields = &self.description.fields;
        if !fields.contains_key(&VectorField::Text) {
            return Ok(true);
        }
        let shared = self.encoder.is_some_and(|encoder| encoder.description().shared_space);
        let pictures = fields.contains_key(&VectorField::Image);
        Ok(shared && pictures && !self.known_texts.any(self.index, self.description).await?)
    }

    async fn items(&self, legs: &[(Leg, VectorField)]) -> Result<Vec<Row>, GatewayError> {
        let mut ids: Vec<RowId> = Vec::new();
        for (leg, _) in legs {
            if let Input::Item(id) = &leg.input
                && !ids.contains(id)
            {
                ids.push(id.clone());
            }
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let collection: &CollectionName = &self.description.name;
        let rows = self.index.get_found(collection, &ids, Projection::WithVectors).await?;
        match ids.into_iter().find(|id| rows.iter().all(|row| row.id != *id)) {
            None => Ok(rows),
            Some(item) => Err(GatewayError::NoItem {
                collection: collection.clone(),
                item,
            }),
        }
    }

    fn given_vector(
        &self,
        mut values: Vec<f32>,
        field: VectorField,
        place: &str,
        violations: &mut Violations,
    ) -> Option<Vec<f32>> {
        let dimension = self.description.fields.get(&field).map(|field| field.space.dimension)?;
        if u32::try_from(values.len()) != Ok(dimension) {
            violations.add(place, format!("has {} values; {field} has {dimension}", values.len()));
            return None;
        }
        violations.take(place, normalize(&mut values))?;
        Some(values)
    }

    /// Encodes what needs the model, if anything does.
    async fn encode(
        &self,
        waiting: Vec<(usize, VectorField, String, EncoderInput)>,
    ) -> Result<Vec<(usize, Vec<f32>)>, GatewayError> {
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let encoder = self.encoder.ok_or(GatewayError::NoModel)?;
        // What is checked is what encodes: behind a remote encoder the model may change in between, and the call fails.
        let described = encoder.description();
        let mut encoded = Vec::with_capacity(waiting.len());
        let mut missing = Vec::new();
        let mut inputs = Vec::new();
        for (position, field, place, input) in waiting {
            self.check_side(&described, field, &input)?;
            let key = KnownVectors::key(&described, &input);
            let known = self.known_vectors.get(&key);
            self.metrics.query_vector(known.is_some());
            match known {
                Some(vector) => encoded.push((position, vector)),
                None => {
                    missing.push((position, key));
                    inputs.push((place, input));
                }
            }
        }
        if inputs.is_empty() {
            return Ok(encoded);
        }
        let span = tracing::info_span!("encode query", inputs = inputs.len());
        let vectors = encode(encoder, &described, inputs).instrument(span).await?;
        for ((position, key), vector) in missing.into_iter().zip(vectors) {
            self.known_vectors.put(key, &vector);
            encoded.push((position, vector));
        }
        Ok(encoded)
    }

    /// Whether the model makes such an input into a vector of the field's space.
    fn check_side(
        &self,
        model: &ModelDescription,
        field: VectorField,
        input: &EncoderInput,
    ) -> Result<(), GatewayError> {
        let own = match input {
            EncoderInput::Image(_) => VectorField::Image,
            EncoderInput::Text(_) => VectorField::Text,
        };
        let refuse = |reason| {
            Err(GatewayError::CannotEncode {
                model: model.model.to_string(),
                input: input.kind(),
                field,
                reason,
            })
        };
        if !model.fields.contains_key(&own) {
            return refuse("it has no such side; search by item or by vector");
        }
        if own != field && !model.shared_space {
            return refuse("its text and image sides have spaces of their own; use a model whose sides share one");
        }
        check_space(self.description, field, model)
    }
}

fn item_vector(
    rows: &[Row],
    id: &RowId,
    field: VectorField,
    place: &str,
    violations: &mut Violations,
) -> Option<Vec<f32>> {
    let row = rows.iter().find(|row| row.id == *id)?;
    let Some(vector) = vector_of(row, field) else {
        violations.add(place, format!("item {id} has no {field}: name one that has"));
        return None;
    };
    let mut vector = vector.to_vec();
    violations.take(place, normalize(&mut vector))?;
    Some(vector)
}
