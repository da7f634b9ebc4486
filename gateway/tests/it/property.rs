//! Generated queries through the whole gateway, on both engines, against brute force over the same rows.
//!
//! How many: `SIGHTLINE_QUERY_CASES` an engine (`make query-property` asks for 10,000), or a share that `make test`
//! has time for.

use crate::encoder::DIMENSION;
use crate::exactness::{unit, weight};
use crate::memory_index::side;
use crate::rows::{bare_row, described};
use crate::world::World;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use sightline_core::filter;
use sightline_core::vector::dot;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId, VectorField};
use sightline_gateway::config::GatewayConfig;
use sightline_index::VectorIndex;
use sightline_proto::v1;
use sightline_proto::v1::search_response::Ranking;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Queries that one collection is asked.
const QUERIES_A_COLLECTION: usize = 250;
/// What folding legs into one vector of f32 may change of a score, for weights that sum to 1.
const ROUNDING: f64 = 1e-6;
/// What a score may differ from brute force's by.
const TOLERANCE: f64 = 1e-5;

/// A field, a weight, and what is looked for.
type Leg = (VectorField, f64, Vec<f32>);

/// One query: legs in the request's order, and the rest of the request.
#[derive(Debug, Clone)]
struct Asked {
    legs: Vec<Leg>,
    filter: String,
    wanted: usize,
    grouped: bool,
    paged: bool,
    /// Which of the brute-force hits the least score lies under, in per cent of them.
    floor: Option<usize>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let one = (
        prop::option::weighted(0.85, unit()),
        prop::option::weighted(0.7, unit()),
        0..12_u32,
        prop::sample::subsequence(vec!["Cardiomegaly", "Effusion", "No Finding"], 0..=3),
        prop::option::weighted(0.8, 20..90_u32),
    );
    let rows = prop::collection::vec(one, 200..420).prop_map(|all| {
        let row = |(number, (image, text, patient, labels, age)): (usize, _)| Row {
            image_embedding: image,
            text_embedding: text,
            uid: if patient == 0 {
                String::new()
            } else {
                format!("patient-{patient}")
            },
            labels: Vec::into_iter(labels).map(str::to_owned).collect(),
            attributes: Option::into_iter(age)
                .map(|age: u32| ("age".to_owned(), json!(age)))
                .collect(),
            ..bare_row(&format!("k{number}"))
        };
        all.into_iter().enumerate().map(row).collect::<Vec<Row>>()
    });
    // Some rows have the vectors of others: ties that ids decide.
    (
        rows,
        prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 40),
    )
        .prop_map(|(mut rows, copies)| {
            for (from, to) in copies {
                let (image, text) = {
                    let row = from.get(&rows);
                    (row.image_embedding.clone(), row.text_embedding.clone())
                };
                let to = to.index(rows.len());
                rows[to].image_embedding = image;
                rows[to].text_embedding = text;
            }
            rows
        })
}

fn restriction() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..13_u32).prop_map(|patient| format!("uid = \"patient-{patient}\"")),
        Just("labels:\"Cardiomegaly\"".to_owned()),
        Just("labels:'No Finding'".to_owned()),
        (20..90_u32).prop_map(|age| format!("attributes.age > {age}")),
        Just("attributes.age:*".to_owned()),
        Just("has_text = true".to_owned()),
        Just("has_image = false".to_owned()),
    ]
}

fn filter_text() -> impl Strategy<Value = String> {
    let part = (any::<bool>(), restriction()).prop_map(|(not, text)| if not { format!("NOT {text}") } else { text });
    let joined = (prop::collection::vec(part, 1..4), any::<bool>());
    let joined = joined.prop_map(|(parts, all)| parts.join(if all { " AND " } else { " OR " }));
    prop_oneof![Just(String::new()), joined]
}

fn asked() -> impl Strategy<Value = Asked> {
    let field = prop_oneof![Just(VectorField::Image), Just(VectorField::Text)];
    // The everyday form, and several examples with weights of both signs.
    let hybrid = (0.01..0.99_f64, unit(), unit()).prop_map(|(alpha, image, text)| {
        vec![
            (VectorField::Image, alpha, image),
            (VectorField::Text, 1.0 - alpha, text),
        ]
    });
    let several = prop::collection::vec((field, weight(), unit()), 1..6);
    let flags = (prop::bool::weighted(0.15), prop::bool::weighted(0.15));
    let floor = prop::option::weighted(0.2, 0..100_usize);
    (prop_oneof![hybrid, several], filter_text(), 1..40_usize, flags, floor).prop_map(
        |(legs, filter, wanted, (grouped, paged), floor)| Asked {
            legs,
            filter,
            wanted,
            grouped,
            paged,
            floor,
        },
    )
}

