use sightline_telemetry::{Metrics, ObservabilityServer, Readiness};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn probes_and_scrapes_are_answered_until_the_server_is_stopped() {
    let metrics = Metrics::new("sightline-worker", "1.2.3");
    let readiness = Readiness::new();
    let queue = readiness.condition("queue");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = ObservabilityServer::new(metrics.clone(), readiness.clone());
    let server = tokio::spawn(server.run(listener, async { stopped.await.unwrap() }));

    assert!(get(address, "/livez").await.0.starts_with("http/1.1 200"));
    queue.waiting("no broker at 127.0.0.1:5672");
    let (head, body) = get(address, "/readyz").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert_eq!(body, "waiting for queue: no broker at 127.0.0.1:5672\n");
    queue.away("the broker restarts");
    let (head, body) = get(address, "/readyz").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, "ready\nwithout queue: the broker restarts\n");
    queue.ready();
    assert_eq!(get(address, "/readyz").await.1, "ready\n");

    metrics.counter("indexed_items", "Items indexed").unwrap().inc_by(3);
    let (head, body) = get(address, "/metrics").await;
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert_eq!(sample(&body, "sightline_indexed_items_total"), Some(3.0));
    assert!(body.ends_with("# EOF\n"));

    readiness.stop();
    assert_eq!(get(address, "/readyz").await.1, "stopping\n");
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn every_line_of_the_metrics_is_a_comment_or_a_sample_with_a_number() {
    let metrics = Metrics::new("sightline-worker", "1.2.3");
    metrics.counter("a_items", "").unwrap().inc();
    metrics.gauge("b_items", "With \"quotes\"").unwrap().set(-2);
    assert!(metrics.gauge("d_items", "Two\nlines").is_err());
    metrics.histogram("c_seconds", "Time", [0.5]).unwrap().observe(0.1);
    for line in metrics.encode().lines() {
        let number = line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>().is_ok());
        assert!(line.starts_with("# ") || number == Some(true), "{line:?}");
    }
}

fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
