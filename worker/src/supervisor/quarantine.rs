//! Which items are under suspicion of killing the engine, and what is proven. Pure: no process, no time.

use super::death::Death;
use crate::ipc::{ItemAt, WorkId};
use crate::journal::JournalStage;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Deaths alone, of the item's own making, that condemn it.
const DEATHS_TO_CONDEMN: u32 = 2;
/// Deaths alone that are nobody's fault, after which the item's shard is handed back for another worker to try.
const DEATHS_TO_GIVE_UP: u32 = 5;

/// What a death proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Open,
    /// The item kills engines. In words, how.
    Condemned(ItemAt, String),
    /// The engine keeps ending over this item, by no fault of its own. In words, how.
    GivenUp(ItemAt, String),
}

#[derive(Debug, Default, Clone, Copy)]
struct DeathsAlone {
    own: u32,
    other: u32,
}

/// The suspects: tried one after the other, each alone in the engine.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    waiting: VecDeque<ItemAt>,
    alone: Option<ItemAt>,
    deaths: HashMap<ItemAt, DeathsAlone>,
}

impl Quarantine {
    /// Whether someone is under suspicion: then nobody else may be in the engine.
    pub(crate) fn is_active(&self) -> bool {
        self.alone.is_some() || !self.waiting.is_empty()
    }

    /// The item to be tried now, if none is being tried.
    pub(crate) fn next(&mut self) -> Option<ItemAt> {
        if self.alone.is_some() {
            return None;
        }
        self.alone = self.waiting.pop_front();
        self.alone
    }

    /// The item that [`Quarantine::next`] gave could not be sent yet.
    pub(crate) fn back(&mut self, item: ItemAt) {
        if self.alone == Some(item) {
            self.alone = None;
            self.waiting.push_front(item);
        }
    }

    /// The engine died while its journal said this of the items that it was given.
    pub(crate) fn died(&mut self, death: &Death, journal: &[(ItemAt, JournalStage)]) -> Verdict {
        let Some(item) = self.alone.take() else {
            self.suspect(journal);
            return Verdict::Open;
        };
        let stage = journal.iter().find(|(at, _)| *at == item).map(|(_, stage)| *stage);
        let Some(stage) = stage else {
            // It had not begun with the item: that proves nothing.
            self.waiting.push_front(item);
            return Verdict::Open;
        };
        let deaths = self.deaths.entry(item).or_default();
        if death.own {
            deaths.own += 1;
        } else {
            deaths.other += 1;
        }
        let deaths = *deaths;
        let words = death.while_in(stage);
        if deaths.own >= DEATHS_TO_CONDEMN {
            self.deaths.remove(&item);
            return Verdict::Condemned(item, words);
        }
        if deaths.other >= DEATHS_TO_GIVE_UP {
            self.deaths.remove(&item);
            return Verdict::GivenUp(item, words);
        }
        self.waiting.push_front(item);
        Verdict::Open
    }

    /// An item ended, so it is no suspect.
    pub(crate) fn ended(&mut self, item: ItemAt) {
        if self.alone == Some(item) {
            self.alone = None;
        }
        self.deaths.remove(&item);
    }

    /// A work is over: its items are nobody's concern here.
    pub(crate) fn forget(&mut self, work: WorkId) {
        self.waiting.retain(|item| item.work != work);
        self.alone = self.alone.filter(|item| item.work != work);
        self.deaths.retain(|item, _| item.work != work);
    }

    /// Those who were decoded or computed are suspects; where nobody was, those who were read or written.
    fn suspect(&mut self, journal: &[(ItemAt, JournalStage)]) {
        let mut suspects = suspects_of(journal);
        suspects.retain(|item| !self.waiting.contains(item));
        self.waiting.extend(suspects);
    }
}

