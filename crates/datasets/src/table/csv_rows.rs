//! Rows of a CSV file, as the `csv` crate reads them, from any row on.

use super::Table;
use super::window::Window;
use crate::DatasetError;
use crate::cursor::TextPlace;
use crate::entry::Draft;
use csv_core::ReadRecordResult;
use serde_json::Value;

pub(super) async fn rows(
    table: &Table<'_>,
    window: &mut Window,
    from: Option<TextPlace>,
    limit: usize,
) -> Result<Vec<Draft>, DatasetError> {
    let mut reader = csv_core::Reader::new();
    let header = match next(&mut reader, window).await? {
        Some((_, Ok(header))) => header,
        Some((_, Err(message))) => return Err(DatasetError::unreadable(table.path, format!("its header: {message}"))),
        None => {
            return Err(DatasetError::unreadable(
                table.path,
                "it is empty; it needs a header line",
            ));
        }
    };
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let mapping = table
        .mapping(&header, false)
        .map_err(|error| table.columns_error(error, &header))?;
    if let Some(place) = from {
        window.seek(place);
    }
    let root = table.reader.store.root();
    let mut drafts = Vec::new();
    while drafts.len() < limit {
        let Some((line, fields)) = next(&mut reader, window).await? else {
            break;
        };
        drafts.push(match fields.and_then(|fields| fit(fields, header.len())) {
            Ok(fields) => {
                let mut values: Vec<Value> = fields.into_iter().map(Value::String).collect();
                mapping.draft(root, line, &mut values, true)
            }
            Err(message) => Draft::invalid(None, line, message),
        });
    }
    Ok(drafts)
}

/// As many fields as the header has; only empty ones may be missing or too many.
fn fit(mut fields: Vec<String>, columns: usize) -> Result<Vec<String>, String> {
    let given = fields.len();
    if fields.iter().skip(columns).any(|field| !field.is_empty()) || given < columns {
        return Err(format!(
            "it has {given} fields and the header has {columns}; put fields with commas in quotes"
        ));
    }
    fields.truncate(columns);
    Ok(fields)
}

/// A record and the line that it starts in; none at the end.
type Record = (u64, Result<Vec<String>, String>);

async fn next(reader: &mut csv_core::Reader, window: &mut Window) -> Result<Option<Record>, DatasetError> {
    if !window.skip_line_ends().await? {
        return Ok(None);
    }
    let line = window.line();
    loop {
        match parse(reader, window.rest(), window.is_all()) {
            Parsed::Record { bytes, .. } if bytes > window.max_row() => return too_long(window, line).await.map(Some),
            Parsed::Record { bytes, fields } => {
                window.advance(bytes);
                let fields = fields
                    .into_iter()
                    .map(|field| String::from_utf8(field).map_err(|_| "it is not UTF-8".to_owned()))
                    .collect();
                return Ok(Some((line, fields)));
            }
            Parsed::Unclosed => {
                // The rows that the quote would swallow are rows of their own.
                window.skip_line().await?;
                return Ok(Some((line, Err("a quote that it opens is never closed".into()))));
            }
            Parsed::NeedsMore if window.is_full() => return too_long(window, line).await.map(Some),
            Parsed::NeedsMore => window.more().await?,
        }
    }
}

async fn too_long(window: &mut Window, line: u64) -> Result<Record, DatasetError> {
    let limit = window.max_row();
    window.skip_line().await?;
    let message = format!("it is longer than {limit} bytes; is a closing quote missing?");
    Ok((line, Err(message)))
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    Record { bytes: usize, fields: Vec<Vec<u8>> },
    NeedsMore,
    Unclosed,
}

/// Takes one record off a text that does not start with a line end.
fn parse(reader: &mut csv_core::Reader, text: &[u8], is_all: bool) -> Parsed {
    reader.reset();
    // A field is never longer than what it is written as.
    let mut output = vec![0; text.len().min(4096)];
    let mut ends = vec![0; 64];
    let (mut read, mut written, mut ended) = (0, 0, 0);
    loop {
        let input = &text[read..];
        let (result, taken, put, fields) = reader.read_record(input, &mut output[written..], &mut ends[ended..]);
        read += taken;
        written += put;
        ended += fields;
        match result {
            ReadRecordResult::OutputFull => output.resize(output.len() * 2 + 64, 0),
            ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            ReadRecordResult::InputEmpty if !is_all => return Parsed::NeedsMore,
            // The next call has no input left, which ends the record.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::Record | ReadRecordResult::End => break,
        }
    }
    if text[..read].contains(&b'\n') && runs_on(&text[..read]) {
        return Parsed::Unclosed;
    }
    let mut from = 0;
    let fields = ends[..ended]
        .iter()
        .map(|end| output[std::mem::replace(&mut from, *end)..*end].to_vec())
        .collect();
    Parsed::Record { bytes: read, fields }
}

/// Whether a quote of a record is never closed, or closed by the quote that opens a field of a later row.
fn runs_on(record: &[u8]) -> bool {
    let mut rest = record;
    while let Some((first, after)) = rest.split_first() {
        if *first != b'"' {
            let end = rest.iter().position(|byte| matches!(byte, b',' | b'\r' | b'\n'));
            rest = end.map_or(&[], |end| &rest[end + 1..]);
            continue;
        }
        rest = after;
        loop {
            let Some(quote) = rest.iter().position(|byte| *byte == b'"') else {
                return true;
            };
            rest = &rest[quote + 1..];
            match rest.split_first() {
                Some((b'"', after)) => rest = after,
                Some((b',' | b'\r' | b'\n', after)) => {
                    rest = after;
                    break;
                }
                Some(_) => return true,
                None => return false,
            }
        }
    }
    false
}