/// Several legs of a field as docs/search.md folds them: the direction of their weighted sum, in f32. Rows that have one score
/// by the legs may differ by what that rounds, so that ids decide between those only that have one score by the fold.
fn folded(legs: &[Leg]) -> Vec<Leg> {
    let fields: BTreeSet<VectorField> = legs.iter().map(|(field, ..)| *field).collect();
    let fold = |field: VectorField| {
        let of_field: Vec<&Leg> = legs.iter().filter(|leg| leg.0 == field).collect();
        if let [only] = of_field.as_slice() {
            return (*only).clone();
        }
        let value = |at: usize| of_field.iter().map(|leg| leg.1 * f64::from(leg.2[at])).sum();
        let sum: Vec<f64> = (0..DIMENSION).map(value).collect();
        let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "a quotient of at most 1, rounded to f32")]
        let direction: Vec<f32> = sum.iter().map(|value| (value / length) as f32).collect();
        let rounded = dot(&direction, &direction).sqrt();
        (field, length / rounded, direction)
    };
    fields.into_iter().map(fold).collect()
}

/// Rows that have a searched side and satisfy the filter, best first.
fn brute_force<'a>(rows: &'a [Row], filter: &str, legs: &[Leg]) -> Vec<(f64, &'a Row)> {
    let filter = (!filter.is_empty()).then(|| filter::parse(filter).unwrap());
    let mut all: Vec<(f64, &Row)> = rows
        .iter()
        .filter(|row| filter.as_ref().is_none_or(|filter| filter.matches(row)))
        .filter_map(|row| {
            let terms = legs.iter();
            let terms = terms.filter_map(|(field, weight, vector)| Some(weight * dot(side(row, *field)?, vector)));
            let terms: Vec<f64> = terms.collect();
            (!terms.is_empty()).then(|| (terms.iter().sum::<f64>() + 0.0, row))
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    all
}

/// A least score in a gap of the ranking, so that rounding takes no row across it.
fn least_score(best: &[(f64, &Row)], asked: &Asked) -> Option<f64> {
    let place = asked.floor? * best.len() / 100;
    let (above, below) = (best.get(place)?.0, best.get(place + 1)?.0);
    (above - below > 1e-3).then_some(f64::midpoint(above, below))
}

fn request(collection: &CollectionName, asked: &Asked, min_score: Option<f64>) -> v1::SearchRequest {
    let leg = |(field, weight, vector): &(VectorField, f64, Vec<f32>)| v1::Leg {
        field: field.to_string(),
        weight: *weight,
        query: Some(v1::leg::Query::Vector(v1::Vector { values: vector.clone() })),
    };
    v1::SearchRequest {
        collection: format!("collections/{collection}"),
        legs: asked.legs.iter().map(leg).collect(),
        filter: asked.filter.clone(),
        top_k: Some(i32::try_from(asked.wanted).unwrap()),
        fields: vec!["id".into()],
        min_score,
        group_by: if asked.grouped { "uid".into() } else { String::new() },
        ..v1::SearchRequest::default()
    }
}

/// The hits, read in pages where pages are asked for. Each answer has to claim to be exact: both engines look at all.
async fn hits(world: &World, request: v1::SearchRequest, asked: &Asked) -> Vec<v1::Hit> {
    let mut client = world.search().await;
    if !asked.paged {
        let answer = client.search(request).await.unwrap().into_inner();
        assert_eq!(answer.ranking(), Ranking::Exact, "{asked:?}");
        return answer.hits;
    }
    let mut request = v1::SearchRequest {
        top_k: None,
        page_size: i32::try_from(asked.wanted.div_ceil(3)).unwrap(),
        ..request
    };
    let mut hits = Vec::new();
    while hits.len() < asked.wanted {
        let answer = client.search(request.clone()).await.unwrap().into_inner();
        assert_eq!(answer.ranking(), Ranking::Exact, "{asked:?}");
        hits.extend(answer.hits);
        request.page_token = answer.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    hits.truncate(asked.wanted);
    hits
}

/// `best` is brute force over the folded legs, which decides the order, and `sums` over the legs as they were asked.
fn check(asked: &Asked, best: &[(f64, &Row)], sums: &[(f64, &Row)], min_score: Option<f64>, hits: &[v1::Hit]) {
    let mut groups = HashSet::new();
    let expected: Vec<(f64, &Row)> = best
        .iter()
        .filter(|(score, _)| min_score.is_none_or(|least| *score >= least))
        .filter(|(_, row)| !asked.grouped || row.uid.is_empty() || groups.insert(row.uid.clone()))
        .take(asked.wanted)
        .copied()
        .collect();
    let weights: f64 = asked.legs.iter().map(|(_, weight, _)| weight.abs()).sum();
    let rounding = ROUNDING * weights.max(1.0);
    let told: Vec<(f64, &str)> = hits
        .iter()
        .map(|hit| (hit.score, hit.item.as_ref().unwrap().id.as_str()))
        .collect();
    let in_order = |pair: &[(f64, &str)]| {
        let by_score = pair[1].0.total_cmp(&pair[0].0);
        by_score.then_with(|| pair[0].1.cmp(pair[1].1)).is_lt()
    };
    assert!(asked.paged || told.windows(2).all(in_order), "{told:?}: {asked:?}");
    let scores: HashMap<&RowId, f64> = best.iter().map(|(score, row)| (&row.id, *score)).collect();
    let sums: HashMap<&RowId, f64> = sums.iter().map(|(sum, row)| (&row.id, *sum)).collect();
    assert_eq!(hits.len(), expected.len(), "{asked:?}");
    for (hit, (score, row)) in hits.iter().zip(&expected) {
        let id = RowId::new(hit.item.as_ref().unwrap().id.as_str()).unwrap();
        assert!(
            (hit.score - score).abs() < TOLERANCE,
            "{hit:?} instead of {score}, {asked:?}"
        );
        let sum = sums[&id];
        assert!((hit.score - sum).abs() < TOLERANCE, "{hit:?} scores {sum}, {asked:?}");
        // Only where two scores are closer than rounding may another row stand here.
        let apart = (scores[&id] - score).abs();
        assert!(
            id == row.id || (apart > 0.0 && apart < rounding),
            "{id} instead of {}: {asked:?}",
            row.id
        );
        let sum: f64 = hit.parts.iter().map(|part| part.weight * part.score).sum();
        assert!((sum - hit.score).abs() < 1e-9, "{hit:?}");
    }
}

fn cases(share: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is said from outside")]
    let asked = std::env::var("SIGHTLINE_QUERY_CASES");
    asked.map_or(share, |cases| cases.parse().unwrap())
}

fn description(name: String) -> CollectionDescription {
    CollectionDescription {
        index: sightline_core::IndexKind::Flat,
        name: CollectionName::new(name).unwrap(),
        ..described("any", &VectorField::ALL)
    }
}

async fn equals_brute_force(world: &World, cases: usize, prefix: &str) {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let mut done = 0;
    while done < cases {
        let description = description(format!("{prefix}_{done}"));
        let rows = rows().new_tree(&mut runner).unwrap().current();
        world.index.drop_collection(&description.name).await.unwrap();
        world.fill(&description, &rows).await;
        for _ in 0..QUERIES_A_COLLECTION.min(cases - done) {
            let asked = asked().new_tree(&mut runner).unwrap().current();
            let best = brute_force(&rows, &asked.filter, &folded(&asked.legs));
            let sums = brute_force(&rows, &asked.filter, &asked.legs);
            let min_score = least_score(&best, &asked);
            let hits = hits(world, request(&description.name, &asked, min_score), &asked).await;
            check(&asked, &best, &sums, min_score, &hits);
            done += 1;
        }
        world.index.drop_collection(&description.name).await.unwrap();
    }
}

#[tokio::test]
async fn on_the_embedded_index_generated_queries_equal_brute_force_in_order_and_score() {
    let world = World::new().await;
    equals_brute_force(&world, cases(400), "Property").await;
    world.end().await;
}

#[tokio::test]
async fn on_milvus_generated_queries_equal_brute_force_in_order_and_score() {
    let variable = "SIGHTLINE_TEST_MILVUS_LITE_URL";
    #[expect(
        clippy::disallowed_methods,
        reason = "addresses of test servers come from the environment"
    )]
    let address = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run `make test`, or start the servers with `make up`"));
    let options = sightline_index::OpenOptions::default();
    let milvus: Arc<dyn VectorIndex> = sightline_index::open(&address, &options).await.unwrap();
    let mut world = World::start(None, GatewayConfig::default(), |_| Arc::clone(&milvus)).await;
    world.index = milvus;
    equals_brute_force(&world, cases(100), &format!("Property_{}", std::process::id())).await;
    world.end().await;
}
