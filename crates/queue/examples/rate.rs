//! Messages a second through a broker, for `make bench-scale`: `rate URL MESSAGES BYTES IN_FLIGHT CONNECTIONS`.
//!
//! Each line of standard input has it do a step, and each step ends with a line of JSON on standard output, so that another
//! program can tell what a step took of the machine:
//!
//! 1. connects, and opens every channel by a message on each;
//! 2. publishes so many messages to one queue over all connections, on each of them so many at once, each confirmed;
//! 3. takes them all over as many connections, with a prefetch of as many on each, and acks each without waiting for the
//!    acks before it.

#![expect(clippy::print_stdout, reason = "a program of one measurement says what it found")]

use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sightline_queue::{Consumer, Delivery, JobQueue, Message, QueueError, QueueOptions, open};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Instant;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, messages, bytes, in_flight, connections] = arguments.as_slice() else {
        return Err("give URL MESSAGES BYTES IN_FLIGHT CONNECTIONS".into());
    };
    let (messages, in_flight, connections): (u32, u16, u16) =
        (messages.parse()?, in_flight.parse()?, connections.parse()?);
    let options = QueueOptions {
        publish_window: in_flight,
        ..QueueOptions::default()
    };
    let broker = Broker {
        // What `open` gives makes one connection for all that it publishes.
        clients: (0..connections)
            .map(|_| open(url, options.clone()))
            .collect::<Result<_, _>>()?,
        queue: format!("bench.rate.{}", std::process::id()),
        in_flight,
        body: Bytes::from(vec![b'x'; bytes.parse()?]),
    };
    let mut lines = io::stdin().lines();

    asked(&mut lines)?;
    let first = broker.clients.first().ok_or("give at least one connection")?;
    first.declare(&broker.queue).await?;
    let channels = u32::from(in_flight) * u32::from(connections);
    broker.publish(channels).await?;
    println!("{{}}");

    asked(&mut lines)?;
    let rate = broker.publish(messages).await?;
    println!("{{\"published_per_s\": {rate:.1}}}");

    asked(&mut lines)?;
    let rate = broker.consume(channels + messages).await?;
    println!("{{\"consumed_per_s\": {rate:.1}}}");
    Ok(())
}

/// Waits for the next line.
fn asked(lines: &mut impl Iterator<Item = io::Result<String>>) -> Result<(), Box<dyn Error>> {
    lines.next().ok_or("nobody asks for the next step")??;
    Ok(())
}

struct Broker {
    clients: Vec<Arc<dyn JobQueue>>,
    queue: String,
    /// Of each client.
    in_flight: u16,
    body: Bytes,
}

impl Broker {
    fn all_in_flight(&self) -> usize {
        usize::from(self.in_flight) * self.clients.len()
    }

    /// Publishes so many, and gives how many a second were confirmed.
    async fn publish(&self, messages: u32) -> Result<f64, QueueError> {
        let started = Instant::now();
        stream::iter((0..messages).zip(self.clients.iter().cycle()))
            .map(|(number, client)| {
                let message = Message {
                    id: number.to_string(),
                    body: self.body.clone(),
                    traceparent: None,
                };
                client.publish(&self.queue, message)
            })
            .buffer_unordered(self.all_in_flight())
            .try_collect::<Vec<()>>()
            .await?;
        Ok(f64::from(messages) / started.elapsed().as_secs_f64())
    }

    /// Takes so many, and gives how many a second were acked.
    async fn consume(&self, messages: u32) -> Result<f64, QueueError> {
        let started = Instant::now();
        let consumers = self
            .clients
            .iter()
            .map(|client| client.consume(&self.queue, self.in_flight));
        let consumers = try_join_all(consumers).await?;
        stream::select_all(consumers.into_iter().map(deliveries))
            .take(messages as usize)
            .map(|delivery| async move { delivery?.receipt.ack().await })
            .buffer_unordered(self.all_in_flight())
            .try_collect::<Vec<()>>()
            .await?;
        Ok(f64::from(messages) / started.elapsed().as_secs_f64())
    }
}

/// Without an end.
fn deliveries(consumer: Box<dyn Consumer>) -> BoxStream<'static, Result<Delivery, QueueError>> {
    stream::unfold(consumer, |mut consumer| async move {
        let delivery = consumer.next().await;
        Some((delivery, consumer))
    })
    .boxed()
}
