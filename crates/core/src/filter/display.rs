//! Filters as text that parses back to themselves.

use super::{Field, Filter, Literal};
use std::fmt::{self, Display, Formatter, Write};

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => joined(f, parts, " AND "),
            Self::Or(parts) => joined(f, parts, " OR "),
            Self::Not(inner) => {
                f.write_str("NOT ")?;
                part(f, inner)
            }
            Self::Compare { field, op, value } => write!(f, "{field} {} {value}", op.as_str()),
            Self::HasLabel(label) => {
                f.write_str("labels:")?;
                quoted(f, label)
            }
            Self::Labelled => f.write_str("labels:*"),
            Self::HasAttribute(name) => {
                f.write_str("attributes.")?;
                quoted(f, name)?;
                f.write_str(":*")
            }
        }
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Filter], separator: &str) -> fmt::Result {
    for (index, filter) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        match filter {
            // NOT binds tightest, so that it needs no parentheses here.
            Filter::Not(_) => write!(f, "{filter}")?,
            _ => part(f, filter)?,
        }
    }
    Ok(())
}

fn part(f: &mut Formatter<'_>, filter: &Filter) -> fmt::Result {
    match filter {
        Filter::And(_) | Filter::Or(_) | Filter::Not(_) => write!(f, "({filter})"),
        _ => write!(f, "{filter}"),
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(field) => f.write_str(field.as_str()),
            Self::HasImage => f.write_str("has_image"),
            Self::HasText => f.write_str("has_text"),
            Self::IndexedAt => f.write_str("indexed_at"),
            Self::Attribute(name) => {
                f.write_str("attributes.")?;
                quoted(f, name)
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(f, text),
            // Debug writes the shortest form that reads back to the same bits, with an exponent where it is long.
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}
