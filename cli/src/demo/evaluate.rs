//! How well the collection answers, measured through the gateway.

use super::pictures::Pictures;
use crate::console::Console;
use crate::error::CliError;
use crate::ingest::FieldArg;
use crate::search::{Example, Picture, Query, ask};
use crate::servers::{Searching, Servers};
use crate::watch::progress::bar;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use sightline_core::filter;
use sightline_core::{CollectionName, Row};
use sightline_index::{Projection, VectorIndex};

/// Rows of one page: so many are in memory.
const PAGE_ROWS: usize = 500;
/// Searches under way at once: the gateway computes two while others are read.
const AT_ONCE: usize = 4;
/// Scores that differ by less are equal.
const TIE: f64 = 1e-6;
/// How many are looked through for a tie.
const TIED: i32 = 100;
const RECALL_AT: usize = 10;
/// Which pictures recall by words is measured on.
const GALLERY: &str = "attributes.gallery = true";

/// Shares from 0 to 1; none where nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Scores {
    /// Indexed pictures that find themselves first.
    pub(super) self_top1: Option<f64>,
    /// Captions of the gallery that find their picture first.
    pub(super) text_r1: Option<f64>,
    /// Captions of the gallery that find their picture among the first ten.
    pub(super) text_r10: Option<f64>,
    /// Indexed pictures whose file is not there any more.
    pub(super) unreadable: u64,
}

/// Measures.
pub(super) async fn evaluate(
    servers: &Servers,
    index: &dyn VectorIndex,
    pictures: &Pictures,
    console: Console,
) -> Result<Scores, CliError> {
    let measured = Measure {
        client: servers.search().await?,
        index,
        pictures,
        collection: CollectionName::new(pictures.collection()).map_err(|error| CliError::Failed(error.to_string()))?,
    };
    let (found, tried, unreadable) = measured.selves(console).await?;
    let mut scores = Scores {
        self_top1: of(found, tried),
        unreadable,
        ..Scores::default()
    };
    if pictures.have_captions() {
        let (first, ten, tried) = measured.captions(console).await?;
        scores.text_r1 = of(first, tried);
        scores.text_r10 = of(ten, tried);
    }
    Ok(scores)
}

fn of(found: u64, tried: u64) -> Option<f64> {
    (tried > 0).then(|| found as f64 / tried as f64)
}

struct Measure<'a> {
    client: Searching,
    index: &'a dyn VectorIndex,
    pictures: &'a Pictures,
    collection: CollectionName,
}

impl Measure<'_> {
    /// Pictures that find themselves, pictures that were tried, pictures that could not be read.
    async fn selves(&self, console: Console) -> Result<(u64, u64, u64), CliError> {
        let rows = self.index.count(&self.collection, None).await.map_err(read_error)?;
        let bar = counted(console, "each picture searched by itself", rows);
        let (mut found, mut tried, mut unreadable) = (0, 0, 0);
        let mut after = None;
        loop {
            let page = self
                .index
                .scan(&self.collection, None, after.as_ref(), PAGE_ROWS, Projection::Metadata)
                .await;
            let page = page.map_err(read_error)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            let mut asked = stream::iter(page.iter().map(|row| self.finds_itself(row))).buffer_unordered(AT_ONCE);
            while let Some(answer) = asked.try_next().await? {
                bar.inc(1);
                match answer {
                    Some(itself) => {
                        tried += 1;
                        found += u64::from(itself);
                    }
                    None => unreadable += 1,
                }
            }
        }
        bar.finish_and_clear();
        Ok((found, tried, unreadable))
    }

    /// Whether a picture finds itself first; none where its file is not there any more, or it has no picture.
    async fn finds_itself(&self, row: &Row) -> Result<Option<bool>, CliError> {
        let Some(file) = self.pictures.file(&row.image_path) else {
            return Ok(None);
        };
        let Ok(picture) = Picture::read(&file).await else {
            return Ok(None);
        };
        let mut query = Query {
            collection: self.collection.to_string(),
            examples: vec![Example::picture(picture)],
            against: Some(FieldArg::Image),
            top_k: 1,
            fields: vec!["content_hash".into()],
            ..Query::default()
        };
        let first = ask(&self.client, &query).await?.hits;
        let Some(best) = first.first() else {
            return Ok(Some(false));
        };
        let item = best.item.clone().unwrap_or_default();
        if item.id == row.id.as_str() || item.content_hash == row.content_hash {
            return Ok(Some(true));
        }
        // Two files of one picture have one score: which comes first is their ids' order.
        query.top_k = TIED;
        let hits = ask(&self.client, &query).await?.hits;
        let own = hits
            .iter()
            .find(|hit| hit.item.as_ref().is_some_and(|item| item.id == row.id.as_str()));
        Ok(Some(own.is_some_and(|own| (own.score - best.score).abs() <= TIE)))
    }

    /// Captions that find their picture first and among the first ten, and captions that were tried.
    async fn captions(&self, console: Console) -> Result<(u64, u64, u64), CliError> {
        let filter = filter::parse(GALLERY).map_err(|error| CliError::Failed(error.to_string()))?;
        let rows = self
            .index
            .scan(&self.collection, Some(&filter), None, PAGE_ROWS, Projection::Metadata)
            .await;
        let rows = rows.map_err(read_error)?;
        let bar = counted(console, "captions searched in the gallery", rows.len() as u64);
        let mut ranks = stream::iter(rows.iter().map(|row| self.rank(row))).buffer_unordered(AT_ONCE);
        let (mut first, mut ten, mut tried) = (0, 0, 0);
        while let Some(rank) = ranks.try_next().await? {
            bar.inc(1);
            tried += 1;
            first += u64::from(rank == Some(0));
            ten += u64::from(rank.is_some());
        }
        bar.finish_and_clear();
        Ok((first, ten, tried))
    }

    /// Where a picture stands among what its caption finds in the gallery, from 0; none behind the tenth.
    async fn rank(&self, row: &Row) -> Result<Option<usize>, CliError> {
        let query = Query {
            collection: self.collection.to_string(),
            examples: vec![Example::text(row.report_text.as_str())],
            against: Some(FieldArg::Image),
            top_k: i32::try_from(RECALL_AT).unwrap_or(i32::MAX),
            filter: GALLERY.into(),
            fields: vec!["content_hash".into()],
            ..Query::default()
        };
        let hits = ask(&self.client, &query).await?.hits;
        Ok(hits
            .iter()
            .position(|hit| hit.item.as_ref().is_some_and(|item| item.id == row.id.as_str())))
    }
}

fn read_error(error: sightline_index::IndexError) -> CliError {
    CliError::Failed(format!("cannot read the index: {error}"))
}

/// A bar for counted work; a line where there is no terminal.
fn counted(console: Console, what: &str, length: u64) -> ProgressBar {
    if !console.has_bar() {
        console.note(&format!("{what}: {length}"));
        return ProgressBar::hidden();
    }
    let bar = bar();
    bar.set_length(length);
    bar.set_message(what.to_owned());
    bar
}
