//! Several legs on one field are one: Σ wᵢ·cos(row, qᵢ) = |s|·cos(row, s) for s = Σ wᵢ·qᵢ, since rows have length 1.

use crate::retrieval::FieldQuery;
use sightline_core::VectorField;
use sightline_core::vector::dot;
use std::collections::BTreeMap;

/// A leg whose vector is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncodedLeg {
    pub(crate) field: VectorField,
    /// Of length 1.
    pub(crate) vector: Vec<f32>,
    pub(crate) weight: f64,
}

/// The legs on this field cancel each other out: they would add 0 to every score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cancelled(pub(crate) VectorField);

/// Below this share of the largest weight a sum is rounding, not direction.
const NOTHING: f64 = 1e-6;

/// Makes one query a field. A single leg keeps its vector and its weight, the sign too, as they were given.
pub(crate) fn fold(legs: Vec<EncodedLeg>) -> Result<Vec<FieldQuery>, Cancelled> {
    let mut fields: BTreeMap<VectorField, Vec<EncodedLeg>> = BTreeMap::new();
    for leg in legs {
        fields.entry(leg.field).or_default().push(leg);
    }
    fields
        .into_iter()
        .map(|(field, legs)| fold_field(field, legs))
        .collect()
}

fn fold_field(field: VectorField, mut legs: Vec<EncodedLeg>) -> Result<FieldQuery, Cancelled> {
    if legs.len() == 1
        && let Some(EncodedLeg { vector, weight, .. }) = legs.pop()
    {
        return Ok(FieldQuery { field, vector, weight });
    }
    // Relative to the largest weight, so that no square overflows.
    let largest = legs.iter().map(|leg| leg.weight.abs()).fold(0.0, f64::max);
    let dimension = legs.iter().map(|leg| leg.vector.len()).max().unwrap_or_default();
    let mut sum = vec![0.0_f64; dimension];
    for leg in &legs {
        let weight = leg.weight / largest;
        for (total, value) in sum.iter_mut().zip(&leg.vector) {
            *total += weight * f64::from(*value);
        }
    }
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length.is_nan() || length <= NOTHING {
        return Err(Cancelled(field));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a quotient of at most 1 in magnitude, rounded to f32"
    )]
    let vector: Vec<f32> = sum.iter().map(|value| (value / length) as f32).collect();
    // What rounding to f32 took from the vector's length goes into the weight.
    let rounded = dot(&vector, &vector).sqrt();
    Ok(FieldQuery {
        field,
        vector,
        weight: length * largest / rounded,
    })
}
