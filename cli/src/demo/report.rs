//! What came of the demo.

use super::evaluate::Scores;
use super::{last_line, share};
use crate::console::Console;
use crate::error::CliError;
use crate::servers::Servers;
use crate::text::plain;
use serde_json::json;
use sightline_proto::v1;
use std::path::PathBuf;

/// Failures that are shown one by one.
const SHOWN: i32 = 5;

/// The first failed items, each with why.
pub(super) async fn failures(servers: &Servers, run: &v1::Run) -> Result<Vec<String>, CliError> {
    if run.counts.is_none_or(|counts| counts.failed == 0) {
        return Ok(Vec::new());
    }
    let request = v1::ListFailuresRequest {
        parent: run.name.clone(),
        page_size: SHOWN,
        page_token: String::new(),
    };
    let answer = servers.coordinator().await?.list_failures(request).await;
    let page = answer
        .map_err(|status| CliError::call("list the failures", &status))?
        .into_inner();
    let line = |failure: &v1::Failure| {
        format!(
            "  {}: {}: {}",
            plain(&failure.key),
            plain(&failure.reason),
            plain(&failure.message)
        )
    };
    Ok(page.failures.iter().map(line).collect())
}

/// Prints the pages' paths and the last line; with `--json` one object.
pub(super) fn end(run: &v1::Run, scores: &Scores, sheets: &[PathBuf], console: Console) -> Result<(), CliError> {
    let counts = run.counts.unwrap_or_default();
    let indexed = counts.indexed + counts.unchanged;
    let paths: Vec<String> = sheets.iter().map(|path| path.display().to_string()).collect();
    if console.is_json() {
        return console.json(&json!({
            "run": run.name,
            "indexed": indexed,
            "failed": counts.failed,
            "self_top1": scores.self_top1,
            "text_r1": scores.text_r1,
            "text_r10": scores.text_r10,
            "sheets": paths,
        }));
    }
    console.note("");
    if scores.unreadable > 0 {
        console.note(&format!(
            "{} indexed pictures are not there any more: they were not searched by",
            scores.unreadable
        ));
    }
    if scores.self_top1.is_some() {
        console.note(&format!(
            "Pictures that find themselves first: {}",
            share(scores.self_top1)
        ));
    }
    if scores.text_r1.is_some() {
        console.note(&format!(
            "Captions that find their picture among 200: first {}, among ten {} (by chance 0.005 and 0.050)",
            share(scores.text_r1),
            share(scores.text_r10)
        ));
    }
    console.note("Open these pages to look:");
    for path in paths {
        console.say(&format!("  {path}"))?;
    }
    console.say(&last_line(indexed, counts.failed, scores))
}
