use super::fold::{Cancelled, EncodedLeg, fold};
use super::request::{Input, LegField, Query};
use crate::error::GatewayError;
use proptest::prelude::*;
use sightline_core::VectorField;
use sightline_core::vector::{dot, normalize};
use sightline_proto::v1;

const MAX_IMAGE_BYTES: usize = 1000;

fn parse(request: v1::SearchRequest) -> Result<Query, GatewayError> {
    Query::of_request(request, MAX_IMAGE_BYTES)
}

fn text_request() -> v1::SearchRequest {
    v1::SearchRequest {
        collection: "collections/stamps".into(),
        text: "a red apple".into(),
        ..v1::SearchRequest::default()
    }
}

fn image(bytes: &[u8]) -> Option<v1::ImageQuery> {
    Some(v1::ImageQuery {
        source: Some(v1::image_query::Source::Content(bytes.to_vec())),
    })
}

fn leg(field: &str, weight: f64, query: Option<v1::leg::Query>) -> v1::Leg {
    v1::Leg {
        field: field.into(),
        weight,
        query,
    }
}

fn fields(result: Result<Query, GatewayError>) -> Vec<String> {
    match result {
        Err(GatewayError::Invalid(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
        other => panic!("not refused for its fields: {other:?}"),
    }
}

#[test]
fn a_text_alone_asks_for_ten_hits_by_the_text_field_or_the_pictures() {
    let query = parse(text_request()).unwrap();
    assert_eq!((query.options.wanted, query.legs.len(), query.effort), (10, 1, None));
    assert_eq!(query.legs[0].field, LegField::TextOrImage);
    assert_eq!(query.legs[0].input, Input::Text("a red apple".into()));
    assert!((query.legs[0].weight - 1.0).abs() < f64::EPSILON);
    assert!(query.mask.has("report_text") && !query.mask.has_vectors());
}

#[test]
fn alpha_weighs_picture_against_text_and_at_0_and_1_leaves_one_leg() {
    for (alpha, expected) in [
        (None, vec![0.5, 0.5]),
        (Some(0.3), vec![0.3, 0.7]),
        (Some(0.0), vec![1.0]),
        (Some(-0.0), vec![1.0]),
        (Some(1.0), vec![1.0]),
    ] {
        let request = v1::SearchRequest {
            image: image(b"x"),
            alpha,
            ..text_request()
        };
        let weights: Vec<f64> = parse(request).unwrap().legs.iter().map(|leg| leg.weight).collect();
        assert_eq!(weights, expected, "{alpha:?}");
    }
    let only_text = parse(v1::SearchRequest {
        image: image(b"x"),
        alpha: Some(0.0),
        ..text_request()
    })
    .unwrap();
    assert_eq!(only_text.legs[0].place, "text");
}

#[test]
fn an_alpha_outside_0_to_1_is_refused() {
    for alpha in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.001, 1.001] {
        let request = v1::SearchRequest {
            image: image(b"x"),
            alpha: Some(alpha),
            ..text_request()
        };
        assert_eq!(fields(parse(request)), ["alpha"], "{alpha}");
    }
}

#[test]
fn a_top_k_outside_its_range_is_refused() {
    for top_k in [0, -1, 16_385, i32::MAX, i32::MIN] {
        let request = v1::SearchRequest {
            top_k: Some(top_k),
            ..text_request()
        };
        assert_eq!(fields(parse(request)), ["top_k"], "{top_k}");
    }
    assert_eq!(
        parse(v1::SearchRequest {
            top_k: Some(16_384),
            ..text_request()
        })
        .unwrap()
        .options
        .wanted,
        16_384
    );
}

#[test]
fn queries_that_are_empty_blank_or_too_long_are_refused() {
    let text = |text: String| parse(v1::SearchRequest { text, ..text_request() });
    assert_eq!(fields(text(String::new())), ["text"]);
    assert_eq!(fields(text(" \n\u{3000}".into())), ["text"]);
    assert_eq!(fields(text("x".repeat(1 << 20))), ["text"]);
    assert!(text("x".repeat(64 << 10)).is_ok());
    for blank in ["", " \n\u{3000}"] {
        let legs = vec![leg("", 1.0, Some(v1::leg::Query::Text(blank.into())))];
        let request = v1::SearchRequest {
            text: String::new(),
            legs,
            ..text_request()
        };
        assert_eq!(fields(parse(request)), ["legs[0].text"], "{blank:?}");
    }
    let picture = |image| {
        parse(v1::SearchRequest {
            image,
            text: String::new(),
            ..text_request()
        })
    };
    assert_eq!(fields(picture(image(b""))), ["image.content"]);
    assert_eq!(fields(picture(image(&[0; MAX_IMAGE_BYTES + 1]))), ["image.content"]);
    assert_eq!(fields(picture(Some(v1::ImageQuery { source: None }))), ["image"]);
}

#[test]
fn all_mistakes_are_reported_together_each_at_its_field() {
    use v1::leg::Query as Asked;
    let request = v1::SearchRequest {
        collection: "stamps".into(),
        top_k: Some(-5),
        filter: "labels:".into(),
        fields: vec!["labels".into(), "secrets".into()],
        effort: -1,
        thumbnail_pixels: 7,
        alpha: Some(0.5),
        legs: vec![
            leg("image_embedding", f64::NAN, Some(Asked::Text("x".into()))),
            leg("vector", 1.0, Some(Asked::Item("no id".into()))),
            leg("text_embedding", 0.0, None),
            leg("text_embedding", 1.0, Some(Asked::Vector(v1::Vector::default()))),
        ],
        ..v1::SearchRequest::default()
    };
    assert_eq!(
        fields(parse(request)),
        [
            "collection",
            "top_k",
            "filter",
            "fields[1]",
            "effort",
            "thumbnail_pixels",
            "alpha",
            "legs[0].weight",
            "legs[1].field",
            "legs[1].item",
            "legs[2].weight",
            "legs[2]",
            "legs[3].vector",
        ]
    );
}

#[test]
fn a_wrong_filter_says_at_which_byte() {
    let request = v1::SearchRequest {
        filter: "labels:\"a\" AND nothing = 1".into(),
        ..text_request()
    };
    let Err(GatewayError::Invalid(violations)) = parse(request) else {
        panic!("accepted")
    };
    assert!(violations[0].message.contains("byte 15"), "{violations:?}");
}

#[test]
fn legs_beside_image_or_text_are_refused() {
    let legs = vec![leg("image_embedding", 1.0, Some(v1::leg::Query::Text("x".into())))];
    assert_eq!(fields(parse(v1::SearchRequest { legs, ..text_request() })), ["legs"]);
}

#[test]
fn a_leg_that_names_no_field_is_for_that_of_its_own_kind_and_a_vector_has_none() {
    use v1::leg::Query as Asked;
    let id = "0".repeat(32);
    let own = [Asked::Image(b"x".to_vec()), Asked::Item(id), Asked::Text("x".into())];
    let request = |queries: &[Asked]| v1::SearchRequest {
        text: String::new(),
        legs: queries.iter().map(|query| leg("", 1.0, Some(query.clone()))).collect(),
        ..text_request()
    };
    let chosen: Vec<LegField> = parse(request(&own)).unwrap().legs.iter().map(|leg| leg.field).collect();
    let image = LegField::Named(VectorField::Image);
    assert_eq!(chosen, [image, image, LegField::TextOrImage]);
    let vector = Asked::Vector(v1::Vector { values: vec![1.0] });
    assert_eq!(fields(parse(request(&[vector]))), ["legs[0].field"]);
    let nothing = v1::SearchRequest {
        text: String::new(),
        legs: vec![leg("", 1.0, None)],
        ..text_request()
    };
    assert_eq!(fields(parse(nothing)), ["legs[0]"]);
}

#[test]
fn weights_whose_sum_overflows_are_refused() {
    let one = || leg("image_embedding", f64::MAX, Some(v1::leg::Query::Text("x".into())));
    let request = v1::SearchRequest {
        text: String::new(),
        legs: vec![one(), one()],
        ..text_request()
    };
    assert_eq!(fields(parse(request)), ["legs"]);
}

#[test]
fn thumbnails_are_bounded_in_size_and_number() {
    for thumbnail_pixels in [-1, 15, 1025] {
        let request = v1::SearchRequest {
            thumbnail_pixels,
            ..text_request()
        };
        assert_eq!(fields(parse(request)), ["thumbnail_pixels"], "{thumbnail_pixels}");
    }
    let request = v1::SearchRequest {
        thumbnail_pixels: 64,
        top_k: Some(257),
        ..text_request()
    };
    assert_eq!(fields(parse(request)), ["thumbnail_pixels"]);
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    normalize(&mut vector).unwrap();
    vector
}

#[test]
fn a_single_leg_keeps_its_vector_and_its_signed_weight() {
    let vector = unit(vec![0.3, -0.4]);
    let legs = vec![EncodedLeg {
        field: VectorField::Text,
        vector: vector.clone(),
        weight: -2.5,
    }];
    let folded = fold(legs).unwrap();
    assert_eq!(folded[0].vector, vector);
    assert!((folded[0].weight + 2.5).abs() < f64::EPSILON);
}

#[test]
fn legs_that_cancel_each_other_out_are_refused() {
    let leg = |weight| EncodedLeg {
        field: VectorField::Image,
        vector: unit(vec![0.3, -0.4]),
        weight,
    };
    assert_eq!(fold(vec![leg(2.0), leg(-2.0)]), Err(Cancelled(VectorField::Image)));
}

proptest! {
    #[test]
    fn folded_legs_score_every_row_as_the_legs_do_one_by_one(
        legs in prop::collection::vec((prop::collection::vec(-1.0_f32..1.0, 6), -3.0..3.0_f64, any::<bool>()), 1..6),
        row in prop::collection::vec(-1.0_f32..1.0, 6),
        scale in prop_oneof![Just(1.0), Just(1e-200), Just(1e200)],
    ) {
        let has_length = |vector: &[f32]| dot(vector, vector) > 1e-4;
        prop_assume!(has_length(&row) && legs.iter().all(|(vector, weight, _)| has_length(vector) && *weight != 0.0));
        let row = unit(row);
        let legs: Vec<EncodedLeg> = legs
            .into_iter()
            .map(|(vector, weight, image)| EncodedLeg {
                field: if image { VectorField::Image } else { VectorField::Text },
                vector: unit(vector),
                weight: weight * scale,
            })
            .collect();
        let expected: f64 = legs.iter().map(|leg| leg.weight * dot(&leg.vector, &row)).sum();
        if let Ok(folded) = fold(legs) {
            prop_assert!(folded.len() <= 2);
            let score: f64 = folded.iter().map(|query| query.weight * dot(&query.vector, &row)).sum();
            prop_assert!(((score - expected) / scale).abs() < 1e-5, "{score} instead of {expected}");
        }
    }
}
