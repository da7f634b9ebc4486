//! A run that is only planned and counted: what the dataset holds, told as it is read. Nothing is stored or queued.

use crate::collection_check::Lengths;
use crate::errors::{plan_error, violations};
use crate::mirror::{danger, of_dataset};
use crate::planner::PlanError;
use crate::request;
use crate::service::CoordinatorService;
use sightline_core::collection::preprocessing;
use sightline_core::{
    CollectionDescription, FailureReason, Item, ManifestEntry, Outcome, Range, RowId, RunSpec, SkipReason,
};
use sightline_datasets::{Reader, ReaderOptions, is_unnamed};
use sightline_index::{Projection, VectorIndex};
use sightline_proto::v1;
use sightline_service::ServiceError;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Entries that are read at a time.
const PAGE_ENTRIES: usize = 1000;
/// Rows that are asked for at a time.
const LOOKUP_ROWS: usize = 256;
/// How often a caller is told how far it is.
const TELL_INTERVAL: Duration = Duration::from_millis(500);
/// Types that are counted one by one; all others are counted as [`OTHER`].
const MOST_TYPES: usize = 64;
const OTHER: &str = "other";
/// The type of an item without a picture.
const TEXT: &str = "text";

type Told = Result<v1::PreviewRunResponse, Status>;

impl CoordinatorService {
    /// Reads the dataset of a run that is not created, and counts.
    pub(crate) async fn preview(&self, spec: Option<&v1::RunSpec>) -> Result<ReceiverStream<Told>, ServiceError> {
        let spec = request::run_spec(spec).map_err(violations)?;
        self.check_root(&spec).await?;
        // Which model the vectors of an import are said to be of is not known here.
        self.check_vectors(&spec, &Lengths::new()).await?;
        let index = match &self.index {
            Some(_) => Some(self.open_index().await?),
            None => None,
        };
        let (tell, told) = mpsc::channel(4);
        let (service, shutdown) = (self.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            let closed = tell.clone();
            let reading = async {
                let last = service.count(&spec, index, &tell).await;
                let last = last.map_err(|error| Status::from(plan_error(error)));
                // A caller that has gone needs no counts.
                let _told = tell.send(last).await;
            };
            tokio::select! {
                biased;
                () = reading => {}
                () = closed.closed() => {}
                () = shutdown.cancelled() => {}
            }
        });
        Ok(ReceiverStream::new(told))
    }

    async fn count(
        &self,
        spec: &RunSpec,
        index: Option<Arc<dyn VectorIndex>>,
        tell: &mpsc::Sender<Told>,
    ) -> Result<v1::PreviewRunResponse, PlanError> {
        let root = &spec.dataset.root;
        let store = self.datasets.open(root).await.map_err(|source| PlanError::Root {
            root: root.clone(),
            source,
        })?;
        let reader = Reader::new(store, spec.dataset.source.clone(), ReaderOptions::default());
        let existing = match index {
            Some(index) => index.describe(&spec.collection).await?.map(|found| (index, found)),
            None => None,
        };
        let mut counts = Counts::new(spec.shard_items);
        counts.unchanged_known = self.index.is_some();
        let (mut cursor, mut told_at) = (None, Instant::now());
        loop {
            let page = reader.page(&Range::default(), cursor.as_deref(), PAGE_ENTRIES).await?;
            if let Some((index, collection)) = &existing {
                let found = there(index.as_ref(), collection, spec, &page.entries).await?;
                counts.unchanged += found.unchanged;
                counts.rows += found.rows;
            }
            page.entries.iter().for_each(|entry| counts.add(entry));
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
            if told_at.elapsed() >= TELL_INTERVAL {
                told_at = Instant::now();
                // That nobody listens any more ends this from outside.
                let _told = tell.send(Ok(counts.answer(false))).await;
            }
        }
        if let (Some((index, _)), Some(mirror)) = (&existing, &spec.mirror) {
            let all = index
                .count(&spec.collection, Some(&of_dataset(&spec.dataset.name)))
                .await?;
            let rows = all.saturating_sub(counts.rows);
            counts.deleted = Some(rows);
            counts.refusal = danger(&spec.dataset.root, mirror, counts.workable, counts.unnamed, rows, all);
        }
        Ok(counts.answer(true))
    }
}

/// What a collection has of some entries.
#[derive(Default)]
struct There {
    rows: u64,
    unchanged: u64,
}

