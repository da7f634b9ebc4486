//! One hit a group: the best row of those with the same value.
//!
//! The ranking is read from its top, deeper until it has shown enough groups. Its rows come in order, so that the first
//! row of a group is the group's best, and a group that it has not shown scores at most what its last row does.
//!
//! A later page knows which groups were shown: where a page ended does not say it, since the row that stood for a group may be
//! gone by now, and another may have come before the end.

use crate::fusion::{Fused, Proof, Window};
use crate::query::options::Fusing;
use crate::retrieval::{Retrieval, Retrieved};
use serde_json::{Number, Value};
use sightline_core::digest::PartsDigest;
use sightline_core::filter::{Field, TextField, parse_field};
use sightline_core::{CollectionName, Row, RowId};
use sightline_index::{IndexError, MAX_HITS, Projection, VectorIndex};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Rows whose values are read at once: they carry their texts too, which may have 64 KiB each.
const READ_ROWS: usize = 256;
/// Characters of a wrong name that are shown.
const SHOWN_CHARS: usize = 100;
/// Each ranking is read from its top again.
const GROWTH: usize = 4;

/// The value of a group. Values are one where filters take them for one: numbers by what they are worth, and a text that
/// looks like a number is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum GroupValue {
    Text(String),
    /// As it is written, one way for each number.
    Number(String),
    Bool(bool),
}

impl GroupValue {
    fn of_number(number: &Number) -> Self {
        match number.as_f64() {
            // Adding 0 makes −0 and 0 one.
            Some(value) => Self::Number((value + 0.0).to_string()),
            None => Self::Number(number.to_string()),
        }
    }

    /// What a page's token keeps of it: the same on every gateway.
    fn digest(&self) -> u128 {
        let (kind, value) = match self {
            Self::Text(text) => ("text", text.as_str()),
            Self::Number(number) => ("number", number.as_str()),
            Self::Bool(true) => ("bool", "true"),
            Self::Bool(false) => ("bool", "false"),
        };
        let digest = PartsDigest::new("sightline search group");
        let digest = digest.part(kind.as_bytes()).part(value.as_bytes()).short_hex();
        u128::from_str_radix(&digest, 16).unwrap_or_default()
    }
}

impl fmt::Display for GroupValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Number(text) => f.write_str(text),
            Self::Bool(flag) => flag.fmt(f),
        }
    }
}

/// What makes a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupKey {
    /// A text of the row's own.
    Text(TextField),
    /// An attribute: a text, a number or a truth.
    Attribute(String),
}

impl GroupKey {
    /// Of a field's name; an error says what could be given.
    pub(crate) fn of_name(name: &str) -> Result<Self, String> {
        let why = match parse_field(name) {
            Ok(Field::Text(field)) => return Ok(Self::Text(field)),
            Ok(Field::Attribute(name)) => return Ok(Self::Attribute(name)),
            Ok(Field::HasImage | Field::HasText | Field::IndexedAt) => String::new(),
            // Of a name that is wrong from its beginning the parser lists the fields of filters, of which some make no groups.
            Err(wrong) if wrong.position == 0 => String::new(),
            Err(wrong) => format!(", since at byte {} it should have {}", wrong.position, wrong.expected),
        };
        let shown: String = name.chars().take(SHOWN_CHARS).collect();
        let texts = TextField::ALL.map(TextField::as_str).join(", ");
        Err(format!(
            "{shown:?} makes no groups{why}: give attributes.NAME (an odd name in quotes), or one of {texts}"
        ))
    }

    /// The value of a row; none where it has none, and is a group of its own.
    fn of(&self, row: &Row) -> Option<GroupValue> {
        match self {
            Self::Text(field) => {
                let text = Some(field.of(row)).filter(|text| !text.is_empty());
                text.map(|text| GroupValue::Text(text.to_owned()))
            }
            Self::Attribute(name) => match row.attributes.get(name)? {
                Value::String(text) => Some(GroupValue::Text(text.clone())),
                Value::Number(number) => Some(GroupValue::of_number(number)),
                Value::Bool(flag) => Some(GroupValue::Bool(*flag)),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            },
        }
    }
}

/// What a row of the answer stands for.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Its value, where it has one.
    pub(crate) name: Option<String>,
    /// The value's digest; 0 of a row without one, which is a group of its own.
    pub(crate) digest: u128,
}

impl Group {
    fn of(value: &GroupValue) -> Self {
        Self {
            name: Some(value.to_string()),
            digest: value.digest(),
        }
    }
}

/// A ranking of groups.
#[derive(Debug)]
pub(crate) struct Grouped {
    /// The best row of each group.
    pub(crate) retrieved: Retrieved,
    /// The groups, in the order of the rows; empty where none were asked for.
    pub(crate) groups: Vec<Group>,
}

