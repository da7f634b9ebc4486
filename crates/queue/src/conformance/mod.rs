//! The suite that every implementation of [`crate::JobQueue`] passes.
//!
//! `conformance! { #[tokio::test] open }` stamps one test for each case, named after it. `open` is an
//! `async fn(&str, QueueOptions) -> Arc<dyn JobQueue>`: it gives a broker in which nothing is declared, with these
//! options but for the prefix, which is empty or ends with a dot, and which it makes unique with the name of the case.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test suite: a broken promise is a panic"
)]

mod consuming;
mod delivering;
mod limits;
mod support;
mod telling;

pub use consuming::{
    a_consumer_has_at_most_its_prefetch_unanswered, a_consumer_that_stopped_gets_no_more_and_can_still_answer,
    a_delivery_is_not_lost_when_the_wait_for_it_is_given_up, a_late_answer_is_refused_and_the_message_comes_again,
    a_message_in_one_consumers_hands_is_not_given_to_another, a_prefetch_of_zero_is_refused,
    what_a_dropped_consumer_had_comes_again_and_the_delivery_counts,
};
pub use delivering::{
    a_body_of_one_mebibyte_arrives_whole, a_broadcast_reaches_everyone_who_listens,
    a_delayed_message_does_not_come_before_its_delay, a_message_keeps_its_body_id_and_trace,
    declaring_again_changes_nothing, depth_tells_what_waits_and_who_takes, every_message_comes_and_is_gone_once_acked,
    ten_thousand_messages_come_once_each, two_queues_do_not_meet, what_is_not_declared_is_an_error,
};
pub use limits::{
    a_dead_letter_stays_until_it_is_acked, a_message_that_came_too_often_lies_in_the_dead_letters,
    a_receipt_that_is_dropped_hands_its_message_back, a_rejected_message_lies_in_the_dead_letters,
    a_requeued_message_comes_again_and_the_delivery_counts,
};
pub use support::options;
pub use telling::what_is_published_and_what_comes_is_told;

/// Stamps one named test for each case of the suite. See [`crate::conformance`].
#[macro_export]
macro_rules! conformance {
    ($(#[$attribute:meta])* $open:path) => {
        $crate::conformance!(@cases [$(#[$attribute])*] $open;
            every_message_comes_and_is_gone_once_acked
            a_message_keeps_its_body_id_and_trace
            a_body_of_one_mebibyte_arrives_whole
            ten_thousand_messages_come_once_each
            a_delayed_message_does_not_come_before_its_delay
            declaring_again_changes_nothing
            two_queues_do_not_meet
            what_is_not_declared_is_an_error
            depth_tells_what_waits_and_who_takes
            a_broadcast_reaches_everyone_who_listens
            a_consumer_has_at_most_its_prefetch_unanswered
            a_prefetch_of_zero_is_refused
            a_message_in_one_consumers_hands_is_not_given_to_another
            a_delivery_is_not_lost_when_the_wait_for_it_is_given_up
            what_a_dropped_consumer_had_comes_again_and_the_delivery_counts
            a_late_answer_is_refused_and_the_message_comes_again
            a_consumer_that_stopped_gets_no_more_and_can_still_answer
            a_requeued_message_comes_again_and_the_delivery_counts
            a_receipt_that_is_dropped_hands_its_message_back
            a_rejected_message_lies_in_the_dead_letters
            a_message_that_came_too_often_lies_in_the_dead_letters
            a_dead_letter_stays_until_it_is_acked
        );
        $(#[$attribute])*
        async fn what_is_published_and_what_comes_is_told() {
            let case = "what_is_published_and_what_comes_is_told";
            $crate::conformance::what_is_published_and_what_comes_is_told(|options| $open(case, options)).await;
        }
    };
    (@cases $attributes:tt $open:path; $($case:ident)*) => {
        $( $crate::conformance!(@case $attributes $open; $case); )*
    };
    (@case [$(#[$attribute:meta])*] $open:path; $case:ident) => {
        $(#[$attribute])*
        async fn $case() {
            let queue = $open(stringify!($case), $crate::conformance::options()).await;
            $crate::conformance::$case(&*queue).await;
        }
    };
}
