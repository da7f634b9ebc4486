//! Searches the legs of a query and reads the candidates' vectors, as deep as [`crate::fusion`] asks for.

use crate::fusion::ranks::RankFusion;
use crate::fusion::{Fused, Fusion, Proof, Window};
use futures::future::try_join_all;
use sightline_core::filter::Filter;
use sightline_core::vector::dot;
use sightline_core::{CollectionName, Row, RowId, VectorField};
use sightline_index::{FieldHits, FieldSearch, IndexError, MAX_HITS, Projection, VectorIndex};
use std::collections::HashMap;
use tracing::Instrument;

/// Rows with vectors that are read at once: they carry their texts too, which may have 64 KiB each.
const MAX_READ_ROWS: usize = 256;
/// Fewest rows with vectors that one read asks for.
const MIN_READ_ROWS: usize = 32;

/// What is asked of one vector field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldQuery {
    /// The field.
    pub field: VectorField,
    /// What is looked for, of length 1.
    pub vector: Vec<f32>,
    /// Its weight: finite, not 0.
    pub weight: f64,
}

/// One retrieval.
#[derive(Debug, Clone)]
pub struct Retrieval {
    /// At most one query a field.
    pub queries: Vec<FieldQuery>,
    /// Rows wanted, 1 to 16,384.
    pub wanted: usize,
    /// Only rows for which this holds.
    pub filter: Option<Filter>,
    /// How widely an approximate index looks.
    pub effort: Option<u32>,
    /// No leg is searched deeper than this, 1 to [`MAX_HITS`].
    pub max_depth: usize,
    /// Whether the index's scores are those of the stored vectors; one that quantises them says something close.
    pub true_scores: bool,
    /// Which part of the ranking.
    pub window: Window,
}

impl Retrieval {
    /// A retrieval as deep as an index allows.
    #[must_use]
    pub fn new(queries: Vec<FieldQuery>, wanted: usize) -> Self {
        Self {
            queries,
            wanted,
            filter: None,
            effort: None,
            max_depth: MAX_HITS,
            true_scores: true,
            window: Window::default(),
        }
    }
}

/// What was retrieved.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieved {
    /// Rows in falling order of score, equal scores by id. Parts are cosines with the queries as they were given,
    /// in their order.
    pub rows: Vec<Fused>,
    /// How far that is proven.
    pub proof: Proof,
    /// How deep the legs were searched.
    pub depth: usize,
}

/// Retrieves the rows that score highest.
///
/// # Errors
/// Those of the index.
pub async fn retrieve(
    index: &dyn VectorIndex,
    collection: &CollectionName,
    retrieval: &Retrieval,
) -> Result<Retrieved, IndexError> {
    let legs = Legs::of(retrieval);
    let fusion = Fusion::new(
        &legs.weights,
        retrieval.wanted,
        retrieval.max_depth,
        retrieval.true_scores,
    );
    let mut fusion = fusion.within(retrieval.window.clone());
    loop {
        let open = |leg: usize| fusion.is_open(leg);
        for (leg, list) in search_open_legs(index, collection, &legs.towards, open, fusion.depth()).await? {
            fusion.take_list(leg, &list);
        }
        score_candidates(index, collection, &legs.towards, retrieval.wanted, &mut fusion).await?;
        if !fusion.deepen() {
            break;
        }
    }
    let depth = fusion.depth();
    let (mut rows, proof) = fusion.finish();
    for row in &mut rows {
        legs.turn_back(&mut row.parts);
    }
    Ok(Retrieved { rows, proof, depth })
}

/// Retrieves the rows that stand best in the legs' lists, whatever the cosines are: reciprocal rank fusion. Parts are
/// cosines all the same.
///
/// # Errors
/// Those of the index.
pub async fn retrieve_by_rank(
    index: &dyn VectorIndex,
    collection: &CollectionName,
    retrieval: &Retrieval,
) -> Result<Retrieved, IndexError> {
    let legs = Legs::of(retrieval);
    let window = retrieval.window.clone();
    let mut fusion = RankFusion::new(&legs.weights, retrieval.wanted, retrieval.max_depth, window);
    let mut read = HashMap::new();
    let mut is_deeper = true;
    loop {
        if is_deeper {
            let open = |leg: usize| fusion.is_open(leg);
            for (leg, list) in search_open_legs(index, collection, &legs.towards, open, fusion.depth()).await? {
                fusion.take_list(leg, &list);
            }
        }
        is_deeper = fusion.deepen();
        if is_deeper {
            continue;
        }
        // Others move up to the places of rows that were deleted since they were listed.
        let gone = read_parts(index, collection, &legs.towards, &fusion.best(), &mut read).await?;
        if gone.is_empty() {
            break;
        }
        fusion.forget(gone);
    }
    let ranked = fusion.best().into_iter();
    let rows = ranked.filter_map(|(score, id)| {
        let mut parts = read.remove(&id)?;
        legs.turn_back(&mut parts);
        Some(Fused { id, score, parts })
    });
    Ok(Retrieved {
        rows: rows.collect(),
        proof: fusion.proof(),
        depth: fusion.depth(),
    })
}

