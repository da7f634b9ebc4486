//! Filters over rows: a subset of AIP-160, parsed into a typed tree.
//!
//! ```text
//! filter     = factor { "AND" factor }
//! factor     = term { "OR" term }                       OR binds tighter than AND
//! term       = [ "NOT" | "-" ] ( "(" filter ")" | restriction )
//! restriction = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!             | field "=" value "*"                     a prefix; a star within quotes is a star
//!             | field "IN" "(" value { "," value } ")"
//!             | field ":" "*"                           the text is not empty, the attribute is there
//!             | field ( "=" | "!=" ) "null"             the text is empty, the attribute lacks; not indexed_at
//!             | "labels" ( ":" value | "IN" "(" value { "," value } ")" )
//!             | "labels" ":" "*"                        the row has a label
//! field      = "id" | "key" | "image_id" | … | "indexed_at" | "attributes" "." name
//! name       = part { "." part }                         part: a word, or quoted
//! value      = "quoted" | 'quoted' | word | number | true | false; as a label or in a list, null only in quotes
//! ```
//!
//! **Logic is two-valued**, the same in memory ([`Filter::matches`]), in SQL and in Milvus: a comparison with an
//! attribute that the row lacks, or whose value is of another type than the literal, is false, `!=` too; `NOT` of it
//! is true. An attribute whose value is `null` counts as lacking; one that is a list is of no literal's type. Texts
//! are compared by their bytes in UTF-8, numbers as 64-bit floats (`indexed_at` exactly).

use std::cmp::Ordering;

mod cursor;
mod display;
mod error;
mod evaluate;
#[cfg(test)]
mod fuzz;
mod parse;
mod sugar;
#[cfg(test)]
mod tests;

pub use error::FilterError;
pub use evaluate::{IntegerTest, attribute_matches};
pub use parse::{parse, parse_field};

/// Longest filter in bytes.
pub const MAX_FILTER_BYTES: usize = 65_536;
/// Deepest nesting of parentheses.
pub const MAX_FILTER_DEPTH: usize = 64;
/// Longest name of an attribute in a filter, in bytes. Each of 30,000 values of an `IN` is compiled beside the name.
pub const MAX_ATTRIBUTE_NAME_BYTES: usize = 1_024;

/// A condition on a row. [`parse`] gives `And` and `Or` at least two members.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them hold.
    And(Vec<Filter>),
    /// At least one of them holds.
    Or(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A field compared with a value.
    Compare {
        /// Which field.
        field: Field,
        /// How.
        op: Comparison,
        /// With what.
        value: Literal,
    },
    /// `labels:"x"`: the row has this label.
    HasLabel(String),
    /// `labels:*`: the row has a label, whichever.
    Labelled,
    /// `attributes.name:*`: the row has this attribute.
    HasAttribute(String),
}

/// What a filter can ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A text of the row's own, by name: `id`, `key`, `image_id`, `uid`, `filename`, `image_path`, `report_text`,
    /// `dataset`, `content_hash`, `source_digest`, `run_id`.
    Text(TextField),
    /// `has_image`.
    HasImage,
    /// `has_text`.
    HasText,
    /// `indexed_at`, milliseconds since the epoch.
    IndexedAt,
    /// `attributes.name`.
    Attribute(String),
}

/// The text fields of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the row's field of that name")]
pub enum TextField {
    Id,
    Key,
    ImageId,
    Uid,
    Filename,
    ImagePath,
    ReportText,
    Dataset,
    ContentHash,
    SourceDigest,
    RunId,
}

impl TextField {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Id,
        Self::Key,
        Self::ImageId,
        Self::Uid,
        Self::Filename,
        Self::ImagePath,
        Self::ReportText,
        Self::Dataset,
        Self::ContentHash,
        Self::SourceDigest,
        Self::RunId,
    ];

    /// The field's name in filters and in the index.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Key => "key",
            Self::ImageId => "image_id",
            Self::Uid => "uid",
            Self::Filename => "filename",
            Self::ImagePath => "image_path",
            Self::ReportText => "report_text",
            Self::Dataset => "dataset",
            Self::ContentHash => "content_hash",
            Self::SourceDigest => "source_digest",
            Self::RunId => "run_id",
        }
    }
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the comparison of that name")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether two values in this order satisfy it.
    #[must_use]
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A value in a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// A number, finite.
    Number(f64),
    /// `true` or `false`: only `=` and `!=` compare it, any other comparison is false.
    Bool(bool),
}
