//! Which broker a URL means.

use crate::memory::MemoryQueue;
use crate::rabbitmq::RabbitMq;
use crate::{JobQueue, QueueError, QueueOptions};
use std::sync::Arc;

/// Opens the queue that a URL names: `memory:` for a new one in this process, `amqp://user:password@host:port/vhost`
/// or `amqps://…` for RabbitMQ (`/%2f` at the end is its default virtual host). Nothing is connected yet: a broker that
/// is away is an error of the first call, not of this one.
///
/// # Errors
/// [`QueueError::Invalid`] where the URL or an option cannot be used. The password is never part of it.
pub fn open(url: &str, options: QueueOptions) -> Result<Arc<dyn JobQueue>, QueueError> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("memory") if url == "memory:" => Ok(Arc::new(MemoryQueue::new(options)?)),
        Some("amqp" | "amqps") => Ok(Arc::new(RabbitMq::new(url, options)?)),
        _ => Err(QueueError::invalid(
            "open",
            "the queue's URL",
            "it is none of \"memory:\", \"amqp://…\" and \"amqps://…\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_no_known_broker_is_refused_without_repeating_it() {
        for url in [
            "",
            "redis://user:hunter2@host",
            "memory://x?hunter2",
            "amqp//hunter2",
            "hunter2",
        ] {
            let error = open(url, QueueOptions::default()).unwrap_err();
            assert!(!error.is_retryable());
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn no_password_is_seen_in_an_opened_queue_or_in_the_error_of_a_wrong_url() {
        let queue = open("amqp://user:hunter2@localhost:5672/%2f", QueueOptions::default()).unwrap();
        assert!(!format!("{queue:?}").contains("hunter2"), "{queue:?}");
        for url in [
            "amqp://user:hunter2@localhost:99999/%2f",
            "amqp://user:hunter2@/a/b/c",
            "amqp://user:hunter2@localhost?heartbeat=hunter2",
        ] {
            if let Err(error) = open(url, QueueOptions::default()) {
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            }
        }
    }
}
