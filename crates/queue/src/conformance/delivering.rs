//! Cases: what is published arrives, once, whole and where it should.

use super::support::{QUEUE, depth_becomes, message, next, publish};
use crate::{JobQueue, Message, dead_letters};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Published messages come in any order, and an acked one does not come again.
pub async fn every_message_comes_and_is_gone_once_acked(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a", "b", "c"]).await;
    let mut consumer = queue.consume(QUEUE, 10).await.unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.redeliveries, 0);
        seen.insert(delivery.message.id.clone());
        delivery.receipt.ack().await.unwrap();
    }
    assert_eq!(seen, ["a", "b", "c"].map(String::from).into());
    drop(consumer);
    depth_becomes(queue, QUEUE, 0, 0).await;
    depth_becomes(queue, &dead_letters(QUEUE), 0, 0).await;
}

/// Body, id and trace context arrive as they were sent, empty and binary ones too.
pub async fn a_message_keeps_its_body_id_and_trace(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (id, body, traceparent) in [
        ("plain", &b"{\"version\":1}"[..], None),
        ("empty", b"", Some(traceparent)),
        ("한국어", &[0, 255, 206, 13, 10, 0], Some(traceparent)),
        ("", b"without an id", None),
        (&"i".repeat(255), b"a long id", None),
    ] {
        let sent = Message {
            id: id.to_owned(),
            body: Bytes::copy_from_slice(body),
            traceparent: traceparent.map(str::to_owned),
        };
        queue.publish(QUEUE, sent.clone()).await.unwrap();
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.message, sent);
        delivery.receipt.ack().await.unwrap();
    }
    let too_long = queue.publish(QUEUE, message(&"i".repeat(256))).await.unwrap_err();
    assert!(!too_long.is_retryable(), "{too_long}");
}

/// A body larger than a frame of any protocol.
pub async fn a_body_of_one_mebibyte_arrives_whole(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    let body: Bytes = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
    let sent = Message { body, ..message("big") };
    queue.publish(QUEUE, sent.clone()).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    let delivery = next(&mut *consumer).await;
    assert!(delivery.message == sent, "the body of 1 MiB changed on its way");
    delivery.receipt.ack().await.unwrap();
}

/// With many publishers at once and two consumers, nothing is lost and nothing comes twice.
pub async fn ten_thousand_messages_come_once_each(queue: &dyn JobQueue) {
    const MESSAGES: usize = 10_000;
    queue.declare(QUEUE).await.unwrap();
    let send = async {
        let sends = (0..MESSAGES).map(|n| queue.publish(QUEUE, message(&n.to_string())));
        let done = stream::iter(sends).buffer_unordered(64).try_collect::<Vec<()>>().await;
        assert_eq!(done.unwrap().len(), MESSAGES);
    };
    let mut first = queue.consume(QUEUE, 256).await.unwrap();
    let mut second = queue.consume(QUEUE, 16).await.unwrap();
    let take = async {
        let mut seen = BTreeSet::new();
        while seen.len() < MESSAGES {
            let delivery = tokio::select! {
                delivery = next(&mut *first) => delivery,
                delivery = next(&mut *second) => delivery,
            };
            let id = delivery.message.id.clone();
            delivery.receipt.ack().await.unwrap();
            assert!(seen.insert(id), "{:?} came twice", delivery.message.id);
        }
        let all: BTreeSet<_> = (0..MESSAGES).map(|n| n.to_string()).collect();
        assert!(seen == all, "not the ids that were sent");
    };
    tokio::join!(send, take);
    depth_becomes(queue, QUEUE, 0, 2).await;
    depth_becomes(queue, &dead_letters(QUEUE), 0, 0).await;
}

