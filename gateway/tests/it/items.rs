use crate::rows::{described, row, row_id};
use crate::world::World;
use prost_types::value::Kind;
use sightline_core::{BoundingBox, Row, VectorField};
use sightline_proto::v1;
use tonic::Code;

#[tokio::test]
async fn an_item_is_read_whole_but_for_its_vectors_unless_they_are_named() {
    let world = World::new().await;
    let stored = Row {
        labels: vec!["Cardiomegaly".into()],
        boxes: vec![BoundingBox {
            label: "Cardiomegaly".into(),
            x: 1.0,
            y: 2.0,
            width: 3.0,
            height: 4.0,
        }],
        attributes: [
            ("age".to_owned(), 61.into()),
            ("sites".to_owned(), serde_json::json!(["a", true])),
        ]
        .into(),
        ..row("가.png", Some("aab"), None)
    };
    world
        .fill(&described("stamps", &VectorField::ALL), std::slice::from_ref(&stored))
        .await;
    let mut client = world.search().await;
    let name = format!("collections/stamps/items/{}", row_id("가.png"));
    let asked = v1::GetItemRequest {
        name: name.clone(),
        fields: Vec::new(),
    };
    let item = client.get_item(asked).await.unwrap().into_inner();
    assert_eq!(
        (item.key.as_str(), item.labels, item.has_image, item.has_text),
        ("가.png", stored.labels, true, false)
    );
    assert_eq!((item.boxes[0].x, item.boxes[0].height), (1.0, 4.0));
    assert_eq!(item.run, format!("runs/{}", stored.run_id));
    let time = item.index_time.unwrap();
    assert_eq!((time.seconds, time.nanos), (1, 500_000_000));
    let attributes = item.attributes.unwrap().fields;
    assert_eq!(attributes["age"].kind, Some(Kind::NumberValue(61.0)));
    let Some(Kind::ListValue(sites)) = &attributes["sites"].kind else {
        panic!("{attributes:?}")
    };
    assert_eq!(sites.values[1].kind, Some(Kind::BoolValue(true)));
    assert!(item.image_embedding.is_none());

    let asked = v1::GetItemRequest {
        name,
        fields: vec!["image_embedding".into()],
    };
    let item = client.get_item(asked).await.unwrap().into_inner();
    assert_eq!(item.image_embedding.map(|vector| vector.values), stored.image_embedding);
    assert!(item.key.is_empty());
    world.end().await;
}

#[tokio::test]
async fn an_item_that_is_not_there_and_a_name_that_is_none_are_told_apart() {
    let world = World::new().await;
    world.fill(&described("stamps", &VectorField::ALL), &[]).await;
    let mut client = world.search().await;
    let mut code = async |name: String| {
        let asked = v1::GetItemRequest {
            name,
            fields: Vec::new(),
        };
        client.get_item(asked).await.unwrap_err().code()
    };
    assert_eq!(
        code(format!("collections/stamps/items/{}", row_id("x"))).await,
        Code::NotFound
    );
    assert_eq!(
        code(format!("collections/nothing/items/{}", row_id("x"))).await,
        Code::NotFound
    );
    assert_eq!(code("collections/stamps/items/x".into()).await, Code::InvalidArgument);
    assert_eq!(code("stamps".into()).await, Code::InvalidArgument);
    world.end().await;
}
