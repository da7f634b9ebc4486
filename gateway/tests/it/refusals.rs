use crate::encoder::{CountingEncoder, field};
use crate::rows::{described, row, row_id};
use crate::search::{by_legs, leg, picture, request};
use crate::world::World;
use sightline_core::VectorField;
use sightline_proto::v1;
use sightline_proto::v1::leg::Query;
use sightline_service::reason;
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub(crate) fn violated(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|details| details.field_violations);
    violations
        .into_iter()
        .flatten()
        .map(|violation| violation.field)
        .collect()
}

async fn refused(world: &World, request: v1::SearchRequest) -> Status {
    world.search().await.search(request).await.unwrap_err()
}

#[tokio::test]
async fn a_query_for_another_model_s_collection_is_refused_and_both_models_are_named() {
    let world = World::with_encoder(Some(CountingEncoder::new("newcomer", true))).await;
    world
        .fill(
            &described("stamps", &VectorField::ALL),
            &[row("a", Some("a"), Some("a"))],
        )
        .await;
    let status = refused(
        &world,
        v1::SearchRequest {
            text: "a".into(),
            ..request("stamps")
        },
    )
    .await;
    assert_eq!(
        (status.code(), reason(&status).as_deref()),
        (Code::FailedPrecondition, Some("MODEL_MISMATCH"))
    );
    assert!(
        status.message().contains("counter") && status.message().contains("newcomer"),
        "{status}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_field_that_is_none_is_refused_with_the_attribute_s_name_and_the_fields_that_are_there() {
    let world = World::new().await;
    let filtered = v1::SearchRequest {
        text: "a".into(),
        filter: "NOT view = \"LATERAL\"".into(),
        ..request("stamps")
    };
    let status = refused(&world, filtered).await;
    assert_eq!(violated(&status), ["filter"]);
    let details = status.get_details_bad_request().unwrap().field_violations;
    for told in [status.message(), details[0].description.as_str()] {
        assert!(told.contains("attributes.view") && told.ends_with("run_id"), "{told}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_model_that_computes_other_vectors_than_its_fingerprint_says_is_refused() {
    let world = World::new().await;
    let mut description = described("stamps", &[VectorField::Image]);
    description
        .fields
        .insert(VectorField::Image, field("counter", "image", b"quite another"));
    world.fill(&description, &[row("a", Some("a"), None)]).await;
    let status = refused(
        &world,
        v1::SearchRequest {
            image: picture("a"),
            ..request("stamps")
        },
    )
    .await;
    assert_eq!(
        (status.code(), reason(&status).as_deref()),
        (Code::FailedPrecondition, Some("MODEL_DAMAGED"))
    );
    assert!(status.message().contains("canary/v1"), "{status}");
    world.end().await;
}

#[tokio::test]
async fn mistakes_reach_the_caller_as_field_violations() {
    let world = World::new().await;
    world.fill(&described("stamps", &VectorField::ALL), &[]).await;
    let bad = v1::SearchRequest {
        image: picture("a"),
        text: "b".into(),
        alpha: Some(f64::NAN),
        top_k: Some(16_385),
        filter: "nonsense".into(),
        ..request("stamps")
    };
    let status = refused(&world, bad).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(violated(&status), ["top_k", "filter", "alpha"]);
    world.end().await;
}

#[tokio::test]
async fn a_file_that_is_no_picture_is_the_caller_s_mistake_at_its_leg() {
    let world = World::new().await;
    world.fill(&described("stamps", &VectorField::ALL), &[]).await;
    let image = |content: &[u8]| leg("image_embedding", 1.0, Query::Image(content.to_vec()));
    let legs = vec![image(b"picture:a"), image(b"no picture")];
    let status = refused(&world, by_legs("stamps", legs)).await;
    assert_eq!(
        (status.code(), violated(&status)),
        (Code::InvalidArgument, vec!["legs[1].image".to_owned()])
    );
    world.end().await;
}

#[tokio::test]
async fn vectors_of_another_length_without_length_or_not_finite_are_refused() {
    let world = World::new().await;
    world.fill(&described("stamps", &VectorField::ALL), &[]).await;
    for values in [vec![1.0; 7], vec![0.0; 8], vec![f32::NAN; 8], vec![f32::INFINITY; 8]] {
        let leg = leg("text_embedding", 1.0, Query::Vector(v1::Vector { values }));
        let status = refused(&world, by_legs("stamps", vec![leg])).await;
        assert_eq!(violated(&status), ["legs[0].vector"], "{status}");
    }
    world.end().await;
}

#[tokio::test]
async fn legs_that_cancel_each_other_out_are_refused_with_what_to_do() {
    let world = World::new().await;
    world.fill(&described("stamps", &VectorField::ALL), &[]).await;
    let vector = Query::Vector(v1::Vector { values: vec![1.0; 8] });
    let legs = [1.0, -1.0].map(|weight| leg("text_embedding", weight, vector.clone()));
    let status = refused(&world, by_legs("stamps", legs.into())).await;
    assert_eq!(violated(&status), ["legs"], "{status}");
    assert!(status.message().contains("change a weight"), "{status}");
    world.end().await;
}

#[tokio::test]
async fn an_item_without_that_side_and_one_that_is_not_there_are_told_apart() {
    let world = World::new().await;
    world
        .fill(
            &described("stamps", &VectorField::ALL),
            &[row("text only", None, Some("a"))],
        )
        .await;
    let item = |key: &str| v1::SearchRequest {
        image: Some(v1::ImageQuery {
            source: Some(v1::image_query::Source::Item(row_id(key).to_string())),
        }),
        ..request("stamps")
    };
    let status = refused(&world, item("text only")).await;
    assert_eq!(
        (status.code(), violated(&status)),
        (Code::InvalidArgument, vec!["image.item".to_owned()])
    );
    let status = refused(&world, item("missing")).await;
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains(row_id("missing").as_str()), "{status}");
    world.end().await;
}

#[tokio::test]
async fn a_field_that_the_collection_lacks_and_a_collection_that_is_not_there_are_named() {
    let world = World::new().await;
    world.fill(&described("texts", &[VectorField::Text]), &[]).await;
    let status = refused(
        &world,
        v1::SearchRequest {
            image: picture("a"),
            ..request("texts")
        },
    )
    .await;
    assert_eq!(violated(&status), ["image.content"]);
    assert!(status.message().contains("image_embedding"), "{status}");
    let status = refused(
        &world,
        v1::SearchRequest {
            text: "a".into(),
            ..request("nothing")
        },
    )
    .await;
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(
        status.get_details_resource_info().unwrap().resource_name,
        "collections/nothing"
    );
    world.end().await;
}
