//! A filter as a boolean expression of Milvus. Values are written as escaped literals: templates are not known to
//! Milvus 2.3 and milvus-lite.
//!
//! Milvus holds `attribute != value` for true where the attribute is missing or of another type; it is therefore
//! never used on attributes.

use super::schema::{ATTRIBUTES, INDEXED_AT, LABELS};
use sightline_core::filter::{Comparison, Field, Filter, IntegerTest, Literal};
use std::fmt::Write;

// An id is never empty. Milvus has no literal for these two.
const TRUE: &str = r#"id != """#;
const FALSE: &str = r#"id == """#;

/// The expression of a filter.
pub(super) fn expression(filter: &Filter) -> String {
    match filter {
        Filter::And(parts) => joined(parts, "and", TRUE),
        Filter::Or(parts) => joined(parts, "or", FALSE),
        Filter::Not(inner) => format!("not ({})", expression(inner)),
        Filter::HasLabel(label) => format!("array_contains({LABELS}, {})", literal(label)),
        Filter::HasAttribute(name) => format!("exists {}", attribute(name)),
        Filter::Compare { field, op, value } => compare(field, *op, value),
    }
}

/// Splits long lists in halves, so that an expression is not as deep as it is long.
fn joined(parts: &[Filter], operator: &str, empty: &str) -> String {
    match parts {
        [] => empty.into(),
        [one] => expression(one),
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            let left = joined(left, operator, empty);
            let right = joined(right, operator, empty);
            format!("(({left}) {operator} ({right}))")
        }
    }
}

fn compare(field: &Field, op: Comparison, value: &Literal) -> String {
    match (field, value) {
        (Field::Text(field), Literal::Text(text)) => {
            format!("{} {} {}", field.as_str(), operator(op), literal(text))
        }
        (Field::HasImage, Literal::Bool(value)) => flag("has_image", op, *value),
        (Field::HasText, Literal::Bool(value)) => flag("has_text", op, *value),
        (Field::IndexedAt, Literal::Number(number)) => match IntegerTest::new(op, *number) {
            IntegerTest::Never => FALSE.into(),
            IntegerTest::Always => TRUE.into(),
            IntegerTest::Compare(op, number) => format!("{INDEXED_AT} {} {number}", operator(op)),
        },
        (Field::Attribute(name), Literal::Bool(value)) => match op {
            Comparison::Equal => format!("{} == {value}", attribute(name)),
            Comparison::NotEqual => format!("{} == {}", attribute(name), !value),
            _ => FALSE.into(),
        },
        (Field::Attribute(name), Literal::Number(number)) if !number.is_nan() => {
            on_attribute(name, op, &format!("{number:?}"))
        }
        (Field::Attribute(name), Literal::Text(text)) => on_attribute(name, op, &literal(text)),
        _ => FALSE.into(),
    }
}

fn on_attribute(name: &str, op: Comparison, value: &str) -> String {
    let attribute = attribute(name);
    match op {
        Comparison::NotEqual => format!("({attribute} < {value} or {attribute} > {value})"),
        _ => format!("{attribute} {} {value}", operator(op)),
    }
}

fn flag(column: &str, op: Comparison, value: bool) -> String {
    match op {
        Comparison::Equal => format!("{column} == {value}"),
        Comparison::NotEqual => format!("{column} == {}", !value),
        _ => FALSE.into(),
    }
}

fn operator(op: Comparison) -> &'static str {
    match op {
        Comparison::Equal => "==",
        other => other.as_str(),
    }
}

fn attribute(name: &str) -> String {
    format!("{ATTRIBUTES}[{}]", literal(name))
}

/// A text as a literal: quotes, backslashes and control characters escaped, anything else as it is.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            c if c.is_control() => {
                // Writing into a String cannot fail.
                write!(literal, "\\u{:04x}", u32::from(c)).unwrap_or_default();
            }
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}
