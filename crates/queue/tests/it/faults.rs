//! RabbitMQ behind a proxy that breaks connections: nothing is lost, every call ends, sessions come back.

use crate::broker;
use crate::proxy::{Proxy, host_and_port};
use sightline_queue::{Consumer, Delivery, JobQueue, Message, QueueError, QueueOptions, Timeouts, dead_letters};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Much longer than any answer takes: what passes it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const QUEUE: &str = "jobs";

fn options() -> QueueOptions {
    QueueOptions {
        delivery_limit: 50,
        heartbeat: Duration::from_secs(1),
        expire_unused: Some(Duration::from_secs(120)),
        connection_name: "sightline faults".to_owned(),
        ..QueueOptions::default()
    }
}

async fn proxied(case: &str, options: QueueOptions) -> (Proxy, Arc<dyn JobQueue>) {
    let url = broker::url();
    let proxy = Proxy::start(host_and_port(&url)).await;
    let queue = broker::open(&proxy.before(&url), case, options);
    (proxy, queue)
}

fn message(id: usize) -> Message {
    Message {
        id: id.to_string(),
        body: vec![7; 100].into(),
        traceparent: None,
    }
}

async fn next(consumer: &mut dyn Consumer) -> Delivery {
    let next = timeout(PATIENCE, consumer.next()).await;
    next.expect("a delivery within a minute").unwrap()
}

