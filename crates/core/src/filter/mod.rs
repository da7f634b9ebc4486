//! Filters over rows: a subset of AIP-160, parsed into a typed tree.

/// A condition on a row.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A value in a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// A number, finite.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
}
