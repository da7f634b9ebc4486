//! Sees that an engine hangs: by its journal, in which every step of every item is. Pure: no process, and the time is
//! given.

use super::death::Death;
use crate::ipc::ItemAt;
use crate::journal::JournalStage;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// An engine whose items all stay where they are for so many limits hangs, even if none of them is decoded or computed.
/// Calls to the store and to the index have limits of their own, and are tried several times; for the index there is patience
/// beside that.
const FROZEN_LIMITS: u32 = 5;

/// Watches one engine at a time.
#[derive(Debug)]
pub(crate) struct Watchdog {
    limit: Duration,
    frozen: Duration,
    entered: HashMap<ItemAt, (JournalStage, Instant)>,
    moved: Option<Instant>,
    verdict: Option<Death>,
}

impl Watchdog {
    /// `limit`: the longest that an item may be decoded or computed. `patience`: how long all of them may wait for the index.
    pub(crate) fn new(limit: Duration, patience: Duration) -> Self {
        Self {
            limit,
            frozen: limit.saturating_mul(FROZEN_LIMITS).saturating_add(patience),
            entered: HashMap::new(),
            moved: None,
            verdict: None,
        }
    }

    /// Forgets all times: another engine, or this process was stopped.
    pub(crate) fn restart(&mut self) {
        self.entered.clear();
        self.moved = None;
        self.verdict = None;
    }

    /// Compares the journal with what it was. Answers whether the engine has to be killed.
    pub(crate) fn hangs(&mut self, journal: &[(ItemAt, JournalStage)], now: Instant) -> bool {
        let before = std::mem::take(&mut self.entered);
        for (item, stage) in journal {
            let since = before.get(item).filter(|(was, _)| was == stage);
            self.entered
                .insert(*item, (*stage, since.map_or(now, |(_, since)| *since)));
        }
        let same =
            before.len() == self.entered.len() && before.iter().all(|(item, at)| self.entered.get(item) == Some(at));
        if !same || journal.is_empty() {
            self.moved = Some(now);
        }
        let busy = |stage: &JournalStage| matches!(stage, JournalStage::Decode | JournalStage::Forward);
        let stuck = self
            .entered
            .values()
            .any(|(stage, since)| busy(stage) && now.duration_since(*since) >= self.limit);
        let still = now.duration_since(*self.moved.get_or_insert(now));
        if stuck {
            self.verdict = Some(Death::hung(self.limit, true));
        } else if still >= self.frozen {
            self.verdict = Some(Death::hung(still, false));
        }
        self.verdict.is_some()
    }

    /// What an engine died of that is dead now: of what it was killed for, if it was killed from here.
    pub(crate) fn judge(&mut self, death: Death) -> Death {
        let verdict = self.verdict.take();
        self.restart();
        verdict.unwrap_or(death)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);
    const PATIENCE: Duration = Duration::from_secs(60);

    fn at(index: u32, stage: JournalStage) -> (ItemAt, JournalStage) {
        (ItemAt { work: 1, index }, stage)
    }

    fn killed() -> Death {
        Death {
            cause: "SIGKILL".into(),
            own: false,
            hung: false,
        }
    }

    #[test]
    fn an_item_that_is_decoded_for_too_long_hangs_the_engine_though_others_go_on() {
        let (mut watchdog, start) = (Watchdog::new(LIMIT, PATIENCE), Instant::now());
        for second in 0..120 {
            let other = at(2 + second, JournalStage::Forward);
            let now = start + Duration::from_secs(u64::from(second));
            assert!(!watchdog.hangs(&[at(1, JournalStage::Decode), other], now), "{second}");
        }
        assert!(watchdog.hangs(&[at(1, JournalStage::Decode)], start + LIMIT));
        let death = watchdog.judge(killed());
        assert!(death.own);
        assert_eq!(
            death.while_in(JournalStage::Decode),
            "no progress for 120 s while decoding"
        );
        assert_eq!(watchdog.judge(killed()), killed(), "the next engine's death is its own");
    }

    #[test]
    fn an_item_that_moves_and_a_slow_store_hang_nothing() {
        let (mut watchdog, start) = (Watchdog::new(LIMIT, PATIENCE), Instant::now());
        let stages = [
            JournalStage::Fetch,
            JournalStage::Decode,
            JournalStage::Forward,
            JournalStage::Upsert,
        ];
        for (step, stage) in (0..).zip(stages) {
            let now = start + LIMIT * step * 9 / 10;
            assert!(!watchdog.hangs(&[at(1, stage)], now), "{stage:?}");
        }
        let later = start + LIMIT * 6;
        assert!(!watchdog.hangs(&[at(1, JournalStage::Upsert)], later));
        assert!(
            !watchdog.hangs(&[], start + LIMIT * 100),
            "an idle engine does not hang"
        );
    }

    #[test]
    fn an_engine_in_which_nothing_moves_at_all_hangs_and_no_item_is_to_blame() {
        let (mut watchdog, start) = (Watchdog::new(LIMIT, PATIENCE), Instant::now());
        let journal = [at(1, JournalStage::Fetch), at(2, JournalStage::Queued)];
        assert!(!watchdog.hangs(&journal, start));
        assert!(!watchdog.hangs(&journal, start + LIMIT * 5));
        assert!(watchdog.hangs(&journal, start + LIMIT * 5 + PATIENCE));
        assert!(!watchdog.judge(killed()).own);
    }

    #[test]
    fn time_in_which_this_process_was_stopped_does_not_count() {
        let (mut watchdog, start) = (Watchdog::new(LIMIT, PATIENCE), Instant::now());
        let journal = [at(1, JournalStage::Decode)];
        assert!(!watchdog.hangs(&journal, start));
        watchdog.restart();
        assert!(!watchdog.hangs(&journal, start + LIMIT * 9));
    }
}
