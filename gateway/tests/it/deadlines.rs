use crate::between::Between;
use crate::encoder::CountingEncoder;
use crate::rows::described;
use crate::search::request;
use crate::slow_index::{Searches, Slow};
use crate::world::World;
use sightline_core::VectorField;
use sightline_gateway::config::GatewayConfig;
use sightline_index::VectorIndex;
use sightline_proto::v1;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Code, Request};
use tonic_types::StatusExt;

async fn world(searches: Searches) -> (World, watch::Receiver<usize>) {
    let under_way = watch::Sender::new(0);
    let watching = under_way.subscribe();
    let encoder = CountingEncoder::new("counter", true);
    let way = Slow { searches, under_way };
    let wrap = |index| -> Arc<dyn VectorIndex> { Arc::new(Between { index, way }) };
    let world = World::start(Some(encoder), GatewayConfig::default(), wrap).await;
    world.fill(&described("stamps", &VectorField::ALL), &[]).await;
    (world, watching)
}

fn by_text() -> v1::SearchRequest {
    v1::SearchRequest {
        text: "a".into(),
        ..request("stamps")
    }
}

#[tokio::test]
async fn a_caller_s_deadline_ends_the_search_in_the_index() {
    let (world, mut under_way) = world(Searches::Hang).await;
    let mut client = world.search().await;
    let mut asked = Request::new(by_text());
    asked.set_timeout(Duration::from_millis(300));
    let status = client.search(asked).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status}"
    );
    under_way.wait_for(|count| *count == 0).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_search_in_the_index() {
    let (world, mut under_way) = world(Searches::Hang).await;
    let mut client = world.search().await;
    let call = tokio::spawn(async move { client.search(by_text()).await });
    under_way.wait_for(|count| *count == 1).await.unwrap();
    call.abort();
    under_way.wait_for(|count| *count == 0).await.unwrap();
    let cancelled = r#"sightline_gateway_search_seconds_count{outcome="cancelled",legs="0"} 1"#;
    assert!(world.metrics.encode().contains(cancelled), "{}", world.metrics.encode());
    world.end().await;
}

#[tokio::test]
async fn an_index_that_is_away_is_unavailable_and_the_caller_is_told_when_to_come_back() {
    let (world, _) = world(Searches::Fail).await;
    let status = world.search().await.search(by_text()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status
            .get_details_retry_info()
            .is_some_and(|info| info.retry_delay.is_some())
    );
    assert_eq!(sightline_service::reason(&status).as_deref(), Some("INDEX_UNAVAILABLE"));
    world.end().await;
}
