//! A password is in no error, no log and no Debug, whatever goes wrong.

use crate::broker;
use crate::proxy::{Proxy, host_and_port};
use sightline_queue::{JobQueue, QueueOptions, RabbitMq, Timeouts};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

const PASSWORD: &str = "planted-password-3f9c";

/// Everything that was logged, at every level, by whatever thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_for_good_and_never_repeated() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(log.clone())
        .finish();
    // lapin's threads log too, so it is the whole process that is listened to.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let broker = host_and_port(&broker::url());
    let proxy = Proxy::start(broker.clone()).await;
    let timeouts = Timeouts {
        connect: Duration::from_millis(300),
        call: Duration::from_millis(600),
        ..Timeouts::default()
    };
    let open = |at: &str, timeouts| {
        let options = QueueOptions {
            timeouts,
            ..QueueOptions::default()
        };
        RabbitMq::new(&format!("amqp://nobody:{PASSWORD}@{at}/%2f"), options).unwrap()
    };
    let refused = open(&broker, Timeouts::default());
    proxy.ignore_those_who_come(true);
    let silent = open(&host_and_port(&proxy.before(&broker::url())), timeouts);
    let nobody = open("127.0.0.1:1", timeouts);
    for (queue, retryable) in [(refused, false), (silent, true), (nobody, true)] {
        let errors = [
            queue.declare("jobs").await.unwrap_err(),
            queue.consume("jobs", 1).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.is_retryable(), retryable, "{error}");
            let said = format!("{error} {error:?} {queue:?}");
            assert!(!said.contains(PASSWORD), "{said}");
        }
    }
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("lapin"), "nothing of lapin's was logged: {logged}");
    assert!(!logged.contains(PASSWORD), "{logged}");
}
