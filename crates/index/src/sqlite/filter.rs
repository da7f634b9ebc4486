//! A filter as an SQL condition over a row `r`. Values are bound, never written into the text.
//!
//! SQLite binds 32,766 values, and `id IN(a,b,…)` has one for every two bytes. So equal values are bound once: as many as
//! can differ in the bytes that a filter may have are a third fewer, since there are not many of one byte.

use rusqlite::types::Value;
use sightline_core::filter::{Comparison, Field, Filter, IntegerTest, Literal};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Values that one call compares an attribute or the labels with: SQLite takes 127 arguments.
const VALUES_A_CALL: usize = 100;

/// A condition's text. Its values are where [`Condition::of`] put them.
pub(super) type Text = String;

/// Compiles conditions.
pub(super) struct Condition<'v, 'f> {
    values: &'v mut Vec<Value>,
    /// Where the filter's values are among them.
    bound: HashMap<Bound<'f>, usize>,
}

/// A value of the filter, which is told from others by its bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Bound<'f> {
    Text(&'f str),
    Real(u64),
    Integer(i64),
}

impl From<Bound<'_>> for Value {
    fn from(bound: Bound<'_>) -> Self {
        match bound {
            Bound::Text(text) => Self::Text(text.into()),
            Bound::Real(bits) => Self::Real(f64::from_bits(bits)),
            Bound::Integer(number) => Self::Integer(number),
        }
    }
}

impl<'f> Condition<'_, 'f> {
    /// Compiles a filter, and puts its values behind those that are there.
    pub(super) fn of(filter: &'f Filter, values: &mut Vec<Value>) -> Text {
        let bound = HashMap::new();
        Condition { values, bound }.compile(filter)
    }

    fn compile(&mut self, filter: &'f Filter) -> Text {
        match filter {
            Filter::And(parts) => self.joined(parts, "AND", "TRUE"),
            Filter::Or(parts) => self.joined(parts, "OR", "FALSE"),
            Filter::Not(inner) => format!("(NOT {})", self.compile(inner)),
            Filter::HasLabel(label) => self.label(vec![label]),
            // As an empty list is written.
            Filter::Labelled => "(r.labels <> '[]')".into(),
            Filter::HasAttribute(name) => {
                let name = self.bind(Bound::Text(name));
                format!("sightline_has_attribute(r.attributes, {name})")
            }
            Filter::Compare { field, op, value } => self.compare(field, *op, value),
        }
    }

    /// Splits long lists in halves: SQLite bounds the depth of an expression, and `a AND b AND c` is one of depth 3.
    fn joined(&mut self, parts: &'f [Filter], operator: &str, empty: &str) -> Text {
        match parts {
            [] => empty.into(),
            [one] => self.compile(one),
            _ => {
                if operator == "OR" && parts.len() <= VALUES_A_CALL {
                    if let Some((name, values)) = one_of_an_attribute(parts) {
                        return self.attribute(name, Comparison::Equal, values);
                    }
                    if let Some(labels) = one_of_labels(parts) {
                        return self.label(labels);
                    }
                }
                let (left, right) = parts.split_at(parts.len() / 2);
                let left = self.joined(left, operator, empty);
                let right = self.joined(right, operator, empty);
                format!("({left} {operator} {right})")
            }
        }
    }

    fn compare(&mut self, field: &'f Field, op: Comparison, value: &'f Literal) -> Text {
        match (field, value) {
            (Field::Text(field), Literal::Text(text)) => {
                let value = self.bind(Bound::Text(text));
                format!("(r.{} {} {value})", field.as_str(), op.as_str())
            }
            (Field::HasImage, Literal::Bool(truth)) => self.flag("has_image", op, *truth),
            (Field::HasText, Literal::Bool(truth)) => self.flag("has_text", op, *truth),
            (Field::IndexedAt, Literal::Number(number)) => match IntegerTest::new(op, *number) {
                IntegerTest::Never => "FALSE".into(),
                IntegerTest::Always => "TRUE".into(),
                IntegerTest::Compare(op, number) => {
                    let value = self.bind(Bound::Integer(number));
                    format!("(r.indexed_at {} {value})", op.as_str())
                }
            },
            (Field::Attribute(name), literal) => self.attribute(name, op, vec![literal]),
            _ => "FALSE".into(),
        }
    }

    /// The row has one of the labels: they are read once for all of these.
    fn label(&mut self, labels: Vec<&'f str>) -> Text {
        let labels: Vec<Text> = labels.into_iter().map(|label| self.bind(Bound::Text(label))).collect();
        format!("sightline_has_label(r.labels, {})", labels.join(", "))
    }

    /// One of the values satisfies the comparison: the row's attributes are read once for all of them.
    fn attribute(&mut self, name: &'f str, op: Comparison, values: Vec<&'f Literal>) -> Text {
        let name = self.bind(Bound::Text(name));
        let op = Comparison::ALL
            .iter()
            .position(|known| *known == op)
            .unwrap_or_default();
        let mut call = format!("sightline_attribute(r.attributes, {name}, {op}");
        for value in values {
            call.push_str(", ");
            call.push_str(&self.bind(match value {
                Literal::Text(text) => Bound::Text(text),
                Literal::Number(number) => Bound::Real(number.to_bits()),
                Literal::Bool(truth) => Bound::Integer((*truth).into()),
            }));
        }
        call + ")"
    }

    fn flag(&mut self, column: &str, op: Comparison, truth: bool) -> Text {
        match op {
            Comparison::Equal | Comparison::NotEqual => {
                let value = self.bind(Bound::Integer(truth.into()));
                format!("(r.{column} {} {value})", op.as_str())
            }
            _ => "FALSE".into(),
        }
    }

    fn bind(&mut self, value: Bound<'f>) -> Text {
        let place = match self.bound.entry(value) {
            Entry::Occupied(bound) => *bound.get(),
            Entry::Vacant(new) => {
                self.values.push(value.into());
                *new.insert(self.values.len())
            }
        };
        format!("?{place}")
    }
}

/// The attribute and the values, if the parts say of one attribute what it equals.
fn one_of_an_attribute(parts: &[Filter]) -> Option<(&str, Vec<&Literal>)> {
    fn equal(part: &Filter) -> Option<(&str, &Literal)> {
        match part {
            Filter::Compare {
                field: Field::Attribute(name),
                op: Comparison::Equal,
                value,
            } => Some((name, value)),
            _ => None,
        }
    }
    let (first, _) = equal(parts.first()?)?;
    let values = parts
        .iter()
        .map(|part| equal(part).filter(|(name, _)| *name == first).map(|(_, value)| value));
    Some((first, values.collect::<Option<_>>()?))
}

fn one_of_labels(parts: &[Filter]) -> Option<Vec<&str>> {
    parts
        .iter()
        .map(|part| match part {
            Filter::HasLabel(label) => Some(label.as_str()),
            _ => None,
        })
        .collect()
}