/// How many of the entries have a row, and how many of these they would become again.
async fn there(
    index: &dyn VectorIndex,
    collection: &CollectionDescription,
    spec: &RunSpec,
    entries: &[ManifestEntry],
) -> Result<There, PlanError> {
    // Without a choice, workers fill what the model has, which is what the collection was made with.
    let all: Vec<_> = collection.fields.keys().copied().collect();
    let filled = if spec.fields.is_empty() { &all } else { &spec.fields };
    let preprocessing = preprocessing(&collection.fields, filled) + &spec.reading();
    let mut there = There::default();
    for some in entries.chunks(LOOKUP_ROWS) {
        let id = |entry: &ManifestEntry| RowId::of_item(&spec.dataset.name, entry.key());
        let ids: Vec<_> = some.iter().map(id).collect();
        let rows = index.get(&spec.collection, &ids, Projection::Metadata).await?;
        let digests: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row.source_digest)).collect();
        let same = |entry: &&ManifestEntry| match entry {
            ManifestEntry::Item(item) => digests.get(&id(entry)) == Some(&item.source_digest(&preprocessing)),
            ManifestEntry::Ended(_) => false,
        };
        there.rows += digests.len() as u64;
        there.unchanged += some.iter().filter(same).count() as u64;
    }
    Ok(there)
}

#[derive(Default)]
struct Counts {
    shard_items: u64,
    items: u64,
    bytes: u64,
    unchanged: u64,
    unchanged_known: bool,
    /// Rows that entries have.
    rows: u64,
    deleted: Option<u64>,
    /// Why none of these would be.
    refusal: Option<String>,
    /// Entries that are to be worked on, and those whose keys are not known.
    workable: u64,
    unnamed: u64,
    types: BTreeMap<String, (u64, u64)>,
    skips: BTreeMap<SkipReason, u64>,
    failures: BTreeMap<FailureReason, u64>,
}

impl Counts {
    fn new(shard_items: u32) -> Self {
        Self {
            shard_items: u64::from(shard_items.max(1)),
            ..Self::default()
        }
    }

    fn add(&mut self, entry: &ManifestEntry) {
        self.items += 1;
        self.unnamed += u64::from(is_unnamed(entry));
        match entry {
            ManifestEntry::Item(item) => {
                self.workable += 1;
                let mut kind = kind_of(item);
                if !self.types.contains_key(&kind) && self.types.len() >= MOST_TYPES {
                    kind = OTHER.to_owned();
                }
                let of_kind = self.types.entry(kind).or_default();
                of_kind.0 += 1;
                of_kind.1 += entry.object_bytes();
                self.bytes += entry.object_bytes();
            }
            ManifestEntry::Ended(ended) => match &ended.outcome {
                Outcome::Skipped { reason, .. } => *self.skips.entry(*reason).or_default() += 1,
                Outcome::Failed { reason, .. } => *self.failures.entry(*reason).or_default() += 1,
                // Planning ends nothing like that.
                Outcome::Indexed { .. } | Outcome::Unchanged { .. } => {}
            },
        }
    }

    fn answer(&self, complete: bool) -> v1::PreviewRunResponse {
        let reason = |reason: &str, count: u64| v1::run::ReasonCount {
            reason: reason.to_owned(),
            count: int(count),
        };
        v1::PreviewRunResponse {
            complete,
            items: int(self.items),
            bytes: int(self.bytes),
            shards: int(self.items.div_ceil(self.shard_items)),
            types: self
                .types
                .iter()
                .map(|(name, (items, bytes))| v1::preview_run_response::TypeCount {
                    r#type: name.clone(),
                    items: int(*items),
                    bytes: int(*bytes),
                })
                .collect(),
            skips: self
                .skips
                .iter()
                .map(|(why, count)| reason(why.as_str(), *count))
                .collect(),
            failures: self
                .failures
                .iter()
                .map(|(why, count)| reason(why.as_str(), *count))
                .collect(),
            unchanged_items: self.unchanged_known.then(|| int(self.unchanged)),
            deleted_rows: self.deleted.map(int),
            mirror_refusal: self.refusal.clone(),
        }
    }
}

/// The ending of an item's picture, in small letters.
fn kind_of(item: &Item) -> String {
    let path = item.picture_path();
    if path.is_empty() {
        return TEXT.to_owned();
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map_or(OTHER, |(_, ending)| ending);
    ending.to_ascii_lowercase()
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
