use crate::encoder::{CountingEncoder, vector_of};
use crate::rows::{described, row, row_id};
use crate::world::World;
use sightline_core::VectorField;
use sightline_core::vector::dot;
use sightline_proto::v1;
use sightline_proto::v1::leg::Query;
use sightline_proto::v1::search_response::Ranking;

pub(crate) fn picture(content: &str) -> Option<v1::ImageQuery> {
    Some(v1::ImageQuery {
        source: Some(v1::image_query::Source::Content(
            format!("picture:{content}").into_bytes(),
        )),
    })
}

pub(crate) fn request(collection: &str) -> v1::SearchRequest {
    v1::SearchRequest {
        collection: format!("collections/{collection}"),
        ..v1::SearchRequest::default()
    }
}

pub(crate) fn leg(field: &str, weight: f64, query: Query) -> v1::Leg {
    v1::Leg {
        field: field.into(),
        weight,
        query: Some(query),
    }
}

pub(crate) fn by_legs(collection: &str, legs: Vec<v1::Leg>) -> v1::SearchRequest {
    v1::SearchRequest {
        legs,
        ..request(collection)
    }
}

pub(crate) fn keys(answer: &v1::SearchResponse) -> Vec<&str> {
    answer
        .hits
        .iter()
        .map(|hit| hit.item.as_ref().unwrap().key.as_str())
        .collect()
}

async fn world() -> World {
    let world = World::new().await;
    let rows = [
        row("both", Some("aab"), Some("aabb")),
        row("image only", Some("aaab"), None),
        row("text only", None, Some("aabb")),
        row("far", Some("ddd"), Some("ddd")),
    ];
    world.fill(&described("stamps", &VectorField::ALL), &rows).await;
    world
}

#[tokio::test]
async fn a_hit_s_score_is_the_weighted_sum_of_its_parts_and_a_missing_side_has_none() {
    let world = world().await;
    let asked = v1::SearchRequest {
        image: picture("aaab"),
        text: "aabb".into(),
        alpha: Some(0.25),
        ..request("stamps")
    };
    let answer = world.search().await.search(asked).await.unwrap().into_inner();
    assert_eq!(answer.ranking(), Ranking::Exact);
    assert_eq!(keys(&answer), ["both", "text only", "image only", "far"]);
    let image_cosine = dot(&vector_of(b"aaab"), &vector_of(b"aab"));
    let both = &answer.hits[0];
    assert!((both.score - (0.25 * image_cosine + 0.75)).abs() < 1e-5, "{both:?}");
    for hit in &answer.hits {
        let sum: f64 = hit.parts.iter().map(|part| part.weight * part.score).sum();
        assert!((sum - hit.score).abs() < 1e-9);
    }
    let fields: Vec<&str> = answer.hits[1].parts.iter().map(|part| part.field.as_str()).collect();
    assert_eq!(fields, ["text_embedding"]);
    world.end().await;
}

#[tokio::test]
async fn at_alpha_0_and_1_rows_without_that_side_are_no_hits() {
    let world = world().await;
    let asked = |alpha| v1::SearchRequest {
        image: picture("aaab"),
        text: "aabb".into(),
        alpha: Some(alpha),
        ..request("stamps")
    };
    let mut client = world.search().await;
    let by_image = client.search(asked(1.0)).await.unwrap().into_inner();
    assert_eq!(keys(&by_image), ["image only", "both", "far"]);
    let by_text = client.search(asked(0.0)).await.unwrap().into_inner();
    assert_eq!(keys(&by_text)[2], "far");
    assert!(!keys(&by_text).contains(&"image only"));
    world.end().await;
}

#[tokio::test]
async fn an_item_finds_itself_first_and_a_negative_weight_turns_the_order_round() {
    let world = world().await;
    let by_far = |weight| {
        let item = Query::Item(row_id("far").to_string());
        by_legs("stamps", vec![leg("image_embedding", weight, item)])
    };
    let mut client = world.search().await;
    let like = client.search(by_far(2.0)).await.unwrap().into_inner();
    assert_eq!(keys(&like)[0], "far");
    assert!((like.hits[0].score - 2.0).abs() < 1e-5);
    let unlike = client.search(by_far(-2.0)).await.unwrap().into_inner();
    assert_eq!(keys(&unlike)[2], "far");
    let last = &unlike.hits[2];
    assert!(
        (last.score + 2.0).abs() < 1e-5 && (last.parts[0].score - 1.0).abs() < 1e-5,
        "{last:?}"
    );
    assert_eq!(unlike.ranking(), Ranking::Exact);
    world.end().await;
}