/// Reads the parts of rows that were not read yet, and names those that are gone or have none of the sides any more.
async fn read_parts(
    index: &dyn VectorIndex,
    collection: &CollectionName,
    towards: &[FieldSearch],
    ranked: &[(f64, RowId)],
    read: &mut HashMap<RowId, Vec<Option<f64>>>,
) -> Result<Vec<RowId>, IndexError> {
    let unread = ranked.iter().filter(|(_, id)| !read.contains_key(id));
    let unread: Vec<RowId> = unread.map(|(_, id)| id.clone()).collect();
    for ids in unread.chunks(MAX_READ_ROWS) {
        for row in index.get_found(collection, ids, Projection::WithVectors).await? {
            let parts = parts(&row, towards);
            if parts.iter().any(Option::is_some) {
                read.insert(row.id, parts);
            }
        }
    }
    Ok(unread.into_iter().filter(|id| !read.contains_key(id)).collect())
}

/// A retrieval's queries as they are searched. A negative weight is a positive one for the opposite vector: then every
/// list falls towards worse rows.
struct Legs {
    towards: Vec<FieldSearch>,
    /// Above 0.
    weights: Vec<f64>,
    directions: Vec<f64>,
}

impl Legs {
    fn of(retrieval: &Retrieval) -> Self {
        let search = |query: &FieldQuery| FieldSearch {
            field: query.field,
            vector: oriented(query),
            limit: 0,
            filter: retrieval.filter.clone(),
            effort: retrieval.effort,
        };
        Self {
            towards: retrieval.queries.iter().map(search).collect(),
            weights: retrieval.queries.iter().map(|query| query.weight.abs()).collect(),
            directions: retrieval.queries.iter().map(|query| query.weight.signum()).collect(),
        }
    }

    /// Makes parts cosines with the queries as they were given.
    fn turn_back(&self, parts: &mut [Option<f64>]) {
        for (part, direction) in parts.iter_mut().zip(&self.directions) {
            *part = part.map(|part| part * direction);
        }
    }
}

fn oriented(query: &FieldQuery) -> Vec<f32> {
    let turned = |value: &f32| if query.weight < 0.0 { -value } else { *value };
    query.vector.iter().map(turned).collect()
}

async fn search_open_legs(
    index: &dyn VectorIndex,
    collection: &CollectionName,
    towards: &[FieldSearch],
    is_open: impl Fn(usize) -> bool,
    depth: usize,
) -> Result<Vec<(usize, FieldHits)>, IndexError> {
    let open = towards.iter().enumerate().filter(|(leg, _)| is_open(*leg));
    let searches = open.map(|(leg, search)| {
        let search = FieldSearch {
            limit: depth,
            ..search.clone()
        };
        let span = tracing::info_span!("search leg", field = %search.field, depth = search.limit);
        async move { Ok((leg, index.search(collection, &search).await?)) }.instrument(span)
    });
    try_join_all(searches).await
}

async fn score_candidates(
    index: &dyn VectorIndex,
    collection: &CollectionName,
    towards: &[FieldSearch],
    wanted: usize,
    fusion: &mut Fusion,
) -> Result<(), IndexError> {
    loop {
        let ids = fusion.unscored(wanted.clamp(MIN_READ_ROWS, MAX_READ_ROWS));
        if ids.is_empty() {
            return Ok(());
        }
        let span = tracing::info_span!("read candidates", rows = ids.len());
        let rows = index
            .get_found(collection, &ids, Projection::WithVectors)
            .instrument(span)
            .await?;
        let rows: HashMap<&RowId, &Row> = rows.iter().map(|row| (&row.id, row)).collect();
        for id in &ids {
            let parts = rows.get(id).map(|row| parts(row, towards));
            fusion.take_parts(id, parts);
        }
    }
}

fn parts(row: &Row, towards: &[FieldSearch]) -> Vec<Option<f64>> {
    let part = |search: &FieldSearch| vector_of(row, search.field).map(|vector| dot(vector, &search.vector));
    towards.iter().map(part).collect()
}

/// The vector of one side of a row.
pub(crate) fn vector_of(row: &Row, field: VectorField) -> Option<&[f32]> {
    match field {
        VectorField::Image => row.image_embedding.as_deref(),
        VectorField::Text => row.text_embedding.as_deref(),
    }
}
