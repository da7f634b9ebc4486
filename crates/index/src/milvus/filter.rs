//! A filter as a boolean expression of Milvus. Values are written as escaped literals: templates are not known to
//! Milvus 2.3 and milvus-lite.
//!
//! Milvus holds `attribute != value` for true where the attribute is missing or of another type; it is therefore
//! never used on attributes.

use super::client::Dialect;
use super::schema::{ATTRIBUTE_NAMES, ATTRIBUTES, INDEXED_AT, LABELS};
use sightline_core::filter::{Comparison, Field, Filter, IntegerTest, Literal};

// An id is never empty. Milvus has no literal for these two.
const TRUE: &str = r#"id != """#;
const FALSE: &str = r#"id == """#;

/// Deepest plan that is sent. The engine reads plans with protobuf's limit of 100 nested messages, of which each
/// level of an expression takes two.
const MAX_LEVELS: usize = 44;

/// An expression and how deep its plan is.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    /// The expression.
    pub(super) text: String,
    levels: usize,
}

impl Expression {
    pub(super) fn new(text: String) -> Self {
        Self { text, levels: 1 }
    }

    pub(super) fn nothing() -> Self {
        Self::new(FALSE.into())
    }

    pub(super) fn everything() -> Self {
        Self::new(TRUE.into())
    }

    pub(super) fn and(self, other: Self) -> Self {
        self.with("and", other)
    }

    fn with(self, operator: &str, other: Self) -> Self {
        Self {
            text: format!("({} {operator} {})", self.text, other.text),
            levels: self.levels.max(other.levels) + 1,
        }
    }

    pub(super) fn negated(self) -> Self {
        Self {
            text: format!("(not ({}))", self.text),
            levels: self.levels + 1,
        }
    }

    /// The text, if the engine can read it and its plan.
    pub(super) fn checked(self) -> Result<String, String> {
        // Milvus's literals escape them. milvus-lite refuses most such texts, and fails over some.
        if self.text.contains(['\n', '\r']) {
            return Err("a value in the filter has a line break, which milvus-lite has no way to write".into());
        }
        if self.levels > MAX_LEVELS {
            return Err(format!(
                "the filter is nested {} levels deep, and Milvus reads {MAX_LEVELS}: write it flatter",
                self.levels
            ));
        }
        Ok(self.text)
    }
}

/// Joins expressions in halves, so that a list is not as deep as it is long.
pub(super) fn joined(mut parts: Vec<Expression>, all: bool) -> Expression {
    let operator = if all { "and" } else { "or" };
    while parts.len() > 1 {
        let mut halves = parts.into_iter();
        let mut next = Vec::new();
        while let Some(left) = halves.next() {
            next.push(match halves.next() {
                Some(right) => left.with(operator, right),
                None => left,
            });
        }
        parts = next;
    }
    let empty = if all {
        Expression::everything
    } else {
        Expression::nothing
    };
    parts.pop().unwrap_or_else(empty)
}

/// The expression of a condition on one field.
pub(super) fn leaf(filter: &Filter, dialect: Dialect) -> Expression {
    let contains = |column: &str, text: &str| {
        let text = literal(text, dialect);
        Expression::new(format!("json_contains({column}[\"{column}\"], {text})"))
    };
    match filter {
        Filter::HasLabel(label) => contains(LABELS, label),
        // Only where there are labels is there a first one, and no text is below the empty one: a comparison with what is
        // missing is false, but for `!=`.
        Filter::Labelled => Expression::new(format!("{LABELS}[\"{LABELS}\"][0] >= \"\"")),
        Filter::HasAttribute(name) => contains(ATTRIBUTE_NAMES, name),
        Filter::Compare { field, op, value } => compare(field, *op, value, dialect),
        Filter::And(_) | Filter::Or(_) | Filter::Not(_) => Expression::nothing(),
    }
}

fn compare(field: &Field, op: Comparison, value: &Literal, dialect: Dialect) -> Expression {
    Expression::new(match (field, value) {
        (Field::Text(field), Literal::Text(text)) => {
            format!("{} {} {}", field.as_str(), operator(op), literal(text, dialect))
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
            return on_attribute(name, op, &format!("{number:?}"));
        }
        (Field::Attribute(name), Literal::Text(text)) => return on_attribute(name, op, &literal(text, dialect)),
        _ => FALSE.into(),
    })
}

fn on_attribute(name: &str, op: Comparison, value: &str) -> Expression {
    let attribute = attribute(name);
    let compared = |operator: &str| Expression::new(format!("{attribute} {operator} {value}"));
    match op {
        Comparison::NotEqual => compared("<").with("or", compared(">")),
        _ => compared(operator(op)),
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

/// An attribute's place. The engine compares names as they are written in JSON.
fn attribute(name: &str) -> String {
    format!("{ATTRIBUTES}[{}]", literal(name, Dialect::Milvus))
}

/// A text as a literal: what could end it is escaped, so that a value stays a value.
pub(super) fn literal(text: &str, dialect: Dialect) -> String {
    match dialect {
        // Milvus knows the escapes of Go, of which those of JSON are a part.
        Dialect::Milvus => serde_json::Value::from(text).to_string(),
        // milvus-lite knows these two only; [`Expression::checked`] refuses line breaks.
        Dialect::Lite => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// The expression that names rows by their ids.
pub(super) fn among<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| format!("\"{id}\"")).collect();
    format!("[{}]", ids.join(", "))
}
