//! What retries of the object store are paid with. Each read has its attempts, a thousand are made at once, and a store that is
//! overloaded would be asked six times as much; so all reads of an engine, and its writes of previews, share one bucket of tokens.
//!
//! Capacity and prices are those of the standard retry mode of AWS's SDKs, whose own bucket is never asked since the engine
//! leaves the SDK one attempt: 500 tokens, 5 a retry, 10 after silence; a call that succeeds gives back what its last retry
//! took, or 1 (aws-smithy-runtime, `client/retries/token_bucket.rs` and `strategy/standard.rs`). So a store that refuses at random
//! has all its retries up to a share of 31 %; beyond, `5 q² / (1 − q)` are spent a read and no more than `1 − q` come back.

use sightline_objects::{ObjectError, Symptom};
use std::sync::atomic::{AtomicU32, Ordering};

/// What there is at first, and at most.
const CAPACITY: u32 = 500;
/// The price of a retry.
const RETRY: u32 = 5;
/// That of a retry of what was not answered in time.
const AFTER_SILENCE: u32 = 10;
/// What a call gives that succeeded at once.
const SUCCESS: u32 = 1;

/// Whether a call is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It would end in the same way.
    Never,
    /// It can succeed.
    Yes,
    /// It can, and the last one was not answered.
    AfterSilence,
}

impl From<bool> for Again {
    fn from(retryable: bool) -> Self {
        if retryable { Self::Yes } else { Self::Never }
    }
}

impl Again {
    /// After an error of the object store.
    pub(crate) fn of_store(error: &ObjectError) -> Self {
        match error.symptom() {
            Some(Symptom::Silent) => Self::AfterSilence,
            _ => error.is_retryable().into(),
        }
    }

    /// Its price; none where it is not made.
    pub(crate) fn price(self) -> Option<u32> {
        match self {
            Self::Never => None,
            Self::Yes => Some(RETRY),
            Self::AfterSilence => Some(AFTER_SILENCE),
        }
    }
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct Tokens(AtomicU32);

impl Default for Tokens {
    fn default() -> Self {
        Self(AtomicU32::new(CAPACITY))
    }
}

impl Tokens {
    /// Takes what a retry costs; takes nothing, and answers false, where there is not enough.
    pub(crate) fn take(&self, price: u32) -> bool {
        self.change(|left| left.checked_sub(price))
    }

    /// A call succeeded, with a retry that took so much or at once.
    pub(crate) fn succeeded(&self, taken: Option<u32>) {
        let back = taken.unwrap_or(SUCCESS);
        self.change(|left| Some(left.saturating_add(back).min(CAPACITY)));
    }

    fn change(&self, to: impl Fn(u32) -> Option<u32>) -> bool {
        let mut left = self.0.load(Ordering::Relaxed);
        while let Some(then) = to(left) {
            match self
                .0
                .compare_exchange_weak(left, then, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => left = now,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_retries_are_paid_for_whoever_makes_them_at_the_same_time() {
        let tokens = Tokens::default();
        let paid = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if tokens.take(RETRY) {
                            paid.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(paid.into_inner(), CAPACITY / RETRY);
    }

    #[test]
    fn silence_costs_twice_a_refusal_and_what_can_never_succeed_is_not_made() {
        let error = |symptom| ObjectError::Unavailable {
            action: "read",
            key: "k".into(),
            message: "503".into(),
            symptom,
        };
        for (error, again, price) in [
            (error(Symptom::Away), Again::Yes, Some(5)),
            (error(Symptom::Answered), Again::Yes, Some(5)),
            (error(Symptom::Silent), Again::AfterSilence, Some(10)),
            (ObjectError::NotFound { key: "k".into() }, Again::Never, None),
        ] {
            assert_eq!(Again::of_store(&error), again, "{error}");
            assert_eq!(again.price(), price);
        }
    }

    proptest::proptest! {
        // What is done: a retry, one after silence, a success after a retry, one at once.
        #[test]
        fn no_more_is_spent_than_there_was_and_came_in_and_never_more_is_there_than_at_first(
            deeds in proptest::collection::vec(0_u8..4, 0..600),
        ) {
            let tokens = Tokens::default();
            let (mut left, mut spent, mut gained) = (CAPACITY, 0, 0);
            for deed in deeds {
                match deed {
                    0 | 1 => {
                        let price = if deed == 0 { RETRY } else { AFTER_SILENCE };
                        let paid = tokens.take(price);
                        proptest::prop_assert_eq!(paid, left >= price);
                        if paid {
                            spent += price;
                            left -= price;
                        }
                    }
                    _ => {
                        let taken = (deed == 2).then_some(RETRY);
                        tokens.succeeded(taken);
                        let back = taken.unwrap_or(SUCCESS).min(CAPACITY - left);
                        gained += back;
                        left += back;
                    }
                }
                proptest::prop_assert!(spent <= CAPACITY + gained && left <= CAPACITY);
                proptest::prop_assert_eq!(tokens.0.load(Ordering::Relaxed), left);
            }
        }
    }
}
