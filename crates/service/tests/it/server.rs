use crate::LIMIT;
use crate::probe::{Running, call};
use futures::StreamExt;
use sightline_service::config::GrpcConfig;
use sightline_service::{explain, reason};
use sightline_telemetry::{LogFormat, Options, ServiceIdentity, Telemetry, current_trace_id};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use tracing::Instrument;

fn same(server: sightline_service::grpc::GrpcServer) -> sightline_service::grpc::GrpcServer {
    server
}

#[tokio::test]
async fn health_follows_readiness_for_each_service_and_for_all() {
    let running = Running::start(&GrpcConfig::default(), LIMIT, same).await;
    let queue = running.readiness.condition("queue");
    queue.ready();
    let mut health = HealthClient::new(running.client().await);
    for name in ["", "test.Probe"] {
        let request = HealthCheckRequest {
            service: name.to_owned(),
        };
        let mut watch = health.watch(request).await.unwrap().into_inner();
        let mut next_is = async |wanted: ServingStatus| {
            while watch.next().await.unwrap().unwrap().status() != wanted {}
        };
        tokio::time::timeout(LIMIT, next_is(ServingStatus::Serving))
            .await
            .unwrap();
        queue.waiting("the broker is away");
        tokio::time::timeout(LIMIT, next_is(ServingStatus::NotServing))
            .await
            .unwrap();
        queue.ready();
        tokio::time::timeout(LIMIT, next_is(ServingStatus::Serving))
            .await
            .unwrap();
    }
    let unknown = health
        .check(HealthCheckRequest {
            service: "nobody".to_owned(),
        })
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn shutdown_waits_for_the_calls_under_way_and_takes_no_new_connection() {
    let mut running = Running::start(&GrpcConfig::default(), LIMIT, same).await;
    let client = running.client().await;
    let under_way = tokio::spawn(call(client.clone(), ""));
    running.entered.recv().await.unwrap();
    let mut health = HealthClient::new(client);
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();

    running.shutdown.cancel();
    let mut last = None;
    while let Some(Ok(answer)) = watch.next().await {
        last = Some(answer.status());
    }
    assert_eq!(last, Some(ServingStatus::NotServing));
    assert!(running.readiness.snapshot().stopping);
    let address = running.url.trim_start_matches("http://").to_owned();
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!running.server.is_finished());

    running.probe.gate.add_permits(1);
    assert!(under_way.await.unwrap().is_ok());
    tokio::time::timeout(LIMIT, running.server)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_is_cut() {
    let mut running = Running::start(&GrpcConfig::default(), Duration::from_millis(20), same).await;
    let under_way = tokio::spawn(call(running.client().await, ""));
    running.entered.recv().await.unwrap();
    running.shutdown.cancel();
    tokio::time::timeout(LIMIT, running.server)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(under_way.await.unwrap().is_err());
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_at_once_and_health_checks_are_not() {
    let config = GrpcConfig {
        max_in_flight_calls: 1,
        ..GrpcConfig::default()
    };
    let mut running = Running::start(&config, LIMIT, same).await;
    let client = running.client().await;
    let first = tokio::spawn(call(client.clone(), ""));
    running.entered.recv().await.unwrap();

    let refused = call(client.clone(), "").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused).as_deref(), Some("TOO_MANY_CALLS"));
    assert_eq!(explain(&refused), "too many calls are under way (try again in 1 s)");
    assert!(
        HealthClient::new(client.clone())
            .check(HealthCheckRequest::default())
            .await
            .is_ok()
    );
    assert!(running.metrics.encode().contains("sightline_grpc_in_flight_calls 1\n"));

    running.probe.gate.add_permits(2);
    assert!(first.await.unwrap().is_ok());
    assert!(call(client, "").await.is_ok());
    assert!(running.metrics.encode().contains("sightline_grpc_in_flight_calls 0\n"));
}

#[tokio::test]
async fn a_message_over_the_limit_and_headers_over_the_limit_are_refused() {
    let config = GrpcConfig {
        max_message_bytes: 1000,
        ..GrpcConfig::default()
    };
    let running = Running::start(&config, LIMIT, same).await;
    let client = running.client().await;
    assert_eq!(
        call(client.clone(), &"x".repeat(2000)).await.unwrap_err().code(),
        Code::OutOfRange
    );

    let mut health = HealthClient::new(client);
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request
        .metadata_mut()
        .insert("long", "x".repeat(17 << 10).parse().unwrap());
    assert!(health.check(request).await.is_err());
}

