//! Messages a second through a broker, for `make bench-scale`: `rate URL MESSAGES BYTES AT_ONCE`.
//!
//! Publishes so many messages, each confirmed, some at once; then takes them all with a prefetch of as many and acks each.
//! One line of JSON tells both rates.

#![expect(clippy::print_stdout, reason = "a program of one measurement says what it found")]

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sightline_queue::{Message, QueueOptions, open};
use std::error::Error;
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, messages, bytes, at_once] = arguments.as_slice() else {
        return Err("give URL MESSAGES BYTES AT_ONCE".into());
    };
    let (messages, at_once): (u32, u16) = (messages.parse()?, at_once.parse()?);
    let body = Bytes::from(vec![b'x'; bytes.parse()?]);
    let queue = open(url, QueueOptions::default())?;
    let name = format!("bench.rate.{}", std::process::id());
    queue.declare(&name).await?;
    let started = Instant::now();
    stream::iter(0..messages)
        .map(|number| {
            let message = Message {
                id: number.to_string(),
                body: body.clone(),
                traceparent: None,
            };
            queue.publish(&name, message)
        })
        .buffer_unordered(at_once.into())
        .try_collect::<Vec<()>>()
        .await?;
    let published = f64::from(messages) / started.elapsed().as_secs_f64();
    let mut consumer = queue.consume(&name, at_once).await?;
    let started = Instant::now();
    for _ in 0..messages {
        consumer.next().await?.receipt.ack().await?;
    }
    let consumed = f64::from(messages) / started.elapsed().as_secs_f64();
    println!("{{\"published_per_s\": {published:.1}, \"consumed_per_s\": {consumed:.1}}}");
    Ok(())
}
