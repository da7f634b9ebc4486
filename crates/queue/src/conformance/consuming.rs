//! Cases: what a consumer has in its hands, and what becomes of it.

use super::support::{QUEUE, depth_becomes, next, nothing, publish, ready_becomes};
use crate::{JobQueue, QueueError, dead_letters};
use std::collections::BTreeSet;

/// A consumer gets another only when it has answered one.
pub async fn a_consumer_has_at_most_its_prefetch_unanswered(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a", "b", "c", "d", "e"]).await;
    let mut consumer = queue.consume(QUEUE, 2).await.unwrap();
    let first = next(&mut *consumer).await;
    let second = next(&mut *consumer).await;
    depth_becomes(queue, QUEUE, 3, 1).await;
    nothing(&mut *consumer).await;
    first.receipt.ack().await.unwrap();
    let third = next(&mut *consumer).await;
    nothing(&mut *consumer).await;
    second.receipt.ack().await.unwrap();
    third.receipt.ack().await.unwrap();
    for _ in 0..2 {
        next(&mut *consumer).await.receipt.ack().await.unwrap();
    }
    depth_becomes(queue, QUEUE, 0, 1).await;
}

/// Zero would mean "without bound" to a broker.
pub async fn a_prefetch_of_zero_is_refused(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    let error = queue.consume(QUEUE, 0).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
}

/// While one consumer has a message, another waits.
pub async fn a_message_in_one_consumers_hands_is_not_given_to_another(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a"]).await;
    let mut first = queue.consume(QUEUE, 5).await.unwrap();
    let held = next(&mut *first).await;
    let mut second = queue.consume(QUEUE, 5).await.unwrap();
    nothing(&mut *second).await;
    publish(queue, &["b"]).await;
    let other = tokio::select! {
        other = next(&mut *first) => other,
        other = next(&mut *second) => other,
    };
    assert_eq!(other.message.id, "b");
    other.receipt.ack().await.unwrap();
    held.receipt.ack().await.unwrap();
}

/// `next` may be raced against other futures.
pub async fn a_delivery_is_not_lost_when_the_wait_for_it_is_given_up(queue: &dyn JobQueue) {
    const MESSAGES: usize = 200;
    queue.declare(QUEUE).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 50).await.unwrap();
    let ids: Vec<_> = (0..MESSAGES).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let take = async {
        let mut seen = BTreeSet::new();
        while seen.len() < MESSAGES {
            let delivery = tokio::select! {
                biased;
                delivery = consumer.next() => delivery.unwrap(),
                () = tokio::task::yield_now() => continue,
            };
            assert_eq!(delivery.redeliveries, 0);
            seen.insert(delivery.message.id.clone());
            delivery.receipt.ack().await.unwrap();
        }
    };
    tokio::join!(publish(queue, &ids), take);
    depth_becomes(queue, QUEUE, 0, 1).await;
}

/// A consumer that is dropped hands everything back: what it was asked for, and what it had beforehand.
pub async fn what_a_dropped_consumer_had_comes_again_and_the_delivery_counts(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a"]).await;
    for redeliveries in 0..=queue.delivery_limit() {
        let mut consumer = queue.consume(QUEUE, 5).await.unwrap();
        let delivery = next(&mut *consumer).await;
        assert_eq!(
            (delivery.message.id.as_str(), delivery.redeliveries),
            ("a", redeliveries)
        );
        if redeliveries == queue.delivery_limit() {
            delivery.receipt.ack().await.unwrap();
        }
        drop(consumer);
    }
    depth_becomes(queue, QUEUE, 0, 0).await;
    depth_becomes(queue, &dead_letters(QUEUE), 0, 0).await;
}

/// A worker that wakes late does no harm.
pub async fn a_late_answer_is_refused_and_the_message_comes_again(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a", "b", "c"]).await;
    let mut consumer = queue.consume(QUEUE, 3).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut *consumer).await.receipt);
    }
    drop(consumer);
    let mut answers = held.into_iter();
    let mut late = || answers.next().expect("three receipts");
    for answer in [late().ack().await, late().reject().await, late().requeue().await] {
        let error = answer.unwrap_err();
        assert_eq!(error, QueueError::SessionLost);
        assert!(error.is_retryable());
    }
    let mut consumer = queue.consume(QUEUE, 3).await.unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.redeliveries, 1);
        seen.insert(delivery.message.id.clone());
        delivery.receipt.ack().await.unwrap();
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    depth_becomes(queue, &dead_letters(QUEUE), 0, 0).await;
}

/// Stopping gives back what nobody has looked at, keeps the session for answers, and leaves the rest to others.
pub async fn a_consumer_that_stopped_gets_no_more_and_can_still_answer(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a", "b", "c"]).await;
    let mut stopping = queue.consume(QUEUE, 2).await.unwrap();
    let held = next(&mut *stopping).await;
    let rest = stopping.stop().await;
    assert!(rest.len() <= 1, "{rest:?}");
    ready_becomes(queue, QUEUE, 2 - rest.len() as u64).await;
    nothing(&mut *stopping).await;
    assert!(stopping.stop().await.is_empty());
    let mut acked: BTreeSet<_> = [held.message.id.clone()].into();
    held.receipt.ack().await.unwrap();
    for delivery in rest {
        acked.insert(delivery.message.id.clone());
        delivery.receipt.ack().await.unwrap();
    }
    drop(stopping);
    depth_becomes(queue, QUEUE, 3 - acked.len() as u64, 0).await;
    let mut other = queue.consume(QUEUE, 5).await.unwrap();
    while acked.len() < 3 {
        let delivery = next(&mut *other).await;
        assert_eq!(delivery.redeliveries, 0, "what was acked does not come again");
        acked.insert(delivery.message.id.clone());
        delivery.receipt.ack().await.unwrap();
    }
    depth_becomes(queue, QUEUE, 0, 1).await;
}
