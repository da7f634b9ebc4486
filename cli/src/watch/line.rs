//! A run that goes on, in one line.

use crate::text::{count, duration, plain, rate};
use sightline_proto::v1;
use sightline_proto::v1::run::State;
use std::time::Duration;

/// Items that have ended.
pub(super) fn ended(run: &v1::Run) -> i64 {
    run.counts
        .as_ref()
        .map_or(0, |c| c.indexed + c.unchanged + c.skipped + c.failed)
}

/// The time that is left at the present rate; none while the plan grows or nothing moves.
pub(super) fn left(run: &v1::Run) -> Option<Duration> {
    Duration::try_from(run.time_left?).ok()
}

/// What stands behind a bar: rate, failures, time left; or what is waited for.
pub(super) fn facts(run: &v1::Run) -> String {
    let mut facts = Vec::new();
    if run.state() == State::Waiting {
        facts.push(format!("waiting: {}", plain(&run.state_message)));
    } else if run.items_per_second > 0.0 {
        facts.push(rate(run.items_per_second));
    }
    if let Some(failed) = run
        .counts
        .as_ref()
        .map(|counts| counts.failed)
        .filter(|failed| *failed > 0)
    {
        facts.push(format!("{} failed", count(failed)));
    }
    if run.state() == State::Running && !run.state_message.is_empty() {
        facts.push(plain(&run.state_message));
    }
    if run.state() != State::Waiting {
        match left(run) {
            Some(left) => facts.push(format!("{} left", duration(left))),
            None if !run.plan_complete => facts.push("still listing".into()),
            None => {}
        }
    }
    facts.join(", ")
}

/// The whole line.
pub(super) fn line(run: &v1::Run) -> String {
    let more = if run.plan_complete { "" } else { "+" };
    let mut line = format!("{} of {}{more} items", count(ended(run)), count(run.planned_items));
    let facts = facts(run);
    if !facts.is_empty() {
        line = format!("{line}, {facts}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> v1::Run {
        v1::Run {
            state: State::Running.into(),
            plan_complete: true,
            planned_items: 1000,
            counts: Some(v1::run::Counts {
                indexed: 190,
                unchanged: 5,
                skipped: 3,
                failed: 2,
                stale: 0,
            }),
            items_per_second: 40.0,
            time_left: Some(prost_types::Duration { seconds: 20, nanos: 0 }),
            ..v1::Run::default()
        }
    }

    #[test]
    fn a_line_has_rate_failures_and_the_time_left() {
        assert_eq!(line(&running()), "200 of 1,000 items, 40.0/s, 2 failed, 20 s left");
    }

    #[test]
    fn no_time_is_promised_while_the_plan_grows_or_nothing_moves() {
        let growing = v1::Run {
            plan_complete: false,
            time_left: None,
            ..running()
        };
        assert_eq!(line(&growing), "200 of 1,000+ items, 40.0/s, 2 failed, still listing");
    }

    #[test]
    fn a_run_that_waits_says_for_what() {
        let state_message = "no worker serves model sightline-demo".to_owned();
        let waiting = v1::Run {
            state: State::Waiting.into(),
            state_message,
            ..running()
        };
        assert_eq!(
            line(&waiting),
            "200 of 1,000 items, waiting: no worker serves model sightline-demo, 2 failed"
        );
    }
}
