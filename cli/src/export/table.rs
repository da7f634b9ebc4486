//! Items as rows of a Parquet file.

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use prost_types::Value;
use prost_types::value::Kind;
use serde_json::{Map, Number, Value as Json};
use sightline_proto::v1;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

/// Rows of a group: they are held until it is full.
const GROUP_ROWS: usize = 1000;

type Group<'a> = SerializedRowGroupWriter<'a, BufWriter<File>>;

/// A file that is being written.
pub(super) struct Table {
    writer: SerializedFileWriter<BufWriter<File>>,
    vectors: Vec<&'static str>,
    waiting: Vec<v1::Item>,
}

impl Table {
    /// Starts a file; `vectors` are the fields whose vectors it has as columns.
    pub(super) fn new(file: File, vectors: Vec<&'static str>) -> Result<Self, ParquetError> {
        let mut columns = String::new();
        for name in TEXTS.iter().map(|(name, _)| name).chain(["attributes", "boxes"].iter()) {
            columns += &format!("OPTIONAL BYTE_ARRAY {name} (UTF8); ");
        }
        columns += "OPTIONAL GROUP labels (LIST) { REPEATED GROUP list { REQUIRED BYTE_ARRAY element (UTF8); } } ";
        for name in &vectors {
            columns +=
                &format!("OPTIONAL GROUP {name} (LIST) {{ REPEATED GROUP list {{ REQUIRED FLOAT element; }} }} ");
        }
        let schema = parse_message_type(&format!("message items {{ {columns} }}"))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(BufWriter::new(file), Arc::new(schema), Arc::new(properties))?;
        Ok(Self {
            writer,
            vectors,
            waiting: Vec::with_capacity(GROUP_ROWS),
        })
    }

    pub(super) fn push(&mut self, item: v1::Item) -> Result<(), ParquetError> {
        self.waiting.push(item);
        if self.waiting.len() == GROUP_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// What it returned for is a whole file.
    pub(super) fn finish(mut self) -> Result<(), ParquetError> {
        self.flush()?;
        let file = self.writer.into_inner()?;
        let file = file
            .into_inner()
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(file.sync_all()?)
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let items = std::mem::take(&mut self.waiting);
        if items.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for (_, value) in TEXTS {
            let texts = items
                .iter()
                .map(|item| Some(value(item)).filter(|text| !text.is_empty()));
            texts_column(&mut group, texts)?;
        }
        let attributes: Vec<String> = items.iter().map(attributes).collect();
        texts_column(&mut group, attributes.iter().map(|text| Some(text.as_str())))?;
        let boxes: Vec<Option<String>> = items.iter().map(boxes).collect();
        texts_column(&mut group, boxes.iter().map(Option::as_deref))?;
        lists_column::<ByteArrayType>(&mut group, &items, |item| {
            item.labels.iter().map(|label| bytes(label)).collect()
        })?;
        for field in &self.vectors {
            lists_column::<FloatType>(&mut group, &items, |item| {
                let vector = match *field {
                    "image_embedding" => &item.image_embedding,
                    _ => &item.text_embedding,
                };
                vector.as_ref().map(|vector| vector.values.clone()).unwrap_or_default()
            })?;
        }
        group.close()?;
        Ok(())
    }
}

type Read = fn(&v1::Item) -> &str;

/// Columns of texts, under names that imports find by themselves.
const TEXTS: [(&str, Read); 8] = [
    ("key", |item| &item.key),
    ("image_path", |item| &item.image_path),
    ("caption", |item| &item.report_text),
    ("image_id", |item| &item.image_id),
    ("uid", |item| &item.uid),
    ("id", |item| &item.id),
    ("dataset", |item| &item.dataset),
    ("content_hash", |item| &item.content_hash),
];

/// As one text of JSON: what attributes there are differs from item to item.
fn attributes(item: &v1::Item) -> String {
    let fields = item.attributes.iter().flat_map(|attributes| &attributes.fields);
    let fields: Map<String, Json> = fields.map(|(name, value)| (name.clone(), json(value))).collect();
    Json::Object(fields).to_string()
}

/// As one text of JSON; none where there are none.
fn boxes(item: &v1::Item) -> Option<String> {
    let boxes = item.boxes.iter().map(|found| {
        serde_json::json!({
            "label": found.label, "x": found.x, "y": found.y, "width": found.width, "height": found.height
        })
    });
    let boxes: Vec<Json> = boxes.collect();
    (!boxes.is_empty()).then(|| Json::Array(boxes).to_string())
}

fn json(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::NumberValue(value)) => number(*value).map_or(Json::Null, Json::Number),
        Some(Kind::StringValue(text)) => text.clone().into(),
        Some(Kind::BoolValue(flag)) => (*flag).into(),
        Some(Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(Kind::StructValue(fields)) => {
            let fields = fields.fields.iter().map(|(name, value)| (name.clone(), json(value)));
            Json::Object(fields.collect())
        }
    }
}

/// Whole numbers as they were written, as far as a 64-bit float tells them apart.
fn number(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
    if value.fract() == 0.0 && value.abs() < EXACT && (value != 0.0 || value.is_sign_positive()) {
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

fn bytes(text: &str) -> ByteArray {
    text.as_bytes().to_vec().into()
}

fn texts_column<'a>(group: &mut Group<'_>, texts: impl Iterator<Item = Option<&'a str>>) -> Result<(), ParquetError> {
    let (mut values, mut defined) = (Vec::new(), Vec::new());
    for text in texts {
        defined.push(i16::from(text.is_some()));
        values.extend(text.map(bytes));
    }
    write::<ByteArrayType>(group, &values, &defined, None)
}

/// Lists of values that are never null; an empty list is a null.
fn lists_column<T: DataType>(
    group: &mut Group<'_>,
    items: &[v1::Item],
    list: impl Fn(&v1::Item) -> Vec<T::T>,
) -> Result<(), ParquetError> {
    let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        let list = list(item);
        if list.is_empty() {
            defined.push(0);
            repeated.push(0);
        }
        for (at, value) in list.into_iter().enumerate() {
            defined.push(2);
            repeated.push(i16::from(at > 0));
            values.push(value);
        }
    }
    write::<T>(group, &values, &defined, Some(&repeated))
}

fn write<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    defined: &[i16],
    repeated: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let too_few = || ParquetError::General("the file has fewer columns than its schema".into());
    let mut column = group.next_column()?.ok_or_else(too_few)?;
    column.typed::<T>().write_batch(values, Some(defined), repeated)?;
    column.close()
}
