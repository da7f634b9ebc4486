//! How widely an approximate index has to look for a recall that a caller asks for: measured on the collection itself.
//!
//! Some stored vectors are asked for with more and more effort, and what is found is compared with what the widest look
//! finds. What was measured holds for a while, as long as the collection is described so, and for one filter: of few rows that
//! a filter leaves, fewer lie in the lists that are looked at. Where there are too few vectors to measure with, the widest look
//! costs little, and is taken.

use crate::collections::having;
use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::retrieval::{FieldQuery, vector_of};
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, IndexKind, RowId, VectorField};
use sightline_index::{FieldSearch, Projection, VectorIndex};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
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
/// Measurements that are kept.
const MAX_KNOWN: usize = 256;

/// Efforts, rising, and the recall that each reached.
type Curve = Vec<(u32, f64)>;

/// One measurement, done or under way.
#[derive(Debug)]
struct Known {
    description: CollectionDescription,
    since: Instant,
    curve: Arc<OnceCell<Curve>>,
}

/// Collection, field, filter.
type Key = (CollectionName, VectorField, Option<String>);

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Efforts(Mutex<HashMap<Key, Known>>);

impl Efforts {
    fn curve(
        &self,
        description: &CollectionDescription,
        field: VectorField,
        filter: Option<&Filter>,
    ) -> Arc<OnceCell<Curve>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.retain(|(name, ..), known| {
            let is_same = *name != description.name || known.description == *description;
            is_same && now.duration_since(known.since) < HOLDS
        });
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let new = || Known {
            description: description.clone(),
            since: now,
            curve: Arc::default(),
        };
        let key = (description.name.clone(), field, filter.map(ToString::to_string));
        let known = known.entry(key).or_insert_with(new);
        Arc::clone(&known.curve)
    }

    /// Forgets what was measured on a collection that is no more.
    pub(crate) fn forget(&self, collection: &CollectionName) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(name, ..), _| name != collection);
    }
}

/// Why there is no measurement.
#[derive(Debug)]
enum Unmeasured {
    /// There is too little to measure with.
    TooFewRows,
    /// Who measures is ending.
    Interrupted,
    Failed(GatewayError),
}

/// The least effort that reached the recall on each of the fields; none where the index looks at every vector anyway.
pub(crate) async fn effort_for(
    shared: &Shared,
    description: &CollectionDescription,
    queries: &[FieldQuery],
    filter: Option<&Filter>,
    recall: f64,
) -> Result<Option<u32>, GatewayError> {
    let Some(widest) = widest(description.index) else {
        return Ok(None);
    };
    let mut wanted = NARROWEST;
    for FieldQuery { field, .. } in queries {
        let measure = Measure {
            index: Arc::clone(&shared.index),
            collection: description.name.clone(),
            field: *field,
            filter: filter.cloned(),
            widest,
        };
        let curve = shared.efforts.curve(description, *field, filter);
        let reached = match curve_of(curve, measure).await {
            Ok(measured) => measured.into_iter().find(|(_, reached)| *reached >= recall),
            Err(Unmeasured::TooFewRows | Unmeasured::Interrupted) => None,
            Err(Unmeasured::Failed(error)) => return Err(error),
        };
        wanted = wanted.max(reached.map_or(widest, |(effort, _)| effort));
    }
    Ok(Some(wanted))
}

/// The measurement, made where there is none. It goes on when its caller has gone, or callers in a hurry would begin it again
/// and again.
async fn curve_of(curve: Arc<OnceCell<Curve>>, measure: Measure) -> Result<Curve, Unmeasured> {
    if let Some(measured) = curve.get() {
        return Ok(measured.clone());
    }
    let measuring = tokio::spawn(async move {
        let measured = curve.get_or_try_init(|| measure.curve()).await;
        measured.cloned()
    });
    measuring.await.unwrap_or(Err(Unmeasured::Interrupted))
}

/// The widest look of an index; none where every look is.
pub(crate) fn widest(index: IndexKind) -> Option<u32> {
    match index {
        IndexKind::Flat => None,
        IndexKind::IvfFlat { nlist } | IndexKind::IvfSq8 { nlist } | IndexKind::IvfPq { nlist, .. } => Some(nlist),
        IndexKind::Hnsw { .. } | IndexKind::Diskann => Some(WIDEST_GRAPH),
    }
}

impl From<GatewayError> for Unmeasured {
    fn from(error: GatewayError) -> Self {
        Self::Failed(error)
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
    async fn curve(&self) -> Result<Curve, Unmeasured> {
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
        let rows = rows.await.map_err(GatewayError::from)?;
        if rows.len() < SAMPLE {
            return Err(Unmeasured::TooFewRows);
        }
        let mut sample = Vec::new();
        for row in rows {
            let vector = vector_of(&row, *field).map(<[f32]>::to_vec);
            if let Some(vector) = vector {
                if sample.is_empty() && self.look(&vector, NARROWEST, &row.id).await?.exact {
                    // It looks at everything, whatever effort is asked for.
                    return Ok(vec![(NARROWEST, 1.0)]);
                }
                let right = self.look(&vector, self.widest, &row.id).await?;
                sample.push((row.id, vector, right.others));
            }
        }
        if sample.iter().all(|(_, _, right)| right.is_empty()) {
            return Err(Unmeasured::TooFewRows);
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
        Ok(curve)
    }

    async fn look(&self, vector: &[f32], effort: u32, itself: &RowId) -> Result<Look, GatewayError> {
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
