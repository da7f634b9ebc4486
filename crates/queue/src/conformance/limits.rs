//! Cases: what comes back, how often, and where it ends.

use super::support::{QUEUE, depth_becomes, message, next, nothing, publish};
use crate::{JobQueue, dead_letters};

/// Handing back is a delivery that failed.
pub async fn a_requeued_message_comes_again_and_the_delivery_counts(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a"]).await;
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    for redeliveries in 0..queue.delivery_limit() {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.redeliveries, redeliveries);
        delivery.receipt.requeue().await.unwrap();
    }
    let delivery = next(&mut *consumer).await;
    assert_eq!(delivery.redeliveries, queue.delivery_limit());
    assert_eq!(delivery.message, message("a"));
    delivery.receipt.ack().await.unwrap();
    depth_becomes(queue, QUEUE, 0, 1).await;
}

/// A receipt that nobody answers must not keep its message, nor its place in the prefetch.
pub async fn a_receipt_that_is_dropped_hands_its_message_back(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a"]).await;
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    drop(next(&mut *consumer).await);
    let delivery = next(&mut *consumer).await;
    assert_eq!(delivery.redeliveries, 1);
    delivery.receipt.ack().await.unwrap();
}

/// What nobody can take is kept aside, whole, and does not come again.
pub async fn a_rejected_message_lies_in_the_dead_letters(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["bad", "good"]).await;
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    for _ in 0..2 {
        let delivery = next(&mut *consumer).await;
        if delivery.message.id == "bad" {
            delivery.receipt.reject().await.unwrap();
        } else {
            delivery.receipt.ack().await.unwrap();
        }
    }
    nothing(&mut *consumer).await;
    let mut dead = queue.consume(&dead_letters(QUEUE), 1).await.unwrap();
    let delivery = next(&mut *dead).await;
    assert_eq!((delivery.message, delivery.redeliveries), (message("bad"), 0));
    delivery.receipt.ack().await.unwrap();
    depth_becomes(queue, &dead_letters(QUEUE), 0, 1).await;
}

/// A limit of N is N + 1 deliveries, whatever the way they failed.
pub async fn a_message_that_came_too_often_lies_in_the_dead_letters(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a"]).await;
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    for redeliveries in 0..=queue.delivery_limit() {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.redeliveries, redeliveries);
        if redeliveries % 2 == 0 {
            delivery.receipt.requeue().await.unwrap();
        } else {
            drop(consumer);
            consumer = queue.consume(QUEUE, 1).await.unwrap();
        }
    }
    depth_becomes(queue, &dead_letters(QUEUE), 1, 0).await;
    nothing(&mut *consumer).await;
    drop(consumer);
    depth_becomes(queue, QUEUE, 0, 0).await;
    let mut dead = queue.consume(&dead_letters(QUEUE), 1).await.unwrap();
    let delivery = next(&mut *dead).await;
    assert_eq!((delivery.message, delivery.redeliveries), (message("a"), 0));
    delivery.receipt.ack().await.unwrap();
}

/// Dead letters have no limit and nowhere to be rejected to.
pub async fn a_dead_letter_stays_until_it_is_acked(queue: &dyn JobQueue) {
    queue.declare(QUEUE).await.unwrap();
    publish(queue, &["a"]).await;
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    next(&mut *consumer).await.receipt.reject().await.unwrap();
    let mut dead = queue.consume(&dead_letters(QUEUE), 1).await.unwrap();
    for redeliveries in 0..queue.delivery_limit() + 5 {
        let delivery = next(&mut *dead).await;
        assert_eq!(delivery.redeliveries, redeliveries);
        if redeliveries % 2 == 0 {
            delivery.receipt.reject().await.unwrap();
        } else {
            delivery.receipt.requeue().await.unwrap();
        }
    }
    let delivery = next(&mut *dead).await;
    assert_eq!(delivery.message, message("a"));
    delivery.receipt.ack().await.unwrap();
    depth_becomes(queue, &dead_letters(QUEUE), 0, 1).await;
}
