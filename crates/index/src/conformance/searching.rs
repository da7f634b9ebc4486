//! Exact search against brute force.

use super::{Subject, fixture};
use crate::{FieldHits, FieldSearch, IndexError, ScoredId};
use sightline_core::filter::{Filter, parse};
use sightline_core::{CollectionName, IndexKind, Row, VectorField, vector};

/// Engines sum in f32 and in an order of their own.
const SCORE_TOLERANCE: f32 = 1e-5;

fn side(row: &Row, field: VectorField) -> Option<&[f32]> {
    match field {
        VectorField::Image => row.image_embedding.as_deref(),
        VectorField::Text => row.text_embedding.as_deref(),
    }
}

fn brute_force(rows: &[Row], search: &FieldSearch) -> Vec<ScoredId> {
    let mut hits: Vec<ScoredId> = rows
        .iter()
        .filter(|row| search.filter.as_ref().is_none_or(|filter| filter.matches(row)))
        .filter_map(|row| {
            let score = vector::dot(side(row, search.field)?, &search.vector) as f32;
            Some(ScoredId {
                id: row.id.clone(),
                score,
            })
        })
        .collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    hits.truncate(search.limit);
    hits
}

fn search(field: VectorField, query: Vec<f32>, limit: usize, filter: Option<Filter>) -> FieldSearch {
    FieldSearch {
        field,
        vector: query,
        limit,
        filter,
        effort: None,
    }
}

async fn check(subject: &Subject, collection: &CollectionName, rows: &[Row], search: &FieldSearch) -> FieldHits {
    let found = check_hits(subject, collection, rows, search).await;
    assert!(found.exact);
    found
}

/// Whether the index calls them exact or not.
async fn check_hits(subject: &Subject, collection: &CollectionName, rows: &[Row], search: &FieldSearch) -> FieldHits {
    let found = subject.index.search(collection, search).await.unwrap();
    let expected = brute_force(rows, search);
    let ids = |hits: &[ScoredId]| hits.iter().map(|hit| hit.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&found.hits), ids(&expected), "{search:?}");
    for (found, expected) in found.hits.iter().zip(&expected) {
        let difference = (found.score - expected.score).abs();
        assert!(difference <= SCORE_TOLERANCE, "{found:?} {expected:?}");
    }
    found
}

pub async fn hits_are_those_of_brute_force_in_order_and_score(subject: &Subject) {
    let description = subject.create(32).await;
    let rows = fixture::rows(500, &subject.fields, 32);
    subject.index.upsert(&description.name, &rows).await.unwrap();
    for field in &subject.fields {
        for seed in 0..5 {
            let query = fixture::unit_vector(1_000_000 + seed, 32);
            for limit in [1, 10, 499, 500, 501, 16_384] {
                check(
                    subject,
                    &description.name,
                    &rows,
                    &search(*field, query.clone(), limit, None),
                )
                .await;
            }
        }
        // A weighted sum of queries is no unit vector, and scores are still inner products.
        let longer: Vec<f32> = fixture::unit_vector(77, 32).iter().map(|value| value * 2.5).collect();
        check(subject, &description.name, &rows, &search(*field, longer, 20, None)).await;
    }
    subject.drop(&description.name).await;
}

pub async fn equal_scores_are_ordered_by_id(subject: &Subject) {
    let description = subject.create(8).await;
    let mut rows = fixture::rows(120, &subject.fields, 8);
    let shared = fixture::unit_vector(5, 8);
    for row in &mut rows[20..100] {
        row.image_embedding = Some(shared.clone());
    }
    subject.index.upsert(&description.name, &rows).await.unwrap();
    for limit in [1, 7, 40, 79, 80, 81, 120] {
        check(
            subject,
            &description.name,
            &rows,
            &search(VectorField::Image, shared.clone(), limit, None),
        )
        .await;
    }
    subject.drop(&description.name).await;
}

pub async fn a_row_without_a_side_is_no_hit_of_it(subject: &Subject) {
    let description = subject.create(8).await;
    let mut rows = fixture::rows(60, &subject.fields, 8);
    for (number, row) in rows.iter_mut().enumerate() {
        if number % 3 == 0 {
            row.image_embedding = None;
        }
        if number % 4 == 0 {
            row.text_embedding = None;
        }
    }
    subject.index.upsert(&description.name, &rows).await.unwrap();
    for field in &subject.fields {
        let query = fixture::unit_vector(1, 8);
        // Some scores are below 0: a row stored as zeros would stand above those.
        let found = check(subject, &description.name, &rows, &search(*field, query, 100, None)).await;
        assert!(found.hits.last().is_some_and(|hit| hit.score < 0.0));
    }
    subject.drop(&description.name).await;
}