/// Retrieves the best row of each of the best groups, in the retrieval's window.
pub(crate) async fn retrieve_groups(
    index: &dyn VectorIndex,
    collection: &CollectionName,
    retrieval: &Retrieval,
    fusing: Fusing,
    key: &GroupKey,
) -> Result<Grouped, IndexError> {
    let mut values: HashMap<RowId, Option<GroupValue>> = HashMap::new();
    let wanted = retrieval.window.seen.saturating_add(retrieval.wanted);
    let mut rows = wanted.saturating_mul(GROWTH).min(MAX_HITS);
    loop {
        let from_top = Retrieval {
            wanted: rows,
            window: Window {
                floor: retrieval.window.floor,
                is_page: retrieval.window.is_page,
                ..Window::default()
            },
            ..retrieval.clone()
        };
        let retrieved = fusing.retrieve(index, collection, &from_top).await?;
        let ids = retrieved.rows.iter().map(|row| &row.id);
        read_values(index, collection, ids, key, &mut values).await?;
        let all_shown = retrieved.rows.len() < rows;
        let last = retrieved.rows.last().map(|row| row.score);
        let (best, groups) = best_of_groups(retrieved.rows, &values, retrieval);
        let enough = best.len() >= retrieval.wanted;
        if !enough && !all_shown && rows < MAX_HITS {
            rows = rows.saturating_mul(GROWTH).min(MAX_HITS);
            continue;
        }
        let proof = match (retrieved.proof, last) {
            (proof, Some(last)) if !enough && !all_shown => Proof::OverCandidates {
                unseen: match proof {
                    Proof::Exact => last,
                    Proof::OverCandidates { unseen } => unseen.max(last),
                },
            },
            (proof, _) => proof,
        };
        return Ok(Grouped {
            retrieved: Retrieved {
                rows: best,
                proof,
                depth: retrieved.depth,
            },
            groups,
        });
    }
}

async fn read_values(
    index: &dyn VectorIndex,
    collection: &CollectionName,
    ids: impl Iterator<Item = &RowId>,
    key: &GroupKey,
    values: &mut HashMap<RowId, Option<GroupValue>>,
) -> Result<(), IndexError> {
    let unknown: HashSet<&RowId> = ids.filter(|id| !values.contains_key(id)).collect();
    let unknown: Vec<RowId> = unknown.into_iter().cloned().collect();
    for ids in unknown.chunks(READ_ROWS) {
        for row in index.get_found(collection, ids, Projection::Metadata).await? {
            values.insert(row.id.clone(), key.of(&row));
        }
    }
    Ok(())
}

/// The first row in the window of each group that no page before has shown, as many as are wanted.
fn best_of_groups(
    rows: Vec<Fused>,
    values: &HashMap<RowId, Option<GroupValue>>,
    retrieval: &Retrieval,
) -> (Vec<Fused>, Vec<Group>) {
    let window = &retrieval.window;
    let mut here: HashSet<&GroupValue> = HashSet::new();
    let mut best = Vec::new();
    for row in rows {
        // A row that is not there was deleted since it was found.
        let Some(value) = values.get(&row.id) else { continue };
        // One that came before the page's end takes no place from its group's next row, which was there all the while.
        if !window.holds(row.score, &row.id) {
            continue;
        }
        match value {
            None => best.push((row, Group::default())),
            Some(value) if here.insert(value) => {
                let group = Group::of(value);
                if !window.groups.contains(&group.digest) {
                    best.push((row, group));
                }
            }
            Some(_) => {}
        }
    }
    best.truncate(retrieval.wanted);
    best.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_written_wrong_is_refused_with_the_place_and_what_should_stand_there() {
        for (name, why) in [
            (
                r#"attributes."View Position"#,
                "at byte 25 it should have \" at the end of the text that begins at byte 11",
            ),
            (r#"attributes."a\q""#, "at byte 13 it should have one of the escapes"),
            ("attributes.\"\"", "at byte 11 it should have an attribute's name"),
            (
                "attributes.View Position",
                "at byte 15 it should have the end of the field's name",
            ),
            ("attributes", "at byte 10 it should have `.` and the attribute's name"),
        ] {
            let said = GroupKey::of_name(name).unwrap_err();
            assert!(said.contains(why) && said.contains("give attributes.NAME"), "{said}");
        }
        for name in ["nothing", "labels", "has_text", ""] {
            let said = GroupKey::of_name(name).unwrap_err();
            assert!(said.contains("makes no groups: give attributes.NAME"), "{said}");
        }
    }
}
