//! A broker that takes messages and then does not answer any more.

use crate::between::{Between, Fault};
use crate::fixture::Fixture;
use async_trait::async_trait;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::sync::Arc;
use tonic::Request;

#[derive(Debug)]
struct Silent;

#[async_trait]
impl Fault for Silent {
    async fn before_depth(&self) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn how_a_run_stands_is_told_while_the_broker_does_not_answer() {
    let fixture = Fixture::behind(5, |queue| Arc::new(Between { queue, fault: Silent })).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let waiting = fixture
        .until(&run.name, |run| run.state() == v1::run::State::Waiting)
        .await;
    assert!(waiting.state_message.contains("broker"), "{}", waiting.state_message);
    let name = run.name;
    let asked = fixture.api().get_run(Request::new(v1::GetRunRequest { name })).await;
    assert_eq!(asked.unwrap().into_inner().state(), v1::run::State::Waiting);
}
