//! Rows of a JSONL file: one JSON object a line.

use super::Table;
use super::window::Window;
use crate::DatasetError;
use crate::cursor::TextPlace;
use crate::entry::Draft;
use serde_json::{Map, Value};

pub(super) async fn rows(
    table: &Table<'_>,
    window: &mut Window,
    from: Option<TextPlace>,
    limit: usize,
) -> Result<Vec<Draft>, DatasetError> {
    let mut first = from.is_none();
    if let Some(place) = from {
        window.seek(place);
    }
    let root = table.reader.store.root();
    let mut drafts = Vec::new();
    while drafts.len() < limit && window.skip_line_ends().await? {
        let line = window.line();
        let Some(length) = window.line_length().await? else {
            let message = format!("it is longer than {} bytes", window.max_row());
            window.skip_line().await?;
            drafts.push(Draft::invalid(None, line, message));
            continue;
        };
        let parsed = serde_json::from_slice::<Map<String, Value>>(&window.rest()[..length]);
        let blank = window.rest()[..length].trim_ascii().is_empty();
        window.skip_line().await?;
        let row = match parsed {
            _ if blank => continue,
            Ok(row) => row,
            Err(error) => {
                let message = format!("it is not a JSON object: {error}");
                drafts.push(Draft::invalid(None, line, message));
                continue;
            }
        };
        let (names, mut values): (Vec<String>, Vec<Value>) = row.into_iter().unzip();
        drafts.push(match table.mapping(&names, true) {
            Ok(mapping) => mapping.draft(root, line, &mut values, false),
            // Where the first row does not fit, none is expected to.
            Err(message) if first => return Err(table.columns_error(message, &names)),
            Err(message) => Draft::invalid(None, line, format!("it {message}")),
        });
        first = false;
    }
    Ok(drafts)
}
