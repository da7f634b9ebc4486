use crate::LIMIT;
use crate::probe::{Running, call};
use sightline_service::config::{GrpcConfig, ListenConfig};
use sightline_service::grpc::{ClientOptions, ConnectError, GrpcServer, GrpcServerError, connect};
use sightline_telemetry::{Metrics, Readiness};

#[tokio::test]
async fn a_client_that_trusts_the_certificate_calls_over_tls_and_one_that_does_not_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let listen = ListenConfig {
        tls_cert: Some(folder.path().join("cert.pem")),
        tls_key: Some(folder.path().join("key.pem")),
        ..ListenConfig::default()
    };
    std::fs::write(listen.tls_cert.as_ref().unwrap(), made.cert.pem()).unwrap();
    std::fs::write(listen.tls_key.as_ref().unwrap(), made.signing_key.serialize_pem()).unwrap();
    let running = Running::start(&GrpcConfig::default(), LIMIT, |server| {
        server.with_tls_of(&listen).unwrap()
    })
    .await;
    let url = running.url.replace("http://127.0.0.1", "https://localhost");

    let trusting = ClientOptions {
        ca_pem: Some(made.cert.pem().into_bytes()),
        ..ClientOptions::default()
    };
    running.probe.gate.add_permits(1);
    call(connect("probe", &url, &trusting).await.unwrap(), "")
        .await
        .unwrap();

    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let distrusting = ClientOptions {
        ca_pem: Some(other.cert.pem().into_bytes()),
        ..ClientOptions::default()
    };
    let error = connect("probe", &url, &distrusting).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn a_certificate_that_cannot_be_read_is_named_with_its_key() {
    let listen = ListenConfig {
        tls_cert: Some("/nowhere/cert.pem".into()),
        tls_key: Some("/nowhere/key.pem".into()),
        ..ListenConfig::default()
    };
    let server = GrpcServer::new(&GrpcConfig::default(), &Metrics::new("test", "1"), &Readiness::new()).unwrap();
    let error = server.with_tls_of(&listen).unwrap_err();
    assert!(
        matches!(error, GrpcServerError::TlsFile { key: "tls_cert", .. }),
        "{error}"
    );
    assert!(error.to_string().contains("/nowhere/cert.pem"), "{error}");
}