pub async fn a_filter_restricts_a_search_and_nothing_else(subject: &Subject) {
    let description = subject.create(8).await;
    let rows = fixture::rows(300, &subject.fields, 8);
    subject.index.upsert(&description.name, &rows).await.unwrap();
    for text in [
        "image_id = image-3",
        r#"attributes."View Position" = PA AND NOT attributes.age:*"#,
        "has_image = false",
        "labels:\"'\" OR attributes.age > 20",
        "uid = \"\\\" or id != \\\"\"",
    ] {
        let filter = parse(text).unwrap();
        for field in &subject.fields {
            let query = fixture::unit_vector(9, 8);
            check(
                subject,
                &description.name,
                &rows,
                &search(*field, query, 50, Some(filter.clone())),
            )
            .await;
        }
    }
    subject.drop(&description.name).await;
}

pub async fn a_query_that_cannot_be_one_is_refused(subject: &Subject) {
    let description = subject.create(4).await;
    let mut searches = vec![
        search(VectorField::Image, vec![1.0; 5], 1, None),
        search(VectorField::Image, vec![f32::NAN; 4], 1, None),
        search(VectorField::Image, vec![0.0; 4], 1, None),
        search(VectorField::Image, vec![1.0; 4], 0, None),
        search(VectorField::Image, vec![1.0; 4], 16_385, None),
    ];
    if !subject.has(VectorField::Text) {
        searches.push(search(VectorField::Text, vec![1.0; 4], 1, None));
    }
    for search in searches {
        let result = subject.index.search(&description.name, &search).await;
        assert!(
            matches!(result, Err(IndexError::Refused { .. })),
            "{search:?}: {result:?}"
        );
    }
    subject.drop(&description.name).await;
}

pub async fn an_index_that_the_vectors_do_not_fit_is_refused_and_nothing_is_made(subject: &Subject) {
    let mut description = subject.description(16);
    description.index = IndexKind::IvfPq { nlist: 8, m: 7 };
    let error = subject.index.create(&description).await.unwrap_err();
    assert!(matches!(error, IndexError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("divides 16"), "{error}");
    assert_eq!(subject.index.describe(&description.name).await.unwrap(), None);
}

pub async fn inverted_lists_and_graphs_are_built_and_find_what_is_there(subject: &Subject) {
    let kinds = [
        (IndexKind::IvfFlat { nlist: 8 }, 8),
        (
            IndexKind::Hnsw {
                m: 16,
                ef_construction: 200,
            },
            300,
        ),
        (IndexKind::IvfSq8 { nlist: 8 }, 8),
        (IndexKind::IvfPq { nlist: 8, m: 4 }, 8),
        (IndexKind::Diskann, 300),
    ];
    for (kind, effort) in kinds {
        let mut description = subject.description(16);
        description.index = kind;
        match subject.index.create(&description).await {
            Ok(()) => {}
            // milvus-lite has inverted lists alone. What is refused is not left behind.
            Err(error) => {
                assert!(matches!(error, IndexError::Refused { .. }), "{kind:?}: {error}");
                assert!(!matches!(kind, IndexKind::IvfFlat { .. }), "{error}");
                assert!(
                    error.to_string().contains("only FLAT and IVF_FLAT: name one of them"),
                    "{error}"
                );
                assert_eq!(subject.index.describe(&description.name).await.unwrap(), None);
                continue;
            }
        }
        let rows = fixture::rows(300, &subject.fields, 16);
        subject.index.upsert(&description.name, &rows).await.unwrap();
        for row in &rows[..10] {
            let mut search = search(VectorField::Image, row.image_embedding.clone().unwrap(), 10, None);
            search.effort = Some(effort);
            if matches!(kind, IndexKind::IvfFlat { .. }) {
                check_hits(subject, &description.name, &rows, &search).await;
            }
            let found = subject.index.search(&description.name, &search).await.unwrap();
            let is_first = found.hits[0].id == row.id;
            let is_there = found.hits.iter().any(|hit| hit.id == row.id);
            let is_quantised = !matches!(kind, IndexKind::IvfFlat { .. } | IndexKind::Hnsw { .. });
            assert!(is_first || (is_quantised && is_there), "{kind:?}: {found:?}");
        }
        subject.drop(&description.name).await;
    }
}
