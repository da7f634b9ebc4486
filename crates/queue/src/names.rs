//! Names as a broker knows them: prefixed, checked for length, with those of dead letters and delays derived.

use crate::{Message, QueueError};
use std::time::Duration;

/// A broker's names end here.
const MAX_NAME_BYTES: usize = 255;
/// Room for what is derived from a name: ".delay." and a number, ".dead".
const RESERVED_BYTES: usize = 32;
const DEAD: &str = ".dead";

/// The name of a queue's dead letters: a queue like any other.
#[must_use]
pub fn dead_letters(queue: &str) -> String {
    format!("{queue}{DEAD}")
}

/// Whether a queue holds dead letters.
pub(crate) fn is_dead_letters(queue: &str) -> bool {
    queue.ends_with(DEAD)
}

/// The queue in which messages wait for `step`.
pub(crate) fn delay_queue(queue: &str, step: Duration) -> String {
    format!("{queue}.delay.{}", step.as_millis())
}

/// A queue's or topic's full name.
pub(crate) fn full_name(prefix: &str, name: &str, action: &'static str) -> Result<String, QueueError> {
    let full = format!("{prefix}{name}");
    if name.is_empty() {
        return Err(QueueError::invalid(action, &full, "its name is empty"));
    }
    if full.len() > MAX_NAME_BYTES - RESERVED_BYTES {
        let most = MAX_NAME_BYTES - RESERVED_BYTES;
        let message = format!("its name has {} bytes, and {most} are the most", full.len());
        return Err(QueueError::invalid(action, &full, message));
    }
    if full.starts_with("amq.") {
        let message = "names that begin with \"amq.\" are the broker's own: choose another";
        return Err(QueueError::invalid(action, &full, message));
    }
    Ok(full)
}

/// Refuses a message that a broker cannot carry.
pub(crate) fn check_message(queue: &str, message: &Message) -> Result<(), QueueError> {
    if message.id.len() > MAX_NAME_BYTES {
        let text = format!(
            "the message's id has {} bytes, and {MAX_NAME_BYTES} are the most",
            message.id.len()
        );
        return Err(QueueError::invalid("publish to", queue, text));
    }
    Ok(())
}

/// Refuses a prefetch that would mean "without bound".
pub(crate) fn check_prefetch(queue: &str, prefetch: u16) -> Result<(), QueueError> {
    if prefetch == 0 {
        return Err(QueueError::invalid("consume from", queue, "a prefetch is at least 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_too_long_for_what_is_derived_from_it_is_refused() {
        let longest = "x".repeat(223);
        let full = full_name("", &longest, "declare").unwrap();
        assert!(delay_queue(&full, Duration::from_secs(86_400)).len() <= MAX_NAME_BYTES);
        assert!(full_name("p", &longest, "declare").is_err());
    }

    #[test]
    fn an_empty_name_and_a_name_of_the_broker_are_refused() {
        assert!(full_name("test.", "", "declare").is_err());
        assert!(full_name("amq.", "x", "declare").is_err());
        assert!(full_name("a", "mq.x", "declare").is_err());
    }
}
