//! Every key of a configuration, from its type.

use super::Config;
use super::environment::variable;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::fmt;

/// What a key's value looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Choice(Vec<String>),
    /// A list; in the environment `a,b` or a TOML array.
    List(Box<KeyKind>),
    /// Anything else, written as TOML.
    Toml,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => formatter.write_str("text"),
            Self::Integer => formatter.write_str("a whole number"),
            Self::Number => formatter.write_str("a number"),
            Self::Boolean => formatter.write_str("true or false"),
            Self::Choice(words) => formatter.write_str(&words.join(" | ")),
            Self::List(of) => write!(formatter, "a list of {of}"),
            Self::Toml => formatter.write_str("a TOML value"),
        }
    }
}

/// One key, for a reference page and for `--help`.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDoc {
    /// The path, `queue.url`.
    pub key: String,
    /// The environment variable, `SIGHTLINE_QUEUE__URL`.
    pub variable: String,
    /// What the value looks like.
    pub kind: KeyKind,
    /// The default as JSON; `null` where there is none.
    pub default: Value,
    /// The field's doc comment.
    pub doc: String,
}

/// All keys of a configuration, ordered by name.
#[must_use]
pub fn key_docs<T: Config>() -> Vec<KeyDoc> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let defaults = serde_json::to_value(T::default()).unwrap_or(Value::Null);
    let mut keys = Vec::new();
    collect(schema.as_value(), "", &defaults, &mut keys);
    keys.sort_by(|left, right| left.key.cmp(&right.key));
    keys
}

fn collect(schema: &Value, prefix: &str, defaults: &Value, keys: &mut Vec<KeyDoc>) {
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let key = format!("{prefix}{name}");
        let default = defaults.get(name).unwrap_or(&Value::Null);
        let inner = without_null(property);
        if inner.get("properties").is_some() {
            collect(inner, &format!("{key}."), default, keys);
            continue;
        }
        let doc = property.get("description").or_else(|| inner.get("description"));
        let doc = doc.and_then(Value::as_str).unwrap_or_default();
        // A doc comment's line breaks are the source's, not the reader's.
        let doc = doc.split_whitespace().collect::<Vec<_>>().join(" ");
        keys.push(KeyDoc {
            variable: variable(&key),
            kind: kind(inner),
            default: default.clone(),
            doc,
            key,
        });
    }
}

/// The schema of `T` where `schema` is that of `Option<T>`.
fn without_null(schema: &Value) -> &Value {
    let branches = schema.get("anyOf").and_then(Value::as_array);
    let is_null = |branch: &&Value| branch.get("type").and_then(Value::as_str) == Some("null");
    match branches {
        Some(branches) if branches.iter().any(|branch| is_null(&branch)) => {
            branches.iter().find(|branch| !is_null(branch)).unwrap_or(schema)
        }
        _ => schema,
    }
}

fn kind(schema: &Value) -> KeyKind {
    if let Some(words) = choice(schema) {
        return KeyKind::Choice(words);
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "null")
            .collect(),
        _ => Vec::new(),
    };
    match names.as_slice() {
        ["string"] => KeyKind::Text,
        ["integer"] => KeyKind::Integer,
        ["number"] => KeyKind::Number,
        ["boolean"] => KeyKind::Boolean,
        ["array"] => KeyKind::List(Box::new(schema.get("items").map_or(KeyKind::Toml, kind))),
        _ => KeyKind::Toml,
    }
}

/// The words of an enum without data: `enum` where no variant has a doc comment, else `oneOf` of constants.
fn choice(schema: &Value) -> Option<Vec<String>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    let variants = schema.get("oneOf")?.as_array()?.iter();
    let nested = variants.map(|variant| match variant.get("const") {
        Some(word) => word.as_str().map(|word| vec![word.to_owned()]),
        None => choice(variant),
    });
    Some(nested.collect::<Option<Vec<_>>>()?.concat())
}
