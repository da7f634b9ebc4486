//! The forms in which a size is given.

use super::keys::Keys;
use crate::error::FolderError;
use serde_json::{Map, Value};

pub(super) const FORMS: &str =
    "give {\"shortest_edge\": n}, {\"height\": h, \"width\": w}, {\"longest_edge\": n} or shortest and longest edge";

/// An edge may have this many pixels; networks take hundreds.
const MAX_EDGE: u32 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// A number alone, which processors understand in two ways.
    Edge(u32),
    Shortest(u32),
    Exact([u32; 2]),
    Within([u32; 2]),
    Bounded {
        shortest: u32,
        longest: u32,
    },
}

impl Size {
    pub(super) fn parse(keys: &Keys<'_>, key: &str, value: &Value) -> Result<Self, FolderError> {
        let form = || keys.wrong(key, format!("is {value}"), FORMS);
        let edge = |value: &Value| {
            let number = value.as_u64().ok_or_else(form)?;
            match u32::try_from(number) {
                Ok(edge) if (1..=MAX_EDGE).contains(&edge) => Ok(edge),
                _ => {
                    let problem = format!("has an edge of {number} pixels");
                    Err(keys.wrong(key, problem, format!("give 1 to {MAX_EDGE}")))
                }
            }
        };
        match value {
            Value::Number(_) => Ok(Self::Edge(edge(value)?)),
            Value::Array(sides) => match sides.as_slice() {
                [height, width] => Ok(Self::Exact([edge(height)?, edge(width)?])),
                _ => Err(form()),
            },
            Value::Object(sides) => {
                let given = named(sides);
                match given.as_slice() {
                    [("shortest_edge", shortest)] => Ok(Self::Shortest(edge(shortest)?)),
                    [("height", height), ("width", width)] => Ok(Self::Exact([edge(height)?, edge(width)?])),
                    [("longest_edge", longest)] => Ok(Self::Within([edge(longest)?; 2])),
                    [("max_height", height), ("max_width", width)] => Ok(Self::Within([edge(height)?, edge(width)?])),
                    [("longest_edge", longest), ("shortest_edge", shortest)] => Ok(Self::Bounded {
                        shortest: edge(shortest)?,
                        longest: edge(longest)?,
                    }),
                    _ => Err(form()),
                }
            }
            _ => Err(form()),
        }
    }
}

/// The sides that are given, in the order of their names.
fn named(sides: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut given: Vec<(&str, &Value)> = sides
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    given.sort_by_key(|(name, _)| *name);
    given
}
