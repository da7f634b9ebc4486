//! The meaning of a filter, over a row in memory. SQL and Milvus expressions are held to it by tests.

use super::{Comparison, Field, Filter, Literal, TextField};
use crate::row::Row;
use serde_json::Value;
use std::cmp::Ordering;

impl Filter {
    /// Whether a row satisfies the filter. `has_image` and `has_text` ask whether the vector is there: a row that was
    /// read without its vectors has neither.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(row)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(row)),
            Self::Not(inner) => !inner.matches(row),
            Self::HasLabel(label) => row.labels.contains(label),
            Self::Labelled => !row.labels.is_empty(),
            Self::HasAttribute(name) => row.attributes.get(name).is_some_and(|value| !value.is_null()),
            Self::Compare { field, op, value } => match (field, value) {
                (Field::Text(field), Literal::Text(text)) => op.holds(field.of(row).cmp(text.as_str())),
                (Field::HasImage, Literal::Bool(value)) => bools(row.image_embedding.is_some(), *op, *value),
                (Field::HasText, Literal::Bool(value)) => bools(row.text_embedding.is_some(), *op, *value),
                (Field::IndexedAt, Literal::Number(number)) => IntegerTest::new(*op, *number).holds(row.indexed_at.0),
                (Field::Attribute(name), literal) => {
                    attribute_matches(row.attributes.get(name).unwrap_or(&Value::Null), *op, literal)
                }
                _ => false,
            },
        }
    }
}

/// Whether an attribute's value satisfies a comparison; false where they are of different types.
#[must_use]
pub fn attribute_matches(value: &Value, op: Comparison, literal: &Literal) -> bool {
    match (value, literal) {
        (Value::String(text), Literal::Text(literal)) => op.holds(text.as_str().cmp(literal.as_str())),
        (Value::Bool(value), Literal::Bool(literal)) => bools(*value, op, *literal),
        (Value::Number(number), Literal::Number(literal)) => number
            .as_f64()
            .and_then(|number| number.partial_cmp(literal))
            .is_some_and(|order| op.holds(order)),
        _ => false,
    }
}

fn bools(left: bool, op: Comparison, right: bool) -> bool {
    match op {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        _ => false,
    }
}

impl TextField {
    /// The field's value in a row.
    #[must_use]
    pub fn of(self, row: &Row) -> &str {
        match self {
            Self::Id => row.id.as_str(),
            Self::Key => &row.key,
            Self::ImageId => &row.image_id,
            Self::Uid => &row.uid,
            Self::Filename => &row.filename,
            Self::ImagePath => &row.image_path,
            Self::ReportText => &row.report_text,
            Self::Dataset => row.dataset.as_str(),
            Self::ContentHash => &row.content_hash,
            Self::SourceDigest => &row.source_digest,
            Self::RunId => row.run_id.as_str(),
        }
    }
}

/// A comparison of a whole number with a float, as one with whole numbers only: what an engine with 64-bit integers
/// computes exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegerTest {
    /// No number from 0 to 2⁶³ − 1 satisfies it.
    Never,
    /// All of them do.
    Always,
    /// Those do that compare so with this one.
    Compare(Comparison, i64),
}

impl IntegerTest {
    /// `number op literal` over numbers from 0 to 2⁶³ − 1.
    #[must_use]
    pub fn new(op: Comparison, literal: f64) -> Self {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        const END: f64 = 9_223_372_036_854_775_808.0;
        let always = |holds| if holds { Self::Always } else { Self::Never };
        if literal.is_nan() {
            return Self::Never;
        }
        if literal < 0.0 {
            return always(op.holds(Ordering::Greater));
        }
        if literal >= END {
            return always(op.holds(Ordering::Less));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "from 0 to below 2^63, without a fraction"
        )]
        let floor = literal.floor() as i64;
        let is_whole = literal.fract() == 0.0;
        match op {
            _ if is_whole => Self::Compare(op, floor),
            Equal => Self::Never,
            NotEqual => Self::Always,
            Less | LessOrEqual => Self::Compare(LessOrEqual, floor),
            Greater | GreaterOrEqual => Self::Compare(Greater, floor),
        }
    }

    /// Whether a number satisfies it.
    #[must_use]
    pub fn holds(self, number: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Compare(op, literal) => op.holds(i128::from(number).cmp(&i128::from(literal))),
        }
    }
}
