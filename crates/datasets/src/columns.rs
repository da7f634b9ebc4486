//! Which column means what, and what a row's values make of an item.

mod exported;

use crate::entry::{Draft, Wanted, line_key};
use exported::{ORIGIN, boxes_of, fields_of, hash_of};
use serde_json::{Map, Value};
use sightline_core::run::Columns;
use sightline_core::vector::narrow;
use sightline_core::{FailureReason, Item, ItemKey, StoredVector, ToldPicture, VectorField};
use std::collections::BTreeMap;

const KEY: &[&str] = &["key"];
const IMAGE: &[&str] = &["image", "image_path", "path", "file", "file_name", "filename", "url"];
pub(crate) const TEXT: &[&str] = &["text", "caption", "report", "report_text"];
pub(crate) const IMAGE_ID: &[&str] = &["image_id"];
pub(crate) const UID: &[&str] = &["uid"];
pub(crate) const LABELS: &[&str] = &["labels", "label"];

/// Which of a table's columns means what, by position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mapping {
    key: Option<usize>,
    image: Option<usize>,
    text: Option<usize>,
    image_id: Option<usize>,
    uid: Option<usize>,
    labels: Option<usize>,
    attributes: Vec<(usize, String)>,
    vectors: Vec<(VectorField, usize, String)>,
    /// For a table beside vectors: what stands before the line in the key of a row without a name.
    unnamed: Option<String>,
}

/// What a table has beside its columns when its items bring vectors that were made elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Imported {
    /// Columns of lists of numbers.
    pub(crate) vectors: BTreeMap<VectorField, String>,
    /// What stands before the line in the key of a row without a name.
    pub(crate) unnamed: String,
}

/// Why a row makes no item.
struct Wrong {
    reason: FailureReason,
    message: String,
}

impl From<String> for Wrong {
    /// Most of what is wrong is the row's own.
    fn from(message: String) -> Self {
        Self {
            reason: FailureReason::InvalidRow,
            message,
        }
    }
}

impl Mapping {
    /// Finds the columns in a table's header. With `partial`, a named column may be missing: rows of JSONL leave
    /// fields out.
    pub(crate) fn resolve(columns: &Columns, header: &[String], partial: bool) -> Result<Self, String> {
        let mapping = Self::found(columns, header, partial, &[])?;
        if mapping.image.is_none() && mapping.text.is_none() {
            return Err(format!(
                "has no column for the image ({}) and none for the text ({}); name them",
                IMAGE.join(", "),
                TEXT.join(", ")
            ));
        }
        Ok(mapping)
    }

    /// Finds the columns of a table beside vectors, whose rows may have neither picture nor text.
    pub(crate) fn resolve_imported(
        columns: &Columns,
        imported: &Imported,
        header: &[String],
        partial: bool,
    ) -> Result<Self, String> {
        let mut vectors = Vec::new();
        for (field, name) in &imported.vectors {
            if !partial && !header.contains(name) {
                let flag = match field {
                    VectorField::Image => "--image-column",
                    VectorField::Text => "--text-column",
                };
                return Err(format!(
                    "has no column {name:?} with vectors: name the one that has them, or leave {flag} out"
                ));
            }
            if let Some(at) = find(header, name, partial)? {
                vectors.push((*field, at, name.clone()));
            }
        }
        let taken: Vec<usize> = vectors.iter().map(|(_, at, _)| *at).collect();
        let mapping = Self::found(columns, header, partial, &taken)?;
        Ok(Self {
            vectors,
            unnamed: Some(imported.unnamed.clone()),
            ..mapping
        })
    }

    fn found(columns: &Columns, header: &[String], partial: bool, taken: &[usize]) -> Result<Self, String> {
        let find = |name: &str| find(header, name, partial);
        let role = |named: &Option<String>, usual: &[&str]| match named {
            Some(name) => find(name),
            None => usual_column(header, usual),
        };
        let mut mapping = Self {
            key: role(&columns.key, KEY)?,
            image: role(&columns.image, IMAGE)?,
            text: role(&columns.text, TEXT)?,
            image_id: role(&columns.image_id, IMAGE_ID)?,
            uid: role(&columns.uid, UID)?,
            labels: role(&columns.labels, LABELS)?,
            ..Self::default()
        };
        if columns.attributes.is_empty() {
            let used = [
                mapping.key,
                mapping.image,
                mapping.text,
                mapping.image_id,
                mapping.uid,
                mapping.labels,
            ];
            let is_free = |at: &usize| !used.contains(&Some(*at)) && !taken.contains(at);
            let others = (0..header.len()).filter(|at| is_free(at) && !header[*at].is_empty());
            mapping.attributes = others.map(|at| (at, header[at].clone())).collect();
        } else {
            for name in &columns.attributes {
                if let Some(at) = find(name)? {
                    mapping.attributes.push((at, name.clone()));
                }
            }
        }
        Ok(mapping)
    }

