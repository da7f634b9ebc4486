//! What SQLite computes with our own code, so that scores and conditions are the same in SQL and in memory.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Error, Result};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use sightline_core::filter::{Comparison, Literal, attribute_matches};
use sightline_core::vector;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("sightline_dot", 2, flags, dot)?;
    connection.create_scalar_function("sightline_attribute", -1, flags, attribute)?;
    connection.create_scalar_function("sightline_has_attribute", 2, flags, has_attribute)?;
    connection.create_scalar_function("sightline_has_label", -1, flags, has_label)
}

/// A vector as it is stored: f32, little endian.
pub(super) fn vector_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A stored vector.
pub(super) fn vector_values(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

/// `sightline_dot(stored, query)`: their inner product, rounded to the f32 that the seam gives, so that equal scores
/// are equal when they are ordered.
fn dot(context: &Context<'_>) -> Result<f64> {
    let query: Arc<Vec<f32>> = context.get_or_create_aux(1, |value: ValueRef<'_>| -> Result<Vec<f32>> {
        Ok(vector_values(value.as_blob()?))
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "the seam's scores are f32")]
    let score = vector::dot_stored(context.get_raw(0).as_blob()?, &query) as f32;
    Ok(f64::from(score))
}

/// `sightline_attribute(attributes, name, comparison, literal, …)`: whether one of the literals satisfies it. A literal is
/// TEXT, REAL, or INTEGER for a truth.
fn attribute(context: &Context<'_>) -> Result<bool> {
    let value = picked(context)?;
    let index: usize = context.get(2)?;
    let Some(op) = Comparison::ALL.get(index) else {
        return Ok(false);
    };
    Ok((3..context.len()).any(|place| {
        let literal = match context.get_raw(place) {
            ValueRef::Text(text) => Literal::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Real(number) => Literal::Number(number),
            ValueRef::Integer(truth) => Literal::Bool(truth != 0),
            ValueRef::Null | ValueRef::Blob(_) => return false,
        };
        attribute_matches(&value, *op, &literal)
    }))
}

/// `sightline_has_attribute(attributes, name)`
fn has_attribute(context: &Context<'_>) -> Result<bool> {
    Ok(!picked(context)?.is_null())
}

/// `sightline_has_label(labels, label, …)`: whether one of them is there.
fn has_label(context: &Context<'_>) -> Result<bool> {
    let labels: Vec<Cow<'_, str>> = serde_json::from_str(context.get_raw(0).as_str()?).map_err(damaged)?;
    for place in 1..context.len() {
        let label = context.get_raw(place).as_str()?;
        if labels.iter().any(|found| found == label) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn damaged(error: serde_json::Error) -> Error {
    Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}

fn picked(context: &Context<'_>) -> Result<Value> {
    let name = context.get_raw(1).as_str()?;
    let mut json = serde_json::Deserializer::from_str(context.get_raw(0).as_str()?);
    Pick(name).deserialize(&mut json).map_err(damaged)
}

/// Reads one member of an object and skips the others; null where there is none.
struct Pick<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let mut picked = Value::Null;
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            if name == self.0 {
                picked = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked)
    }
}