#[tokio::test]
async fn a_call_over_the_time_limit_ends_with_its_deadline() {
    let config = GrpcConfig {
        timeout_seconds: 1,
        ..GrpcConfig::default()
    };
    let running = Running::start(&config, LIMIT, same).await;
    let error = tokio::time::timeout(LIMIT, call(running.client().await, ""))
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(error.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_connection_that_is_old_takes_no_more_calls_and_ends_those_under_way() {
    let config = GrpcConfig {
        max_connection_age_seconds: 1,
        ..GrpcConfig::default()
    };
    let mut running = Running::start(&config, LIMIT, same).await;
    let client = running.client().await;
    let under_way = tokio::spawn(call(client.clone(), ""));
    running.entered.recv().await.unwrap();
    let first = *running.probe.peer.lock().unwrap();
    let come_over_another = async {
        while *running.probe.peer.lock().unwrap() == first {
            // One that is sent while the connection goes may be lost unseen.
            let _answered_at_once = call(client.clone(), "bad").await;
        }
    };
    tokio::time::timeout(LIMIT, come_over_another).await.unwrap();
    assert!(!under_way.is_finished());
    running.probe.gate.add_permits(1);
    assert!(under_way.await.unwrap().is_ok());
}

#[tokio::test]
async fn errors_reach_the_caller_with_their_details_and_calls_are_counted_by_code() {
    let running = Running::start(&GrpcConfig::default(), LIMIT, same).await;
    let client = running.client().await;
    running.probe.gate.add_permits(1);
    call(client.clone(), "").await.unwrap();
    let error = call(client.clone(), "bad").await.unwrap_err();
    assert_eq!(
        error.get_details_bad_request().unwrap().field_violations[0].field,
        "service"
    );
    let mut health = HealthClient::new(client);
    health.check(HealthCheckRequest::default()).await.unwrap();
    let metrics = running.metrics.encode();
    // The probe is in no descriptor, as if a caller had made the name up.
    for code in ["OK", "INVALID_ARGUMENT"] {
        let of = format!(r#"rpc_system_name="grpc",rpc_method="_OTHER",rpc_response_status_code="{code}""#);
        let line = format!("\nrpc_server_call_duration_seconds_count{{{of}}} 1\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn a_call_s_span_is_the_child_of_its_caller_and_an_internal_error_names_the_trace() {
    let identity = ServiceIdentity {
        name: "test".to_owned(),
        version: "1".to_owned(),
        instance: "i".to_owned(),
        attributes: Vec::new(),
    };
    let options = Options {
        service: identity,
        log_filter: "off".to_owned(),
        log_format: LogFormat::Json,
        colour: false,
        otlp: None,
        trace_ratio: 1.0,
    };
    let telemetry = Telemetry::new(&options, std::io::sink).unwrap();
    // tonic serves a connection in a task of its own, which a subscriber of this task's alone would not reach.
    telemetry.install().unwrap();
    let test = async {
        let running = Running::start(&GrpcConfig::default(), LIMIT, same).await;
        let error = call(running.client().await, "broken").await.unwrap_err();
        let trace = current_trace_id().unwrap();
        let seen = running.probe.traceparents.lock().unwrap()[0].clone().unwrap();
        assert_eq!(seen.split('-').nth(1), Some(trace.as_str()));
        assert_ne!(Some(seen), sightline_telemetry::current_traceparent());
        assert!(
            error.message().contains(&trace) && !error.message().contains("disk"),
            "{error:?}"
        );
        assert_eq!(error.get_details_error_info().unwrap().metadata["error_id"], trace);
    };
    test.instrument(tracing::info_span!(target: "sightline_test", "caller"))
        .await;
}

#[tokio::test]
async fn both_versions_of_reflection_list_the_services() {
    use tonic_reflection::pb::{v1, v1alpha};
    let running = Running::start(&GrpcConfig::default(), LIMIT, |server| {
        server.with_descriptors(sightline_proto::FILE_DESCRIPTOR_SET)
    })
    .await;
    let client = running.client().await;

    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut reflection = v1::server_reflection_client::ServerReflectionClient::new(client.clone());
    let requests = futures::stream::iter([request]);
    let mut answers = reflection.server_reflection_info(requests).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        list.service.iter().any(|service| service.name == "sightline.v1.Search"),
        "{list:?}"
    );

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut reflection = v1alpha::server_reflection_client::ServerReflectionClient::new(client);
    let requests = futures::stream::iter([request]);
    let mut answers = reflection.server_reflection_info(requests).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        list.service.iter().any(|service| service.name == "sightline.v1.Search"),
        "{list:?}"
    );
}

#[tokio::test]
async fn a_browser_calls_over_http_1_with_grpc_web() {
    let running = Running::start(&GrpcConfig::default(), LIMIT, same).await;
    let mut stream = TcpStream::connect(running.url.trim_start_matches("http://"))
        .await
        .unwrap();
    let message = [0, 0, 0, 0, 0];
    let head = format!(
        "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        message.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&message).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");
}

#[tokio::test]
async fn broken_descriptors_are_refused_before_anything_is_served() {
    let running = Running::start(&GrpcConfig::default(), LIMIT, |server| server.with_descriptors(b"\xff")).await;
    let error = running.server.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("reflection"), "{error}");
}
