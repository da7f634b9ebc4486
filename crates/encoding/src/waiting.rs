//! Inputs that wait for a batch, by call: calls take turns, so that one with a thousand inputs delays one with a single
//! input by a batch, not by all of its own.

use crate::encoder::Encoded;
use crate::error::EncodeError;
use std::collections::VecDeque;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

/// Where an input's vector goes.
pub(crate) type Reply = oneshot::Sender<Result<Encoded, EncodeError>>;

/// An input that waits.
#[derive(Debug)]
pub(crate) struct Entry<I> {
    pub(crate) input: I,
    pub(crate) reply: Reply,
    pub(crate) since: Instant,
    /// Its places in what is bounded; given back with the entry.
    pub(crate) places: Vec<OwnedSemaphorePermit>,
}

/// What waits, in the order in which calls take turns.
#[derive(Debug)]
pub(crate) struct Waiting<I> {
    calls: VecDeque<(u64, VecDeque<Entry<I>>)>,
    inputs: usize,
}

impl<I> Default for Waiting<I> {
    fn default() -> Self {
        Self {
            calls: VecDeque::new(),
            inputs: 0,
        }
    }
}

impl<I> Waiting<I> {
    /// Adds an input of a call.
    pub(crate) fn push(&mut self, call: u64, entry: Entry<I>) {
        self.inputs += 1;
        // A call's inputs mostly come one after the other.
        match self.calls.iter_mut().rev().find(|(number, _)| *number == call) {
            Some((_, entries)) => entries.push_back(entry),
            None => self.calls.push_back((call, VecDeque::from([entry]))),
        }
    }

    /// Inputs that wait, those included whose callers are gone.
    pub(crate) fn len(&self) -> usize {
        self.inputs
    }

    /// Since when the oldest input waits.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let firsts = self.calls.iter().filter_map(|(_, entries)| entries.front());
        firsts.map(|entry| entry.since).min()
    }

    /// Takes a batch: one input of each call in turn, until there are `most` or none is left. Inputs whose callers are
    /// gone are dropped on the way; their number is given beside.
    pub(crate) fn take(&mut self, most: usize) -> (Vec<Entry<I>>, u64) {
        let mut batch = Vec::with_capacity(most.min(self.inputs));
        let mut abandoned = 0;
        while batch.len() < most
            && let Some((call, mut entries)) = self.calls.pop_front()
        {
            while let Some(entry) = entries.pop_front() {
                self.inputs -= 1;
                if entry.reply.is_closed() {
                    abandoned += 1;
                    continue;
                }
                batch.push(entry);
                break;
            }
            if !entries.is_empty() {
                self.calls.push_back((call, entries));
            }
        }
        (batch, abandoned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entry(input: u32) -> (Entry<u32>, oneshot::Receiver<Result<Encoded, EncodeError>>) {
        let (reply, answer) = oneshot::channel();
        let entry = Entry {
            input,
            reply,
            since: Instant::now(),
            places: Vec::new(),
        };
        (entry, answer)
    }

    proptest! {
        #[test]
        fn every_input_whose_caller_waits_is_taken_once_in_its_call_s_order_and_calls_take_turns(
            pushes in prop::collection::vec((0_u64..5, any::<bool>()), 0..60),
            most in 1_usize..9,
        ) {
            let mut waiting = Waiting::default();
            let mut answers = Vec::new();
            let mut expected: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            let mut owner = Vec::new();
            for (number, (call, gone)) in pushes.iter().enumerate() {
                let number = u32::try_from(number).unwrap();
                let (entry, answer) = entry(number);
                waiting.push(*call, entry);
                owner.push(*call);
                if !*gone {
                    answers.push(answer);
                    expected.entry(*call).or_default().push(number);
                }
            }
            let mut taken: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            let mut abandoned = 0;
            while waiting.len() > 0 {
                let left: Vec<u64> = expected.iter()
                    .filter(|(call, all)| taken.get(*call).map_or(0, Vec::len) < all.len())
                    .map(|(call, _)| *call).collect();
                let (batch, gone) = waiting.take(most);
                abandoned += gone;
                prop_assert!(batch.len() <= most);
                let mut shares: BTreeMap<u64, usize> = BTreeMap::new();
                for entry in batch {
                    let call = owner[entry.input as usize];
                    *shares.entry(call).or_default() += 1;
                    taken.entry(call).or_default().push(entry.input);
                }
                // Nobody has two in a batch while another who waits has none.
                if shares.values().any(|share| *share > 1) {
                    prop_assert!(left.iter().all(|call| shares.contains_key(call)), "{shares:?} {left:?}");
                }
            }
            prop_assert_eq!(taken, expected);
            prop_assert_eq!(usize::try_from(abandoned).unwrap(), pushes.iter().filter(|(_, gone)| *gone).count());
        }
    }
}
