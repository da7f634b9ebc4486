//! The ranking against brute force.

use crate::encoder::DIMENSION;
use crate::memory_index::{MemoryIndex, side};
use crate::rows::{bare_row, collection, described};
use crate::world::sqlite;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sightline_core::filter::{self, Filter};
use sightline_core::vector::{dot, normalize};
use sightline_core::{Row, RowId, VectorField};
use sightline_gateway::fusion::Proof;
use sightline_gateway::{FieldQuery, Retrieval, Retrieved, retrieve};
use sightline_index::VectorIndex;

/// One case: rows, a query, and how deep it may go.
#[derive(Debug, Clone)]
struct Case {
    rows: Vec<Row>,
    retrieval: Retrieval,
}

pub(crate) fn unit() -> impl Strategy<Value = Vec<f32>> {
    let coarse = prop::collection::vec((-1_i8..=1).prop_map(f32::from), DIMENSION);
    let fine = prop::collection::vec(-1.0_f32..1.0, DIMENSION);
    // Coarse ones repeat: duplicates and ties.
    prop_oneof![coarse, fine].prop_filter_map("no length", |mut vector| normalize(&mut vector).ok().map(|()| vector))
}

fn row() -> impl Strategy<Value = Row> {
    let sides = (prop::option::weighted(0.8, unit()), prop::option::weighted(0.8, unit()));
    (any::<u32>(), sides).prop_map(|(key, (image, text))| Row {
        image_embedding: image,
        text_embedding: text,
        uid: if key % 3 == 0 { "third".into() } else { String::new() },
        ..bare_row(&format!("k{key}"))
    })
}

pub(crate) fn weight() -> impl Strategy<Value = f64> {
    prop_oneof![0.01..2.0_f64, -2.0..-0.01_f64]
}

fn case() -> impl Strategy<Value = Case> {
    let query = |field| (unit(), weight()).prop_map(move |(vector, weight)| FieldQuery { field, vector, weight });
    let queries = prop_oneof![
        query(VectorField::Image).prop_map(|one| vec![one]),
        (query(VectorField::Image), query(VectorField::Text)).prop_map(|(one, other)| vec![one, other]),
    ];
    let rows = prop::collection::vec(row(), 0..260);
    (
        rows,
        queries,
        1..25_usize,
        prop_oneof![Just(60), Just(16_384)],
        any::<bool>(),
    )
        .prop_map(|(rows, queries, wanted, max_depth, filtered)| Case {
            rows,
            retrieval: Retrieval {
                filter: filtered.then(|| filter::parse("uid = third").unwrap()),
                max_depth,
                ..Retrieval::new(queries, wanted)
            },
        })
}

/// All rows that have a searched side, best first.
fn brute_force(case: &Case) -> Vec<(f64, RowId)> {
    let matches = |row: &&Row| {
        case.retrieval
            .filter
            .as_ref()
            .is_none_or(|filter: &Filter| filter.matches(row))
    };
    let mut all: Vec<(f64, RowId)> = Vec::new();
    for row in case.rows.iter().filter(matches) {
        let terms: Vec<f64> = case
            .retrieval
            .queries
            .iter()
            .filter_map(|query| Some(query.weight * dot(side(row, query.field)?, &query.vector)))
            .collect();
        if !terms.is_empty() {
            // −0 and 0 are equal scores.
            all.push((terms.iter().sum::<f64>() + 0.0, row.id.clone()));
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    all
}

fn check(case: &Case, found: &Retrieved) -> Result<(), TestCaseError> {
    let best = brute_force(case);
    let wanted = case.retrieval.wanted;
    for row in &found.rows {
        let score = best.iter().find(|(_, id)| *id == row.id).map(|(score, _)| *score);
        prop_assert!(
            score.is_some_and(|score| (score - row.score).abs() < 1e-5),
            "{row:?} scores {score:?}"
        );
        let parts = row.parts.iter().zip(&case.retrieval.queries);
        let sum: f64 = parts
            .filter_map(|(part, query)| part.map(|part| part * query.weight))
            .sum();
        prop_assert!((sum - row.score).abs() < 1e-9);
    }
    match found.proof {
        Proof::Exact => {
            let ids: Vec<&RowId> = found.rows.iter().map(|row| &row.id).collect();
            let expected: Vec<&RowId> = best.iter().take(wanted).map(|(_, id)| id).collect();
            prop_assert_eq!(ids, expected);
        }
        Proof::OverCandidates { unseen } => {
            let missed = best
                .iter()
                .take(wanted)
                .filter(|(_, id)| found.rows.iter().all(|row| row.id != *id));
            for (score, id) in missed {
                prop_assert!(*score <= unseen + 1e-5, "{} scores {} above {}", id, score, unseen);
            }
        }
    }
    Ok(())
}

fn run(cases: u32, test: impl Fn(Case) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    });
    runner.run(&case(), test).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn over_exact_lists_the_ranking_is_brute_force_s_wherever_it_is_called_exact() {
    let runtime = runtime();
    run(300, |case| {
        let found = runtime.block_on(async {
            let index = MemoryIndex::default();
            index.upsert(&collection("c"), &case.rows).await.unwrap();
            retrieve(&index, &collection("c"), &case.retrieval).await.unwrap()
        });
        if case.retrieval.max_depth > case.rows.len() {
            prop_assert_eq!(found.proof, Proof::Exact);
        }
        check(&case, &found)
    });
}

#[test]
fn over_the_embedded_index_the_ranking_is_brute_force_s_wherever_it_is_called_exact() {
    let runtime = runtime();
    let folder = tempfile::tempdir().unwrap();
    let index = runtime.block_on(sqlite(&folder));
    let description = described("c", &VectorField::ALL);
    run(40, |case| {
        let found = runtime.block_on(async {
            index.drop_collection(&description.name).await.unwrap();
            index.create(&description).await.unwrap();
            index.upsert(&description.name, &case.rows).await.unwrap();
            retrieve(&*index, &description.name, &case.retrieval).await.unwrap()
        });
        if case.retrieval.max_depth > case.rows.len() {
            prop_assert_eq!(found.proof, Proof::Exact);
        }
        check(&case, &found)
    });
}

#[test]
fn over_approximate_lists_scores_are_exact_and_the_ranking_is_never_called_so() {
    let runtime = runtime();
    run(150, |case| {
        let found = runtime.block_on(async {
            let index = MemoryIndex::overlooking('7');
            index.upsert(&collection("c"), &case.rows).await.unwrap();
            retrieve(&index, &collection("c"), &case.retrieval).await.unwrap()
        });
        prop_assert_ne!(found.proof, Proof::Exact);
        // What the lists did not hold is beyond the bound's promise.
        let listed = Case {
            rows: case
                .rows
                .iter()
                .filter(|row| !row.id.as_str().ends_with('7'))
                .cloned()
                .collect(),
            retrieval: case.retrieval.clone(),
        };
        check(&listed, &found)
    });
}
