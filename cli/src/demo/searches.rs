//! The three searches that are shown.

use super::pictures::Pictures;
use crate::console::Console;
use crate::error::CliError;
use crate::ingest::FieldArg;
use crate::search::{Example, Picture, Query, SHEET_PIXELS, ask, table, write_sheet};
use crate::servers::Servers;
use sightline_core::{CollectionName, Row};
use sightline_index::{Projection, VectorIndex};
use sightline_proto::v1;
use std::path::{Path, PathBuf};

const WORDS: &str = "a red apple";
/// Hits of a page, and how many of them are printed.
const SHEET_HITS: i32 = 24;
const PRINTED: usize = 5;
/// Rows among which two pictures are looked for where none are chosen.
const LOOKED_AT: usize = 200;

/// Searches by picture, by words and by both; prints the best, and writes a page of each. Gives the pages' paths.
pub(super) async fn show(
    servers: &Servers,
    index: &dyn VectorIndex,
    pictures: &Pictures,
    data: &Path,
    console: Console,
) -> Result<Vec<PathBuf>, CliError> {
    let client = servers.search().await?;
    let mut sheets = Vec::new();
    for (title, name, query) in queries(index, pictures).await? {
        let response = ask(&client, &query).await?;
        let path = data.join("sheets").join(name);
        write_sheet(&path, &query, &response).await?;
        let hits = response.hits.into_iter().take(PRINTED).collect();
        let best = v1::SearchResponse { hits, ..response };
        console.note(&format!("\n{title}\n{}", table(&best, console)));
        sheets.push(path);
    }
    Ok(sheets)
}

async fn queries(index: &dyn VectorIndex, pictures: &Pictures) -> Result<Vec<(String, &'static str, Query)>, CliError> {
    let base = Query {
        collection: pictures.collection().to_owned(),
        top_k: SHEET_HITS,
        thumbnail_pixels: SHEET_PIXELS,
        ..Query::default()
    };
    let by_words = Query {
        examples: vec![Example::text(WORDS)],
        against: Some(FieldArg::Image),
        ..base.clone()
    };
    let mut queries = vec![(
        format!("By words, among pictures: “{WORDS}”"),
        "by-words.html",
        by_words,
    )];
    let (first, other) = two(index, pictures).await?;
    if let Some((key, picture)) = first {
        let by_picture = Query {
            examples: vec![Example::picture(picture)],
            against: Some(FieldArg::Image),
            ..base.clone()
        };
        queries.insert(0, (format!("By picture: {key}"), "by-picture.html", by_picture));
    }
    if let Some((key, picture)) = other {
        let title = format!("By both, half each: {key} and “{WORDS}”");
        queries.push((
            title,
            "by-both.html",
            Query {
                examples: vec![Example::picture(picture), Example::text(WORDS)],
                alpha: Some(0.5),
                ..base
            },
        ));
    }
    Ok(queries)
}

type Chosen = Option<(String, Picture)>;

/// Two pictures to start from.
async fn two(index: &dyn VectorIndex, pictures: &Pictures) -> Result<(Chosen, Chosen), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(format!("cannot choose pictures: {error}"));
    let collection = CollectionName::new(pictures.collection()).map_err(|error| failed(&error))?;
    if let Some((first, other)) = pictures.chosen() {
        let of = |key: &str| format!("{}/{key}", pictures.root());
        return Ok((
            read(pictures, first, &of(first)).await,
            read(pictures, other, &of(other)).await,
        ));
    }
    let rows = index
        .scan(&collection, None, None, LOOKED_AT, Projection::Metadata)
        .await;
    let rows: Vec<Row> = rows.map_err(|error| failed(&error))?;
    let mut found = Vec::new();
    for row in &rows {
        found.extend(read(pictures, &row.key, &row.image_path).await);
        if found.len() == 2 {
            break;
        }
    }
    let first = found.first().cloned();
    Ok((first, found.pop()))
}

async fn read(pictures: &Pictures, key: &str, image_path: &str) -> Chosen {
    let file = pictures.file(image_path)?;
    Some((key.to_owned(), Picture::read(&file).await.ok()?))
}