/// As every publisher does: the same message until it is safe.
async fn publish_until_safe(queue: &dyn JobQueue, message: &Message) {
    loop {
        match queue.publish(QUEUE, message.clone()).await {
            Ok(()) => return,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_when_connections_are_cut_again_and_again() {
    const MESSAGES: usize = 1000;
    let (proxy, queue) = proxied("cut", options()).await;
    queue.declare(QUEUE).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 20).await.unwrap();
    let publish = async {
        for id in 0..MESSAGES {
            if id % 200 == 100 {
                proxy.cut();
            }
            publish_until_safe(&*queue, &message(id)).await;
        }
    };
    let take = async {
        let mut acked = BTreeSet::new();
        while acked.len() < MESSAGES {
            let delivery = next(&mut *consumer).await;
            match delivery.receipt.ack().await {
                Ok(()) => {}
                Err(error) => assert_eq!(error, QueueError::SessionLost),
            }
            acked.insert(delivery.message.id);
        }
    };
    tokio::join!(publish, take);
    let dead = queue.depth(&dead_letters(QUEUE)).await.unwrap();
    assert_eq!(dead.ready, 0);
}

#[tokio::test]
async fn what_was_in_flight_in_a_cut_session_comes_again_and_its_answers_are_late() {
    let (proxy, queue) = proxied("in_flight", options()).await;
    queue.declare(QUEUE).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 2).await.unwrap();
    for id in 0..2 {
        queue.publish(QUEUE, message(id)).await.unwrap();
    }
    let first = next(&mut *consumer).await;
    let second = next(&mut *consumer).await;
    let cut = Instant::now();
    proxy.cut();
    let again = next(&mut *consumer).await;
    assert!(
        cut.elapsed() < Duration::from_secs(10),
        "back after {:?}",
        cut.elapsed()
    );
    assert_eq!(again.redeliveries, 1);
    for late in [first, second] {
        assert_eq!(late.receipt.ack().await.unwrap_err(), QueueError::SessionLost);
    }
    again.receipt.ack().await.unwrap();
    let last = next(&mut *consumer).await;
    assert_eq!(last.redeliveries, 1);
    last.receipt.ack().await.unwrap();
}

#[tokio::test]
async fn a_silent_connection_is_given_up_after_two_heartbeats() {
    let (proxy, queue) = proxied("silence", options()).await;
    queue.declare(QUEUE).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    queue.publish(QUEUE, message(0)).await.unwrap();
    let held = next(&mut *consumer).await;
    proxy.silence();
    let silent = Instant::now();
    let again = next(&mut *consumer).await;
    let waited = silent.elapsed();
    // Two heartbeats of 1 s until either side gives up, and the way back.
    assert!(waited < Duration::from_secs(6), "redelivered after {waited:?}");
    assert_eq!((again.message.id.as_str(), again.redeliveries), ("0", 1));
    assert_eq!(held.receipt.ack().await.unwrap_err(), QueueError::SessionLost);
    again.receipt.ack().await.unwrap();
    // The publisher's connection was silent too, and is another now.
    queue.publish(QUEUE, message(1)).await.unwrap();
    assert_eq!(next(&mut *consumer).await.message.id, "1");
}

#[tokio::test]
async fn a_broker_that_accepts_and_says_nothing_is_an_error_in_time_and_leaves_no_connection_behind() {
    let timeouts = Timeouts {
        connect: Duration::from_millis(500),
        call: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let (proxy, queue) = proxied("deaf", QueueOptions { timeouts, ..options() }).await;
    proxy.ignore_those_who_come(true);
    let started = Instant::now();
    let errors = [
        queue.publish(QUEUE, message(0)).await.unwrap_err(),
        queue.declare(QUEUE).await.unwrap_err(),
        queue.consume(QUEUE, 1).await.unwrap_err(),
        queue.subscribe("topic").await.map(drop).unwrap_err(),
    ];
    assert!(started.elapsed() < Duration::from_secs(16), "{:?}", started.elapsed());
    for error in errors {
        assert!(error.is_retryable(), "{error}");
    }
    let closed = timeout(PATIENCE, async {
        while proxy.open_connections() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(
        closed.await.is_ok(),
        "{} connections stay open",
        proxy.open_connections()
    );
    proxy.ignore_those_who_come(false);
    while let Err(error) = queue.declare(QUEUE).await {
        // Half a second is short for a machine that is busy with other tests.
        assert!(error.is_retryable(), "{error}");
    }
}

#[tokio::test]
async fn while_the_broker_has_an_alarm_publishing_waits_and_then_says_so() {
    let timeouts = Timeouts {
        call: Duration::from_secs(1),
        ..Timeouts::default()
    };
    let (proxy, queue) = proxied("alarm", QueueOptions { timeouts, ..options() }).await;
    queue.declare(QUEUE).await.unwrap();
    queue.publish(QUEUE, message(0)).await.unwrap();
    proxy.say(connection_blocked("low on memory"));
    let error = loop {
        // Those that are sent before the broker's word arrives still pass.
        if let Err(error) = queue.publish(QUEUE, message(1)).await {
            break error;
        }
    };
    assert!(error.is_retryable() && error.to_string().contains("alarm"), "{error}");
    let (published, ()) = tokio::join!(queue.publish(QUEUE, message(2)), async {
        sleep(Duration::from_millis(200)).await;
        proxy.say(CONNECTION_UNBLOCKED.to_vec());
    });
    published.unwrap();
    assert_eq!(queue.depth(&dead_letters(QUEUE)).await.unwrap().ready, 0);
}

/// The frame by which a broker says that it takes no messages from a connection.
fn connection_blocked(reason: &str) -> Vec<u8> {
    let length = u8::try_from(reason.len()).unwrap();
    let mut frame = vec![1, 0, 0, 0, 0, 0, length + 5, 0, 10, 0, 60, length];
    frame.extend(reason.bytes());
    frame.push(0xCE);
    frame
}

/// The frame by which it says that it does again.
const CONNECTION_UNBLOCKED: &[u8] = &[1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE];

#[tokio::test]
async fn a_listener_hears_again_after_its_connection_was_cut() {
    let (proxy, queue) = proxied("listener", options()).await;
    let mut listener = queue.subscribe("topic").await.unwrap();
    proxy.cut();
    let heard = timeout(PATIENCE, async {
        loop {
            // What is sent while nobody listens is gone: again, until it is heard.
            if queue.broadcast("topic", "hint".into()).await.is_ok()
                && let Ok(heard) = timeout(Duration::from_millis(100), listener.next()).await
            {
                return heard.unwrap();
            }
        }
    });
    assert_eq!(heard.await.unwrap(), "hint");
}

#[tokio::test]
async fn a_queue_that_the_broker_lost_is_made_again() {
    let url = broker::url();
    let prefix = format!("test.{:08x}.lost.", rand::random::<u32>());
    let own = QueueOptions {
        prefix: prefix.clone(),
        ..options()
    };
    let queue = sightline_queue::open(&url, own).unwrap();
    queue.declare(QUEUE).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await;
    let connection = connection.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let name = format!("{prefix}{QUEUE}");
    let deleted = channel.queue_delete(name.as_str().into(), lapin::options::QueueDeleteOptions::default());
    deleted.await.unwrap();
    let publish = async {
        while queue.publish(QUEUE, message(0)).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let ((), delivery) = tokio::join!(publish, next(&mut *consumer));
    assert_eq!(delivery.message, message(0));
    delivery.receipt.ack().await.unwrap();
}

#[tokio::test]
async fn a_queue_that_exists_with_other_properties_is_refused() {
    let url = broker::url();
    let prefix = format!("test.{:08x}.other.", rand::random::<u32>());
    let ours = QueueOptions { prefix, ..options() };
    let theirs = QueueOptions {
        delivery_limit: 7,
        ..ours.clone()
    };
    sightline_queue::open(&url, theirs)
        .unwrap()
        .declare(QUEUE)
        .await
        .unwrap();
    let error = sightline_queue::open(&url, ours)
        .unwrap()
        .declare(QUEUE)
        .await
        .unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(error.to_string().contains("x-delivery-limit"), "{error}");
}
