use crate::LIMIT;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_service::config::{Config, ObservabilityConfig, Problems, ShutdownConfig, TelemetryConfig};
use sightline_service::{Context, ServiceArgs, ServiceConfig, ServiceInfo, install_signals, run, supervise};
use std::convert::Infallible;
use std::io;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const INFO: ServiceInfo = ServiceInfo {
    name: "sightline-test",
    version: "1",
};

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TestConfig {
    telemetry: TelemetryConfig,
    observability: ObservabilityConfig,
    shutdown: ShutdownConfig,
}

impl Config for TestConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within("telemetry", |problems| self.telemetry.check(problems));
        problems.within("observability", |problems| self.observability.check(problems));
    }
}

impl ServiceConfig for TestConfig {
    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn observability(&self) -> &ObservabilityConfig {
        &self.observability
    }

    fn shutdown(&self) -> &ShutdownConfig {
        &self.shutdown
    }
}

#[tokio::test]
async fn a_service_is_asked_to_end_and_ends_in_order() {
    let shutdown = CancellationToken::new();
    let service = async |_: TestConfig, context: Context| {
        let mut readiness = context.readiness.subscribe();
        shutdown.cancel();
        context.shutdown.cancelled().await;
        readiness.wait_for(|state| state.stopping).await.unwrap();
        Ok::<_, Infallible>(())
    };
    let ended = supervise(INFO, TestConfig::default(), shutdown.clone(), service);
    tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_service_that_does_not_end_is_given_up_after_its_drain() {
    let mut config = TestConfig::default();
    config.observability.address = None;
    config.shutdown.drain_seconds = 30;
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let service = |_: TestConfig, _: Context| std::future::pending::<Result<(), Infallible>>();
    let error = supervise(INFO, config, shutdown, service).await.unwrap_err();
    assert!(error.to_string().contains("did not end within 32 s"), "{error}");
    assert_eq!(began.elapsed().as_secs(), 32);
}

#[tokio::test]
async fn the_error_of_a_service_is_the_error_of_its_process() {
    let service = async |_: TestConfig, _: Context| Err(io::Error::other("the bucket is gone"));
    let error = supervise(INFO, TestConfig::default(), CancellationToken::new(), service)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the bucket is gone");
}

#[tokio::test]
async fn an_address_of_the_probes_that_is_taken_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = TestConfig::default();
    config.observability.address = Some(taken.local_addr().unwrap());
    let service = async |_: TestConfig, _: Context| Ok::<_, Infallible>(());
    let error = supervise(INFO, config, CancellationToken::new(), service)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("observability.address"), "{error}");
}

#[tokio::test]
async fn sigterm_cancels_the_token() {
    let token = CancellationToken::new();
    install_signals(token.clone()).unwrap();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    tokio::time::timeout(LIMIT, token.cancelled()).await.unwrap();
}

#[test]
fn a_wrong_configuration_ends_the_process_with_status_2_before_anything_starts() {
    let service = async |_: TestConfig, _: Context| -> Result<(), Infallible> { unreachable!("it was started") };
    let args = ServiceArgs {
        set: vec!["shutdown.drain=1".to_owned()],
        ..ServiceArgs::default()
    };
    assert_eq!(run(INFO, &args, Vec::new(), service), ExitCode::from(2));
    let args = ServiceArgs {
        check_config: true,
        ..ServiceArgs::default()
    };
    assert_eq!(run(INFO, &args, Vec::new(), service), ExitCode::SUCCESS);
}

#[test]
fn a_process_that_cannot_be_asked_whether_it_is_ready_is_told_as_one_that_is_not() {
    let service = async |_: TestConfig, _: Context| -> Result<(), Infallible> { unreachable!("it was started") };
    for set in ["observability.address=127.0.0.1:0", "shutdown.drain=1"] {
        let args = ServiceArgs {
            set: vec![set.to_owned()],
            check_ready: true,
            ..ServiceArgs::default()
        };
        assert_eq!(run(INFO, &args, Vec::new(), service), ExitCode::from(1), "{set}");
    }
}
