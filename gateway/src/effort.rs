//! How widely an approximate index has to look for a recall that a caller asks for: measured on the collection itself.
//!
//! Some stored vectors are asked for with more and more effort, and what is found is compared with what the widest look
//! finds. What was measured holds for a while, as long as the collection is described so, and for one filter: of few rows that
//! a filter leaves, fewer lie in the lists that are looked at. Where there are too few vectors to measure with, the widest look
//! costs little, and is taken.

use crate::collections::having;
use crate::gateway;
use crate::retrieval::{FieldQuery, vector_of};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, IndexKind, RowId, VectorField};
use sightline_index::{FieldSearch, IndexError, Projection, VectorIndex};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Stored vectors that are asked for. Ids are digests, so that the first ones are a sample by chance.
const SAMPLE: usize = 32;
/// Hits that are compared, beside the row itself.
const HITS: usize = 10;
/// How long a measurement holds.
const HOLDS: Duration = Duration::from_secs(600);
/// The widest look of a graph.
const WIDEST_GRAPH: u32 = 4096;
/// The narrowest look that is tried.
const NARROWEST: u32 = 1;
/// Collections of which measurements are kept.
const MAX_COLLECTIONS: usize = 256;
/// Measurements of one collection that are kept.
const MAX_FILTERS: usize = 64;
/// Measurements at once: each is a few hundred searches.
const AT_ONCE: usize = 2;

/// Efforts, rising, and the recall that each reached.
type Curve = Arc<[(u32, f64)]>;

/// A measurement that is done or under way; none where there is too little to measure with, or the index is away.
type Measuring = Shared<BoxFuture<'static, Option<Curve>>>;

/// A field, and the filter's text.
type LookedAt = (VectorField, Option<String>);

/// One measurement.
#[derive(Debug)]
struct Known {
    since: Instant,
    measuring: Measuring,
}

/// What was measured on a collection.
#[derive(Debug)]
struct Measured {
    description: CollectionDescription,
    by: HashMap<LookedAt, Known>,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Efforts {
    known: Mutex<HashMap<CollectionName, Measured>>,
    at_once: Arc<Semaphore>,
}

impl Default for Efforts {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Efforts {
    /// The measurement, begun where there is none. It goes on when its callers have gone, or those in a hurry would begin it
    /// again and again.
    fn measuring(
        &self,
        description: &CollectionDescription,
        looked_at: LookedAt,
        measure: impl FnOnce() -> Measure,
    ) -> Measuring {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known
            .get(&description.name)
            .is_some_and(|of| of.description != *description)
        {
            known.remove(&description.name);
        }
        if known.len() >= MAX_COLLECTIONS && !known.contains_key(&description.name) {
            known.clear();
        }
        let of = known.entry(description.name.clone()).or_insert_with(|| Measured {
            description: description.clone(),
            by: HashMap::new(),
        });
        // One that came to nothing is tried again by whoever asks next.
        of.by
            .retain(|_, known| known.since.elapsed() < HOLDS && known.measuring.peek() != Some(&None));
        if let Some(known) = of.by.get(&looked_at) {
            return known.measuring.clone();
        }
        if of.by.len() >= MAX_FILTERS {
            of.by.clear();
        }
        let at_once = Arc::clone(&self.at_once);
        let measure = measure();
        let measuring = async move {
            let _place = at_once.acquire_owned().await.ok()?;
            measure.curve().await
        };
        let measuring = measuring.boxed().shared();
        tokio::spawn(measuring.clone());
        let since = Instant::now();
        of.by.insert(
            looked_at,
            Known {
                since,
                measuring: measuring.clone(),
            },
        );
        measuring
    }

