//! `sightline runs failures`: every failed item of a run, page by page.

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::runs::plain_table;
use crate::servers::Servers;
use crate::text::{plain, resource};
use clap::{Args, ValueEnum};
use comfy_table::Table;
use sightline_proto::v1;
use std::borrow::Cow;

/// Items of one page; one page is held in memory at a time, but for the table.
const PAGE: i32 = 1000;
/// Lines of a table for people.
const TABLE_ROWS: usize = 1000;

/// Which failures, and how they are written.
#[derive(Debug, Args)]
pub(crate) struct FailuresArgs {
    /// The run's id, or runs/ID.
    run: String,
    /// How they are written: a table for people, comma-separated values with a header, or a JSON object a line (as
    /// --json does).
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// As --format csv.
    #[arg(long, conflicts_with_all = ["jsonl", "json", "format"])]
    csv: bool,
    /// As --format jsonl.
    #[arg(long, conflicts_with = "format")]
    jsonl: bool,
}

/// How failures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Jsonl,
}

/// Lists them.
pub(crate) async fn run(args: &FailuresArgs, servers: &Servers, console: Console) -> Outcome {
    // A flag that stands before the command is none that clap sees a conflict with.
    if console.is_json() && (args.csv || args.format == Format::Csv) {
        return Err(CliError::Usage(
            "--json and CSV exclude each other: give one of them".into(),
        ));
    }
    let mut client = servers.coordinator().await?;
    let mut request = v1::ListFailuresRequest {
        parent: resource("runs", &args.run),
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut writer = Writer::new(args, console)?;
    loop {
        let answer = client.list_failures(request.clone()).await;
        let page = answer
            .map_err(|status| CliError::call("list the failures", &status))?
            .into_inner();
        for failure in &page.failures {
            writer.write(failure)?;
        }
        if page.next_page_token.is_empty() {
            writer.end()?;
            return Ok(Exit::Success);
        }
        request.page_token = page.next_page_token;
    }
}

enum Writer {
    Json(Console),
    Csv(Console),
    Table {
        console: Console,
        table: Box<Table>,
        rows: usize,
    },
}

impl Writer {
    fn new(args: &FailuresArgs, console: Console) -> Result<Self, CliError> {
        if args.jsonl || args.format == Format::Jsonl || console.is_json() {
            return Ok(Self::Json(console));
        }
        if args.csv || args.format == Format::Csv {
            console.say(&record(&["key", "reason", "message", "line", "stale"])?)?;
            return Ok(Self::Csv(console));
        }
        let mut table = Box::new(plain_table(console));
        table.set_header(["KEY", "REASON", "LINE", "MESSAGE"]);
        Ok(Self::Table {
            console,
            table,
            rows: 0,
        })
    }

    fn write(&mut self, failure: &v1::Failure) -> Result<(), CliError> {
        let line = if failure.line > 0 {
            failure.line.to_string()
        } else {
            String::new()
        };
        match self {
            Self::Json(console) => console.json(&json::of(failure)?),
            Self::Csv(console) => {
                let stale = failure.stale.to_string();
                console.say(&record(&[
                    &inert(&failure.key),
                    &failure.reason,
                    &inert(&failure.message),
                    &line,
                    &stale,
                ])?)
            }
            Self::Table { table, rows, .. } => {
                *rows += 1;
                if *rows <= TABLE_ROWS {
                    let stale = if failure.stale { " (an older row stays)" } else { "" };
                    let message = format!("{}{stale}", plain(&failure.message));
                    table.add_row([plain(&failure.key), plain(&failure.reason), line, message]);
                }
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), CliError> {
        let Self::Table { console, table, rows } = self else {
            return Ok(());
        };
        if rows == 0 {
            console.note("nothing failed");
            return Ok(());
        }
        console.say(&table.trim_fmt())?;
        if rows > TABLE_ROWS {
            console.note(&format!("and {} more: --csv or --jsonl list all", rows - TABLE_ROWS));
        }
        Ok(())
    }
}

/// A text that no spreadsheet takes for a formula: one that begins like one gets an apostrophe in front, as OWASP's
/// page on CSV injection has it. Programs that need keys as they are read --jsonl.
fn inert(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// One record without its line's end.
fn record(fields: &[&str]) -> Result<String, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(format!("cannot write CSV: {error}"));
    writer.write_record(fields).map_err(|error| failed(&error))?;
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| failed(&error))?;
    Ok(text.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_spreadsheet_would_compute_is_made_inert() {
        for text in ["=HYPERLINK(\"x\")", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(inert(text), format!("'{text}"));
        }
        for text in ["images/=1.png", "a-b", "", "'x"] {
            assert_eq!(inert(text), text);
        }
    }

    #[test]
    fn a_record_quotes_what_would_break_it() {
        let line = record(&["a,b", "corrupt_image", "line 1\nline \"2\"", "7", "false"]).unwrap();
        assert_eq!(line, "\"a,b\",corrupt_image,\"line 1\nline \"\"2\"\"\",7,false");
    }
}