/// The suspects that a journal names, the likeliest first.
pub(crate) fn suspects_of(journal: &[(ItemAt, JournalStage)]) -> Vec<ItemAt> {
    let of = |stages: &[JournalStage]| {
        let items = |stage: &JournalStage| {
            let here = journal.iter().filter(move |(_, at)| at == stage).map(|(item, _)| *item);
            here.collect::<BTreeSet<ItemAt>>()
        };
        stages.iter().flat_map(items).collect::<Vec<_>>()
    };
    let dangerous = of(&[JournalStage::Decode, JournalStage::Forward]);
    if dangerous.is_empty() {
        of(&[JournalStage::Fetch, JournalStage::Upsert])
    } else {
        dangerous
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(index: u32) -> ItemAt {
        ItemAt { work: 1, index }
    }

    fn crash() -> Death {
        Death {
            cause: "SIGSEGV".into(),
            own: true,
            hung: false,
        }
    }

    fn outside() -> Death {
        Death {
            cause: "SIGKILL".into(),
            own: false,
            hung: false,
        }
    }

    const DECODE: JournalStage = JournalStage::Decode;

    #[test]
    fn the_one_that_kills_alone_twice_is_condemned_and_its_neighbours_are_not() {
        let mut quarantine = Quarantine::default();
        let journal = [(at(1), DECODE), (at(2), DECODE), (at(3), JournalStage::Queued)];
        assert_eq!(quarantine.died(&crash(), &journal), Verdict::Open);
        assert_eq!(quarantine.next(), Some(at(1)));
        assert_eq!(quarantine.next(), None, "one at a time");
        quarantine.ended(at(1));
        assert_eq!(quarantine.next(), Some(at(2)));
        assert_eq!(quarantine.died(&crash(), &[(at(2), DECODE)]), Verdict::Open);
        assert_eq!(quarantine.next(), Some(at(2)));
        let verdict = quarantine.died(&crash(), &[(at(2), DECODE)]);
        assert_eq!(
            verdict,
            Verdict::Condemned(at(2), "killed by SIGSEGV while decoding".into())
        );
        assert!(!quarantine.is_active(), "3 only waited");
    }

    #[test]
    fn nobody_is_condemned_for_a_kill_from_outside() {
        let mut quarantine = Quarantine::default();
        quarantine.died(&outside(), &[(at(1), DECODE)]);
        for _ in 1..DEATHS_TO_GIVE_UP {
            assert_eq!(quarantine.next(), Some(at(1)));
            assert_eq!(quarantine.died(&outside(), &[(at(1), DECODE)]), Verdict::Open);
        }
        assert_eq!(quarantine.next(), Some(at(1)));
        let verdict = quarantine.died(&outside(), &[(at(1), DECODE)]);
        assert!(
            matches!(verdict, Verdict::GivenUp(item, _) if item == at(1)),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_death_before_the_item_was_touched_proves_nothing() {
        let mut quarantine = Quarantine::default();
        quarantine.died(&crash(), &[(at(1), DECODE)]);
        for _ in 0..10 {
            assert_eq!(quarantine.next(), Some(at(1)));
            assert_eq!(quarantine.died(&crash(), &[]), Verdict::Open);
        }
    }

    #[test]
    fn an_item_that_ends_alone_is_cleared_of_what_was_counted() {
        let mut quarantine = Quarantine::default();
        quarantine.died(&crash(), &[(at(1), DECODE)]);
        quarantine.next();
        quarantine.died(&crash(), &[(at(1), DECODE)]);
        quarantine.next();
        quarantine.ended(at(1));
        assert!(!quarantine.is_active());
        assert!(quarantine.deaths.is_empty());
    }

    #[test]
    fn a_death_in_reading_or_writing_has_suspects_only_where_nobody_was_decoded_or_computed() {
        let fetch = (at(1), JournalStage::Fetch);
        assert_eq!(suspects_of(&[fetch, (at(2), JournalStage::Forward)]), [at(2)]);
        assert_eq!(suspects_of(&[fetch, (at(2), JournalStage::Queued)]), [at(1)]);
        assert_eq!(suspects_of(&[]), []);
    }

    #[test]
    fn items_of_a_work_that_is_over_are_forgotten() {
        let mut quarantine = Quarantine::default();
        quarantine.died(&crash(), &[(at(1), DECODE), (at(2), DECODE)]);
        quarantine.next();
        quarantine.forget(1);
        assert!(!quarantine.is_active());
    }

    proptest! {
        /// Poisons kill whenever they are touched; the others never do. Whoever is among them, the poisons and only
        /// they are condemned.
        #[test]
        fn exactly_the_poisons_are_condemned(poisons in prop::collection::btree_set(0..12_u32, 0..5)) {
            let mut quarantine = Quarantine::default();
            let mut waiting: Vec<u32> = (0..12).collect();
            let mut condemned = BTreeSet::new();
            for _ in 0..200 {
                if let Some(item) = quarantine.next() {
                    if !poisons.contains(&item.index) {
                        quarantine.ended(item);
                    } else if let Verdict::Condemned(item, _) = quarantine.died(&crash(), &[(item, DECODE)]) {
                        condemned.insert(item.index);
                    }
                    continue;
                }
                let batch: Vec<u32> = waiting.drain(..waiting.len().min(4)).collect();
                if batch.iter().any(|index| poisons.contains(index)) {
                    let journal: Vec<_> = batch.iter().map(|index| (at(*index), DECODE)).collect();
                    quarantine.died(&crash(), &journal);
                }
            }
            prop_assert_eq!(condemned, poisons);
        }
    }
}