    /// Forgets what was measured on a collection that is no more.
    pub(crate) fn forget(&self, collection: &CollectionName) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(collection);
    }
}

/// The least effort that reached the recall on each of the fields; none where the index looks at every vector anyway.
pub(crate) async fn effort_for(
    shared: &gateway::Shared,
    description: &CollectionDescription,
    queries: &[FieldQuery],
    filter: Option<&Filter>,
    recall: f64,
) -> Option<u32> {
    let widest = widest(description.index)?;
    let mut wanted = NARROWEST;
    for FieldQuery { field, .. } in queries {
        let measure = || Measure {
            index: Arc::clone(&shared.index),
            collection: description.name.clone(),
            field: *field,
            filter: filter.cloned(),
            widest,
        };
        let looked_at = (*field, filter.map(ToString::to_string));
        let curve = shared.efforts.measuring(description, looked_at, measure).await;
        let reached = curve.and_then(|curve| curve.iter().find(|(_, reached)| *reached >= recall).copied());
        wanted = wanted.max(reached.map_or(widest, |(effort, _)| effort));
    }
    Some(wanted)
}

/// The widest look of an index; none where every look is.
pub(crate) fn widest(index: IndexKind) -> Option<u32> {
    match index {
        IndexKind::Flat => None,
        IndexKind::IvfFlat { nlist } | IndexKind::IvfSq8 { nlist } | IndexKind::IvfPq { nlist, .. } => Some(nlist),
        IndexKind::Hnsw { .. } | IndexKind::Diskann => Some(WIDEST_GRAPH),
    }
}

/// What is measured.
#[derive(Debug)]
struct Measure {
    index: Arc<dyn VectorIndex>,
    collection: CollectionName,
    field: VectorField,
    filter: Option<Filter>,
    widest: u32,
}

/// The best others that a look found.
struct Look {
    others: HashSet<RowId>,
    /// It looked at every vector.
    exact: bool,
}

impl Measure {
    /// None where there is too little to measure with, or the index fails: then the search that follows says so.
    async fn curve(&self) -> Option<Curve> {
        match self.measured().await {
            Ok(curve) => curve.map(Into::into),
            Err(error) => {
                tracing::warn!(collection = %self.collection, field = %self.field, %error, "recall by effort was not measured");
                None
            }
        }
    }

    async fn measured(&self) -> Result<Option<Vec<(u32, f64)>>, IndexError> {
        let Self {
            collection,
            field,
            filter,
            ..
        } = self;
        let mut conditions = vec![having(*field)];
        conditions.extend(filter.clone());
        let condition = match conditions.as_slice() {
            [only] => only.clone(),
            _ => Filter::And(conditions),
        };
        let rows = self
            .index
            .scan(collection, Some(&condition), None, SAMPLE, Projection::WithVectors);
        let rows = rows.await?;
        if rows.len() < SAMPLE {
            return Ok(None);
        }
        let mut sample = Vec::new();
        for row in rows {
            let vector = vector_of(&row, *field).map(<[f32]>::to_vec);
            if let Some(vector) = vector {
                if sample.is_empty() && self.look(&vector, NARROWEST, &row.id).await?.exact {
                    // It looks at everything, whatever effort is asked for.
                    return Ok(Some(vec![(NARROWEST, 1.0)]));
                }
                let right = self.look(&vector, self.widest, &row.id).await?;
                sample.push((row.id, vector, right.others));
            }
        }
        if sample.iter().all(|(_, _, right)| right.is_empty()) {
            return Ok(None);
        }
        let mut curve = Vec::new();
        let mut effort = NARROWEST;
        while effort < self.widest {
            let (mut right, mut all) = (0_u32, 0_u32);
            for (id, vector, best) in &sample {
                let here = self.look(vector, effort, id).await?;
                right += u32::try_from(here.others.intersection(best).count()).unwrap_or(0);
                all += u32::try_from(best.len()).unwrap_or(0);
            }
            let recall = f64::from(right) / f64::from(all);
            curve.push((effort, recall));
            if recall >= 1.0 {
                break;
            }
            effort = effort.saturating_mul(2);
        }
        curve.push((self.widest, 1.0));
        tracing::info!(%collection, %field, ?curve, sample = sample.len(), "recall by effort was measured");
        Ok(Some(curve))
    }

    async fn look(&self, vector: &[f32], effort: u32, itself: &RowId) -> Result<Look, IndexError> {
        let search = FieldSearch {
            field: self.field,
            vector: vector.to_vec(),
            limit: HITS + 1,
            filter: self.filter.clone(),
            effort: Some(effort),
        };
        let found = self.index.search(&self.collection, &search).await?;
        let others = found.hits.into_iter().map(|hit| hit.id).filter(|id| id != itself);
        Ok(Look {
            others: others.take(HITS).collect(),
            exact: found.exact,
        })
    }
}
