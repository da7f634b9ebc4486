//! Whether the model makes the vectors that a field holds.

use crate::error::GatewayError;
use sightline_core::vector::cosine;
use sightline_core::{Canary, CollectionDescription, VectorField};
use sightline_encoding::ModelDescription;

/// Proves that a model's side for `field` makes the space that the collection's `field` holds: by its fingerprint,
/// and by the vectors of the built-in inputs that were stored when the collection was made.
///
/// It is a matter of some dot products, so it is done for every query: a collection that was dropped and made again
/// by another model is seen at once.
pub(crate) fn check_space(
    description: &CollectionDescription,
    field: VectorField,
    model: &ModelDescription,
) -> Result<(), GatewayError> {
    let Some(ours) = model.fields.get(&field) else {
        return Err(GatewayError::CannotEncode {
            model: model.model.to_string(),
            input: side(field),
            field,
            reason: "it has no such side; search by item or by vector",
        });
    };
    let same = description.check_space(field, &ours.space);
    same.map_err(|mismatch| GatewayError::OtherSpace(Box::new(mismatch)))?;
    let theirs = description.fields.get(&field).map(|field| field.canaries.as_slice());
    for canary in theirs.unwrap_or_default() {
        let Some(own) = ours.canaries.iter().find(|own| own.input == canary.input) else {
            return Err(GatewayError::UnknownCanary {
                collection: description.name.clone(),
                field,
                input: canary.input.clone(),
            });
        };
        let cosine = cosine(&own.vector, &canary.vector);
        if cosine.is_nan() || cosine < f64::from(Canary::MIN_COSINE) {
            return Err(GatewayError::OtherVectors {
                collection: description.name.clone(),
                field,
                input: canary.input.clone(),
                cosine,
                least: Canary::MIN_COSINE,
            });
        }
    }
    Ok(())
}

/// What a field's own side takes.
fn side(field: VectorField) -> &'static str {
    match field {
        VectorField::Image => "picture",
        VectorField::Text => "text",
    }
}