    /// What a row asks for. `root` is the dataset's root; values are in the header's order.
    pub(crate) fn draft(&self, root: &str, line: u64, values: &mut [Value], from_text: bool) -> Draft {
        let taken = self.key(root, values);
        match self.item(root, line, values, from_text) {
            Ok(wanted) => Draft::Wanted(Box::new(wanted)),
            Err(Wrong { reason, message }) => {
                Draft::failed(taken.unwrap_or_else(|| line_key(line)), Some(line), reason, message)
            }
        }
    }

    fn key(&self, root: &str, values: &[Value]) -> Option<ItemKey> {
        let named = self.key.and_then(|at| text_of(values.get(at)?).ok().flatten());
        let path = || text_of(values.get(self.image?)?).ok().flatten();
        let key = named.or_else(|| path().map(|path| below_root(root, &path).unwrap_or(path)))?;
        ItemKey::new(key).ok()
    }

    fn item(&self, root: &str, line: u64, values: &mut [Value], from_text: bool) -> Result<Wanted, Wrong> {
        let text = |at: Option<usize>, what: &str| match at.and_then(|at| values.get(at)) {
            Some(value) => text_of(value).map_err(|message| format!("its {what} {message}")),
            None => Ok(None),
        };
        let path = text(self.image, "image")?;
        let image = match &path {
            // A picture beside a vector is only named: it may lie where the vector was made.
            Some(path) if self.unnamed.is_some() => below_root(root, path).ok(),
            Some(path) => Some(below_root(root, path)?),
            None => None,
        };
        let report = text(self.text, "text")?;
        let named = text(self.key, "key")?;
        if image.is_none() && report.is_none() && self.unnamed.is_none() {
            return Err("it has neither an image nor a text".to_owned().into());
        }
        let key = match (named.or_else(|| image.clone()).or_else(|| path.clone()), &self.unnamed) {
            (Some(key), _) => ItemKey::new(key).map_err(|error| error.to_string())?,
            // A row with a text alone needs no name of its own to be found.
            (None, None) => line_key(line),
            (None, Some(before)) => ItemKey::clamped(&format!("{before}line:{line}")),
        };
        let mut item = Item::new(key);
        for (field, at, name) in &self.vectors {
            let vector = values.get(*at).map(|value| numbers_of(name, value)).transpose()?;
            if let Some(vector) = vector.flatten() {
                item.vectors.insert(*field, StoredVector::inline(&vector));
            }
        }
        let mut told = ToldPicture::default();
        if let (None, Some(outside), Some(_)) = (&image, path, &self.unnamed) {
            if is_picture_url(&outside) {
                told.url = Some(outside);
            } else {
                item.attributes.insert("image_path".into(), outside.into());
            }
        }
        let is_named = self.unnamed.is_some() && (image.is_some() || told.url.is_some());
        let is_exported = self.unnamed.is_some() && self.is_exported(&item.key, values);
        item.text = report;
        item.image_id = text(self.image_id, "image id")?;
        item.uid = text(self.uid, "uid")?;
        item.line = Some(line);
        if let Some(value) = self.labels.and_then(|at| values.get(at)) {
            item.labels = labels_of(value)?;
        }
        for (at, name) in &self.attributes {
            if is_exported && ORIGIN.contains(&name.as_str()) {
                continue;
            }
            let Some(value) = values.get_mut(*at).map(Value::take) else {
                continue;
            };
            if let Some(boxes) = boxes_of(name, &value) {
                item.boxes.extend(boxes);
                continue;
            }
            if let Some(hash) = hash_of(name, &value).filter(|_| is_named) {
                told.content_hash = Some(hash);
                continue;
            }
            let value = match fields_of(name, value) {
                Ok(fields) => {
                    item.attributes.extend(attributes_of(fields));
                    continue;
                }
                Err(value) => value,
            };
            if let Some(value) = attribute(value, from_text) {
                item.attributes.insert(name.clone(), value);
            }
        }
        item.told = (told != ToldPicture::default()).then(|| Box::new(told));
        Ok(Wanted { item, image })
    }
}

