//! `sightline search`: a table, and a contact sheet.

mod example;
mod examples;
mod query;
mod table;

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::ingest::FieldArg;
use crate::servers::{Searching, Servers};
use crate::{json, sheet};
use clap::{ArgGroup, Args};
pub(crate) use example::{Example, Input, Picture};
use examples::ExampleArgs;
pub(crate) use query::Query;
use sightline_proto::v1;
use std::path::{Path, PathBuf};
pub(crate) use table::text as table;

/// Pixels of a contact sheet's pictures.
pub(crate) const SHEET_PIXELS: i32 = 384;

/// Search a collection by picture, by words, by item, or by several of them.
///
/// With a picture and a text: score = alpha · cos(picture) + (1 − alpha) · cos(text). Of several examples each counts by its
/// weight, those of --not-… against: score = Σ weight · cos / Σ |weight|.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("query").required(true).multiple(true).args(examples::NAMES))]
pub(crate) struct SearchArgs {
    /// The collection.
    #[arg(long, value_name = "NAME")]
    collection: String,
    #[command(flatten)]
    examples: ExampleArgs,
    /// With pictures and words: the pictures' share of the score, 0 to 1. 0.5 by default with one picture and one text.
    #[arg(long, value_name = "A")]
    alpha: Option<f64>,
    /// The vectors that every example is compared with: words with pictures, say. Its own kind by default.
    #[arg(long, value_name = "FIELD")]
    against: Option<FieldArg>,
    /// Hits wanted.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=16_384))]
    top_k: i32,
    /// Only items for which this holds: 'labels:"Cardiomegaly" AND attributes.age > 60'.
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Only hits that score at least this.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    min_score: Option<f64>,
    /// One hit a value of this field, the best: uid for one hit a patient, or attributes.NAME.
    #[arg(long, value_name = "FIELD")]
    group_by: Option<String>,
    /// Fuse picture and text by their ranks in each list, not by their cosines.
    #[arg(long, conflicts_with = "min_score")]
    by_rank: bool,
    /// What of each hit is read, by the names of the API: labels, report_text, …; all but the vectors by default.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    fields: Vec<String>,
    /// How widely an approximate index looks; the index's default by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    effort: Option<i32>,
    /// Instead of --effort: the share of the best hits that an approximate index has to find, above 0, at most 1.
    #[arg(long, value_name = "SHARE", conflicts_with = "effort")]
    recall_target: Option<f64>,
    /// Write the hits as a page with their pictures.
    #[arg(long, value_name = "OUT.html")]
    html: Option<PathBuf>,
}

/// Searches, prints, and writes the page.
pub(crate) async fn run(args: &SearchArgs, servers: &Servers, console: Console) -> Outcome {
    let query = query_of(args).await?;
    let response = ask(&servers.search().await?, &query).await?;
    if let Some(path) = &args.html {
        write_sheet(path, &query, &response).await?;
        console.note(&format!("wrote {}", path.display()));
    }
    if console.is_json() {
        // Pictures are for the page; a program asks the service for them.
        let hits = response
            .hits
            .into_iter()
            .map(|hit| v1::Hit {
                thumbnail: Vec::new(),
                ..hit
            })
            .collect();
        console.json(&json::of(&v1::SearchResponse { hits, ..response })?)?;
    } else if response.hits.is_empty() {
        console.note("nothing was found");
    } else {
        console.say(&table(&response, console))?;
    }
    Ok(Exit::Success)
}

/// Asks the gateway.
pub(crate) async fn ask(client: &Searching, query: &Query) -> Result<v1::SearchResponse, CliError> {
    let answer = client.clone().search(query.to_api()).await;
    Ok(answer.map_err(|status| CliError::call("search", &status))?.into_inner())
}

/// Writes a contact sheet, with its folders.
pub(crate) async fn write_sheet(path: &Path, query: &Query, response: &v1::SearchResponse) -> Result<(), CliError> {
    let wrong = |error: std::io::Error| CliError::Failed(format!("cannot write {}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(wrong)?;
    }
    tokio::fs::write(path, sheet::page(query, response))
        .await
        .map_err(wrong)
}

async fn query_of(args: &SearchArgs) -> Result<Query, CliError> {
    let query = Query {
        collection: args.collection.clone(),
        examples: args.examples.read().await?,
        alpha: args.alpha,
        against: args.against,
        top_k: args.top_k,
        filter: args.filter.clone().unwrap_or_default(),
        fields: args.fields.clone(),
        effort: args.effort.unwrap_or_default(),
        recall_target: args.recall_target,
        min_score: args.min_score,
        group_by: args.group_by.clone().unwrap_or_default(),
        by_rank: args.by_rank,
        thumbnail_pixels: if args.html.is_some() { SHEET_PIXELS } else { 0 },
    };
    query.check()?;
    Ok(query)
}
