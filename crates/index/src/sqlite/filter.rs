//! A filter as an SQL condition over a row `r`. Values are bound, never written into the text.

use rusqlite::types::Value;
use sightline_core::filter::{Comparison, Field, Filter, IntegerTest, Literal};

/// A condition's text. Its values are where [`Condition::of`] put them.
pub(super) type Text = String;

/// Compiles conditions.
pub(super) struct Condition<'a> {
    values: &'a mut Vec<Value>,
}

impl Condition<'_> {
    /// Compiles a filter, and puts its values behind those that are there.
    pub(super) fn of(filter: &Filter, values: &mut Vec<Value>) -> Text {
        Condition { values }.compile(filter)
    }

    fn compile(&mut self, filter: &Filter) -> Text {
        match filter {
            Filter::And(parts) => self.joined(parts, "AND", "TRUE"),
            Filter::Or(parts) => self.joined(parts, "OR", "FALSE"),
            Filter::Not(inner) => format!("(NOT {})", self.compile(inner)),
            Filter::HasLabel(label) => {
                let label = self.bind(Value::Text(label.clone()));
                format!("sightline_has_label(r.labels, {label})")
            }
            Filter::HasAttribute(name) => {
                let name = self.bind(Value::Text(name.clone()));
                format!("sightline_has_attribute(r.attributes, {name})")
            }
            Filter::Compare { field, op, value } => self.compare(field, *op, value),
        }
    }

    /// Splits long lists in halves: SQLite bounds the depth of an expression, and `a AND b AND c` is one of depth 3.
    fn joined(&mut self, parts: &[Filter], operator: &str, empty: &str) -> Text {
        match parts {
            [] => empty.into(),
            [one] => self.compile(one),
            _ => {
                let (left, right) = parts.split_at(parts.len() / 2);
                let left = self.joined(left, operator, empty);
                let right = self.joined(right, operator, empty);
                format!("({left} {operator} {right})")
            }
        }
    }

    fn compare(&mut self, field: &Field, op: Comparison, value: &Literal) -> Text {
        match (field, value) {
            (Field::Text(field), Literal::Text(text)) => {
                let value = self.bind(Value::Text(text.clone()));
                format!("(r.{} {} {value})", field.as_str(), op.as_str())
            }
            (Field::HasImage, Literal::Bool(truth)) => self.flag("has_image", op, *truth),
            (Field::HasText, Literal::Bool(truth)) => self.flag("has_text", op, *truth),
            (Field::IndexedAt, Literal::Number(number)) => match IntegerTest::new(op, *number) {
                IntegerTest::Never => "FALSE".into(),
                IntegerTest::Always => "TRUE".into(),
                IntegerTest::Compare(op, number) => {
                    let value = self.bind(Value::Integer(number));
                    format!("(r.indexed_at {} {value})", op.as_str())
                }
            },
            (Field::Attribute(name), literal) => {
                let name = self.bind(Value::Text(name.clone()));
                let op = Comparison::ALL
                    .iter()
                    .position(|known| *known == op)
                    .unwrap_or_default();
                let literal = self.bind(match literal {
                    Literal::Text(text) => Value::Text(text.clone()),
                    Literal::Number(number) => Value::Real(*number),
                    Literal::Bool(truth) => Value::Integer((*truth).into()),
                });
                format!("sightline_attribute(r.attributes, {name}, {op}, {literal})")
            }
            _ => "FALSE".into(),
        }
    }

    fn flag(&mut self, column: &str, op: Comparison, truth: bool) -> Text {
        match op {
            Comparison::Equal | Comparison::NotEqual => {
                let value = self.bind(Value::Integer(truth.into()));
                format!("(r.{column} {} {value})", op.as_str())
            }
            _ => "FALSE".into(),
        }
    }

    fn bind(&mut self, value: Value) -> Text {
        self.values.push(value);
        format!("?{}", self.values.len())
    }
}