fn find(header: &[String], name: &str, partial: bool) -> Result<Option<usize>, String> {
    let mut places = header.iter().enumerate().filter(|(_, found)| *found == name);
    match (places.next(), places.next()) {
        (Some((at, _)), None) => Ok(Some(at)),
        (None, _) if partial => Ok(None),
        (None, _) => Err(format!("has no column {name:?}")),
        (Some(_), Some(_)) => Err(format!("has several columns {name:?}; give each a name of its own")),
    }
}

fn usual_column(header: &[String], usual: &[&str]) -> Result<Option<usize>, String> {
    for name in usual {
        let mut places = (0..header.len()).filter(|at| header[*at].eq_ignore_ascii_case(name));
        match (places.next(), places.next()) {
            (Some(at), None) => return Ok(Some(at)),
            (Some(_), Some(_)) => return Err(format!("has several columns {name:?}; name the one that is meant")),
            (None, _) => {}
        }
    }
    Ok(None)
}

/// A value as a text; none where there is none.
pub(crate) fn text_of(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(flag) => Ok(Some(flag.to_string())),
        Value::Array(_) | Value::Object(_) => Err("is a list or an object, not a text"),
    }
}

/// The list of numbers in a column of that name; none where there is none.
fn numbers_of(column: &str, value: &Value) -> Result<Option<Vec<f32>>, Wrong> {
    let list = match value {
        Value::Null => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Array(list) => list,
        _ => return Err(format!("its {column:?} is no list of numbers").into()),
    };
    // What JSON cannot write, NaN and infinity, comes as null.
    let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
    let numbers = numbers.ok_or_else(|| Wrong {
        reason: FailureReason::InvalidVector,
        message: format!("its {column:?} holds something else than finite numbers"),
    })?;
    Ok(Some(narrow(&numbers)))
}

/// Labels, each once, in order.
pub(crate) fn labels_of(value: &Value) -> Result<Vec<String>, String> {
    let mut labels: Vec<String> = Vec::new();
    let mut add = |label: &str| {
        let label = label.trim();
        if !label.is_empty() && !labels.iter().any(|known| known == label) {
            labels.push(label.to_owned());
        }
    };
    match value {
        Value::Array(list) => {
            for label in list {
                if let Some(label) = text_of(label).map_err(|message| format!("one of its labels {message}"))? {
                    add(&label);
                }
            }
        }
        other => {
            if let Some(text) = text_of(other).map_err(|message| format!("its labels {message}"))? {
                text.split('|').for_each(add);
            }
        }
    }
    Ok(labels)
}

/// The attributes in an object. A field without a name becomes none, as a column without one does not: filters cannot name
/// it.
pub(crate) fn attributes_of(fields: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    let named = fields.into_iter().filter(|(name, _)| !name.is_empty());
    named.filter_map(|(name, value)| Some((name, attribute(value, false)?)))
}

/// A value as an attribute keeps it.
fn attribute(value: Value, from_text: bool) -> Option<Value> {
    let flat = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) if from_text => Some(number_of(&text).unwrap_or(Value::String(text))),
        Value::Array(list) if list.iter().all(flat) => Some(Value::Array(list)),
        nested @ (Value::Array(_) | Value::Object(_)) => Some(Value::String(nested.to_string())),
        plain => Some(plain),
    }
}

/// A number, where a text is written as JSON writes one and loses nothing by it.
fn number_of(text: &str) -> Option<Value> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !plain || text.bytes().filter(u8::is_ascii_digit).count() > 15 {
        return None;
    }
    serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number)
}

/// A path below the root, also where it is written as a URL.
fn below_root(root: &str, path: &str) -> Result<String, String> {
    let path = path.trim();
    let below = path
        .strip_prefix(root)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(path);
    let below = below.strip_prefix("./").unwrap_or(below);
    if below.contains("://") {
        return Err(format!("its image {path:?} is a URL outside the dataset's root {root}"));
    }
    check_path(below)?;
    Ok(below.to_owned())
}

/// Whether a row can name its picture so, though it lies outside the dataset's root: by a URL such as rows have.
fn is_picture_url(path: &str) -> bool {
    let is_of_a_store = path.starts_with("s3://") || path.starts_with("file:///");
    is_of_a_store && !leads_out(path)
}

fn leads_out(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part == "..")
}

/// Refuses a path that does not stay below the root.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        return Err(format!(
            "its image {path:?} is an absolute path; write it below the dataset's root"
        ));
    }
    if leads_out(path) {
        return Err(format!("its image {path:?} leads out of the dataset's root"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