/// A delayed message is not early, is as fresh as any when it comes, and overtakes nobody's undelayed one.
pub async fn a_delayed_message_does_not_come_before_its_delay(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 10).await.unwrap();
    let published = Instant::now();
    // Rounded up to steps of 700 ms and 2 s.
    for (id, millis) in [("long", 701), ("short", 1), ("none", 0)] {
        let delay = Duration::from_millis(millis);
        let sent = Message {
            traceparent: Some(format!("trace of {id}")),
            ..message(id)
        };
        queue.publish_after(QUEUE, sent, delay).await.unwrap();
    }
    for (id, least_millis) in [("none", 0), ("short", 700), ("long", 2000)] {
        let delivery = next(&mut *consumer).await;
        let waited = published.elapsed();
        assert_eq!(delivery.message.id, id);
        assert_eq!(delivery.message.body, message(id).body);
        assert_eq!(delivery.message.traceparent, Some(format!("trace of {id}")));
        assert_eq!(delivery.redeliveries, 0);
        assert!(
            waited >= Duration::from_millis(least_millis),
            "{id} came after {waited:?}"
        );
        delivery.receipt.ack().await.unwrap();
    }
}

/// A queue keeps what is in it when it is declared again.
pub async fn declaring_again_changes_nothing(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a"]).await;
    queue.declare(QUEUE).await.unwrap();
    queue.declare(&dead_letters(QUEUE)).await.unwrap();
    depth_becomes(queue, QUEUE, 1, 0).await;
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    let delivery = next(&mut *consumer).await;
    assert_eq!(delivery.message, message("a"));
    delivery.receipt.ack().await.unwrap();
}

/// A queue gets its own messages alone.
pub async fn two_queues_do_not_meet(queue: &dyn JobQueue) {
    for name in ["shards.a", "shards.a.b"] {
        queue.declare(name).await.unwrap();
        queue.publish(name, message(name)).await.unwrap();
    }
    for name in ["shards.a", "shards.a.b"] {
        depth_becomes(queue, name, 1, 0).await;
        let mut consumer = queue.consume(name, 1).await.unwrap();
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.message.id, name);
        delivery.receipt.ack().await.unwrap();
    }
}

/// Every operation on a queue that nobody declared fails, and trying again would not help.
pub async fn what_is_not_declared_is_an_error(queue: &dyn JobQueue) {
    let second = Duration::from_secs(1);
    let errors = [
        queue.publish(QUEUE, message("a")).await.unwrap_err(),
        queue.publish_after(QUEUE, message("a"), second).await.unwrap_err(),
        queue.consume(QUEUE, 1).await.unwrap_err(),
        queue.depth(QUEUE).await.unwrap_err(),
        queue.declare("").await.unwrap_err(),
    ];
    for error in errors {
        assert!(!error.is_retryable(), "{error}");
    }
    // And no error stands in the way of what comes after it.
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["b"]).await;
    depth_becomes(queue, QUEUE, 1, 0).await;
}

/// Ready messages and consumers are counted; what is in a consumer's hands is not ready.
pub async fn depth_tells_what_waits_and_who_takes(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    depth_becomes(queue, QUEUE, 0, 0).await;
    publish(queue, &["a", "b", "c"]).await;
    depth_becomes(queue, QUEUE, 3, 0).await;
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    let delivery = next(&mut *consumer).await;
    depth_becomes(queue, QUEUE, 2, 1).await;
    let second = queue.consume(&dead_letters(QUEUE), 1).await.unwrap();
    depth_becomes(queue, &dead_letters(QUEUE), 0, 1).await;
    drop((second, consumer, delivery));
    depth_becomes(queue, QUEUE, 3, 0).await;
    depth_becomes(queue, &dead_letters(QUEUE), 0, 0).await;
}

/// Everyone who listens hears it, nobody hears another topic, and nobody need listen.
pub async fn a_broadcast_reaches_everyone_who_listens(queue: &dyn JobQueue) {
    queue.broadcast("done", Bytes::from_static(b"to nobody")).await.unwrap();
    let mut first = queue.subscribe("done").await.unwrap();
    let mut second = queue.subscribe("done").await.unwrap();
    let mut other = queue.subscribe("other").await.unwrap();
    for n in 0..100u8 {
        queue.broadcast("done", Bytes::from(vec![n])).await.unwrap();
    }
    queue.broadcast("other", Bytes::from_static(b"other")).await.unwrap();
    for n in 0..100u8 {
        assert_eq!(first.next().await.unwrap(), [n].as_slice());
        assert_eq!(second.next().await.unwrap(), [n].as_slice());
    }
    assert_eq!(other.next().await.unwrap(), "other");
    drop(first);
    queue.broadcast("done", Bytes::from_static(b"after")).await.unwrap();
    assert_eq!(second.next().await.unwrap(), "after");
}
