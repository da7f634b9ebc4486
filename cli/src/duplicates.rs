//! `sightline collections duplicates` and `dedupe`: rows of which the pictures are the same to the byte.

use crate::ask::ask;
use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::servers::Servers;
use crate::text::{count, id_of, plain, resource};
use clap::Args;
use sightline_proto::v1;
use sightline_proto::v1::duplicates_response::Summary;
use tonic::{Status, Streaming};

/// Where duplicates are looked for.
#[derive(Debug, Args)]
pub(crate) struct DuplicatesArgs {
    /// The collection's name.
    collection: String,
    /// Only rows of this dataset.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
}

/// Which rows go.
#[derive(Debug, Args)]
pub(crate) struct DedupeArgs {
    #[command(flatten)]
    rows: DuplicatesArgs,
    /// Only show which rows would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Lists the groups.
pub(crate) async fn list(args: &DuplicatesArgs, servers: &Servers, console: Console) -> Outcome {
    let summary = find(args, servers, console, Show::Groups).await?;
    if !console.is_json() {
        console.say(&found(&summary))?;
    }
    Ok(Exit::Success)
}

/// Deletes all rows of each group but the first.
pub(crate) async fn dedupe(args: &DedupeArgs, servers: &Servers, console: Console) -> Outcome {
    if args.dry_run {
        return list(&args.rows, servers, console).await;
    }
    if !args.yes {
        let summary = find(&args.rows, servers, console, Show::Nothing).await?;
        if summary.surplus_rows == 0 {
            return ended(&summary, console);
        }
        // An alias does not say what is lost.
        let described = crate::collections::get(&args.rows.collection, servers).await?;
        let collection = id_of(&described.name, "collections");
        ask(collection, &format!("from {collection} {}", surplus(&summary))).await?;
    }
    let request = v1::DropDuplicatesRequest {
        name: resource("collections", &args.rows.collection),
        dataset: args.rows.dataset.clone().unwrap_or_default(),
    };
    let failed = |status: Status| CliError::call("drop the duplicates", &status);
    let told = servers.search().await?.drop_duplicates(request).await;
    let told = told.map_err(failed)?.into_inner();
    ended(&follow(told, console, Show::Nothing, failed).await?, console)
}

fn ended(summary: &Summary, console: Console) -> Outcome {
    if console.is_json() {
        console.json(&json::of(summary)?)?;
    } else {
        console.say(&format!("deleted {}", rows(summary.deleted_rows)))?;
    }
    Ok(Exit::Success)
}

/// What is written of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Groups,
    Nothing,
}

async fn find(args: &DuplicatesArgs, servers: &Servers, console: Console, show: Show) -> Result<Summary, CliError> {
    let request = v1::FindDuplicatesRequest {
        name: resource("collections", &args.collection),
        dataset: args.dataset.clone().unwrap_or_default(),
    };
    let failed = |status: Status| CliError::call("look for duplicates", &status);
    let told = servers.search().await?.find_duplicates(request).await;
    follow(told.map_err(failed)?.into_inner(), console, show, failed).await
}

async fn follow(
    mut told: Streaming<v1::DuplicatesResponse>,
    console: Console,
    show: Show,
    failed: impl Fn(Status) -> CliError,
) -> Result<Summary, CliError> {
    while let Some(message) = told.message().await.map_err(&failed)? {
        for group in message.groups.iter().filter(|_| show == Show::Groups) {
            if console.is_json() {
                console.json(&json::of(group)?)?;
            } else {
                console.say(&lines(group))?;
            }
        }
        match message.summary {
            Some(summary) => return Ok(summary),
            None => console.note(&format!(
                "looked at {} of {}",
                count(message.checked_rows),
                rows(message.total_rows)
            )),
        }
    }
    Err(CliError::Failed(
        "the gateway ended before it had looked at everything: do it again, what is done stays done".into(),
    ))
}

fn rows(number: i64) -> String {
    format!("{} {}", count(number), if number == 1 { "row" } else { "rows" })
}

fn surplus(summary: &Summary) -> String {
    let mut text = format!(
        "{} of {} pictures that more than one row has",
        rows(summary.surplus_rows),
        count(summary.groups)
    );
    if summary.other_texts > 0 {
        text = format!(
            "{text} ({} with another text than the row that stays)",
            rows(summary.other_texts)
        );
    }
    text
}

fn found(summary: &Summary) -> String {
    if summary.groups == 0 {
        return "no two rows have the same picture".into();
    }
    format!("{}; nothing was deleted", surplus(summary))
}

/// A group: the row that would stay, and the others below it.
fn lines(group: &v1::DuplicateGroup) -> String {
    let hash: String = group.content_hash.chars().take(12).collect();
    let mut lines = vec![format!("{hash}…  {}", rows(group.rows))];
    for (at, item) in group.items.iter().enumerate() {
        let mark = if at == 0 { "stays" } else { "     " };
        lines.push(format!("  {mark}  {}  {}", plain(&item.dataset), plain(&item.key)));
    }
    let more = group.rows - i64::try_from(group.items.len()).unwrap_or(i64::MAX);
    if more > 0 {
        lines.push(format!("         and {} more", count(more)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_names_the_row_that_stays_first_and_counts_what_is_not_listed() {
        let item = |key: &str| v1::DuplicateItem {
            key: key.into(),
            dataset: "d".into(),
            name: String::new(),
        };
        let group = v1::DuplicateGroup {
            content_hash: "0123456789abcdef".into(),
            rows: 5,
            items: vec![item("a.png"), item("b\n.png")],
        };
        assert_eq!(
            lines(&group),
            "0123456789ab…  5 rows\n  stays  d  a.png\n         d  b .png\n         and 3 more"
        );
    }

    #[test]
    fn rows_with_another_text_are_told_before_they_go() {
        let summary = Summary {
            groups: 2,
            surplus_rows: 3,
            other_texts: 1,
            deleted_rows: 0,
        };
        assert_eq!(
            surplus(&summary),
            "3 rows of 2 pictures that more than one row has (1 row with another text than the row that stays)"
        );
        assert_eq!(found(&Summary::default()), "no two rows have the same picture");
    }
}
