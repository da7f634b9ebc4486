//! The queue's implementations against their contract, and RabbitMQ against lost and silent connections.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod broker;
mod faults;
mod memory;
mod proxy;
mod rabbitmq;
mod secrets;