#[tokio::test]
async fn without_a_model_items_and_vectors_are_searched_with_and_texts_are_refused_by_reason() {
    let world = World::with_encoder(None).await;
    world
        .fill(&described("stamps", &VectorField::ALL), &[row("a", Some("aab"), None)])
        .await;
    let mut client = world.search().await;
    let vector = v1::Vector {
        values: vector_of(b"aab").iter().map(|value| value * 40.0).collect(),
    };
    for query in [Query::Vector(vector), Query::Item(row_id("a").to_string())] {
        let legs = vec![leg("image_embedding", 1.0, query)];
        let answer = client.search(by_legs("stamps", legs)).await.unwrap().into_inner();
        assert!((answer.hits[0].score - 1.0).abs() < 1e-5, "{answer:?}");
    }
    let status = client
        .search(v1::SearchRequest {
            text: "x".into(),
            ..request("stamps")
        })
        .await
        .unwrap_err();
    assert_eq!(sightline_service::reason(&status).as_deref(), Some("NO_MODEL"));
    world.end().await;
}

#[tokio::test]
async fn a_text_finds_pictures_where_the_model_s_sides_share_a_space_and_is_refused_where_not() {
    for shared in [true, false] {
        let world = World::with_encoder(Some(CountingEncoder::new("counter", shared))).await;
        let rows = [row("a", Some("aab"), None), row("d", Some("ddd"), None)];
        world.fill(&described("pictures", &[VectorField::Image]), &rows).await;
        let asked = v1::SearchRequest {
            text: "ddd".into(),
            ..request("pictures")
        };
        let answer = world.search().await.search(asked).await;
        if shared {
            assert_eq!(keys(&answer.unwrap().into_inner()), ["d", "a"]);
        } else {
            let status = answer.unwrap_err();
            assert_eq!(sightline_service::reason(&status).as_deref(), Some("MODEL_LACKS_SIDE"));
            assert!(status.message().contains("counter"), "{status}");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn words_alone_find_pictures_until_the_collection_holds_a_text() {
    let world = World::with_encoder(Some(CountingEncoder::new("counter", true))).await;
    let rows = [row("a", Some("aab"), None), row("d", Some("ddd"), None)];
    let both = described("pictures", &VectorField::ALL);
    world.fill(&both, &rows).await;
    let asked = || v1::SearchRequest {
        text: "ddd".into(),
        ..request("pictures")
    };
    let by_leg = || by_legs("pictures", vec![leg("", 1.0, Query::Text("ddd".into()))]);
    let mut client = world.search().await;
    for asked in [asked(), by_leg()] {
        let answer = client.search(asked).await.unwrap().into_inner();
        assert_eq!(keys(&answer), ["d", "a"]);
    }
    world.fill(&both, &[row("t", None, Some("ddd"))]).await;
    for asked in [asked(), by_leg()] {
        let answer = client.search(asked).await.unwrap().into_inner();
        assert_eq!(keys(&answer), ["t"]);
    }
    world.end().await;
}

#[tokio::test]
async fn a_filter_and_a_mask_say_which_rows_and_which_of_their_fields() {
    let world = world().await;
    let asked = v1::SearchRequest {
        image: picture("aab"),
        text: "aabb".into(),
        filter: "has_image = true AND NOT key = far".into(),
        fields: vec!["report_text".into(), "text_embedding".into()],
        ..request("stamps")
    };
    let answer = world.search().await.search(asked).await.unwrap().into_inner();
    assert_eq!(answer.hits.len(), 2);
    let best = answer.hits[0].item.as_ref().unwrap();
    assert_eq!(
        (best.id.as_str(), best.report_text.as_str()),
        (row_id("both").as_str(), "aabb")
    );
    assert_eq!(best.text_embedding.as_ref().unwrap().values, vector_of(b"aabb"));
    assert!(best.key.is_empty() && best.image_embedding.is_none() && !best.has_image);
    world.end().await;
}

#[tokio::test]
async fn searches_are_counted_by_outcome_and_legs() {
    let world = world().await;
    let mut client = world.search().await;
    let asked = v1::SearchRequest {
        image: picture("aab"),
        text: "aabb".into(),
        ..request("stamps")
    };
    client.search(asked).await.unwrap();
    client.search(request("stamps")).await.unwrap_err();
    let text = world.metrics.encode();
    assert!(
        text.contains(r#"sightline_gateway_search_seconds_count{outcome="ok",legs="2"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"sightline_gateway_search_seconds_count{outcome="invalid_argument",legs="0"} 1"#),
        "{text}"
    );
    world.end().await;
}
