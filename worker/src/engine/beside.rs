//! An object that its store refuses is asked for beside another one, so that what is wrong with the object is told from what is
//! wrong with the store: an outage is no item's failure, and one object keeps no run from its end.
//!
//! Promises: an object is found to be unreadable at a late delivery of its shard alone, and only where the store answered for
//! another object before and after each refusal. Leaves to others: the attempts before (`retry.rs`), and what follows for the
//! item (`read.rs`).

use super::retry::RetryPolicy;
use bytes::Bytes;
use sightline_objects::{ListRequest, ObjectError, ObjectStore, Symptom};
use std::fmt;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// From this delivery of its shard on an object may be found to be unreadable. Before it lie 1, 2, 4, 8 and 16 s of delays, which
/// the broker's steps make 86 s of, beside the attempts: what restarts is back by then.
const DELIVERIES: u32 = 6;
/// How often the object has to be refused, and the other one to be answered, in turn. Where a store refuses a share `p` of all
/// requests at random, that happens with a chance of `(p (1 − p))^10`: one in a million at most.
const TURNS: u32 = 10;
/// Other objects that are asked for until one is answered: some of them may be lost with the same disk.
pub(super) const OTHERS: usize = 8;
/// How long is waited for what the other one is asked for. A store that takes longer is not well.
const LIMIT: Duration = Duration::from_secs(5);

/// What the store answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Witness {
    /// Another object.
    Object(String),
    /// A listing of its root, where there is no other.
    Root,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(key) => write!(f, "the store answered for {key:?}"),
            Self::Root => f.write_str("the store listed its root"),
        }
    }
}

/// What is found of an object that was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was read after all, or nothing is known but that its store does not give it.
    Read(Result<Bytes, ObjectError>),
    /// The store answers for another. The object may be tried again at another time.
    Later(ObjectError, Witness),
    /// It was tried for long enough.
    Never(ObjectError, Witness),
}

/// What a store makes of being asked for another object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Given,
    NotThere,
    Refused,
    Away,
}

/// The store gives nothing else, or does not say.
struct Unwell;

/// An object that was refused, and what stands beside it.
#[derive(Debug)]
pub(super) struct Beside<'a> {
    pub(super) store: &'a dyn ObjectStore,
    pub(super) key: &'a str,
    /// Other objects of its store, as far as they are known; itself may be among them.
    pub(super) neighbours: Vec<String>,
    /// Which delivery of its shard this is, from 1.
    pub(super) delivery: u32,
    pub(super) retry: &'a RetryPolicy,
    /// Held while another object is asked for: one at a time, or an outage would be met with such questions for all that is in
    /// flight.
    pub(super) probes: &'a Semaphore,
}

impl Beside<'_> {
    /// Judges an object that was last refused like this. Retries are not paid for here: each is made only after the store has
    /// answered for another object.
    pub(super) async fn judge<F>(&self, mut error: ObjectError, mut read: impl FnMut() -> F) -> Verdict
    where
        F: Future<Output = Result<Bytes, ObjectError>>,
    {
        let Ok(witness) = self.witness().await else {
            return Verdict::Read(Err(error));
        };
        if self.delivery < DELIVERIES {
            return Verdict::Later(error, witness);
        }
        for _ in 0..TURNS {
            tokio::time::sleep(self.retry.pause()).await;
            match read().await {
                Err(refused) if refused.symptom() == Some(Symptom::Answered) => error = refused,
                result => return Verdict::Read(result),
            }
            if !self.still(&witness).await {
                return Verdict::Read(Err(error));
            }
        }
        Verdict::Never(error, witness)
    }

    /// Something that the store answers for.
    async fn witness(&self) -> Result<Witness, Unwell> {
        let _turn = self.probes.acquire().await.map_err(|_| Unwell)?;
        let known = self.neighbours.iter().filter(|key| *key != self.key);
        let known = known.take(OTHERS).cloned().collect();
        if let Some(key) = self.given(known).await? {
            return Ok(Witness::Object(key));
        }
        let folder = self.key.rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
        for prefix in [folder.as_deref(), Some("")].into_iter().flatten() {
            let listed = self.listed(prefix).await?;
            if let Some(key) = self.given(listed).await? {
                return Ok(Witness::Object(key));
            }
        }
        Ok(Witness::Root)
    }

    /// The first of some objects that the store gives; none where there is none of them.
    async fn given(&self, others: Vec<String>) -> Result<Option<String>, Unwell> {
        let mut refused = false;
        for other in others {
            match self.ask(&other).await {
                Reply::Given => return Ok(Some(other)),
                Reply::NotThere => {}
                Reply::Refused => refused = true,
                Reply::Away => return Err(Unwell),
            }
        }
        if refused { Err(Unwell) } else { Ok(None) }
    }

    async fn still(&self, witness: &Witness) -> bool {
        let Ok(_turn) = self.probes.acquire().await else {
            return false;
        };
        match witness {
            Witness::Object(key) => self.ask(key).await == Reply::Given,
            Witness::Root => self.listed("").await.is_ok(),
        }
    }

    /// Asks for a byte of another object. One that is gone, or may not be read, says nothing of those that are there.
    async fn ask(&self, key: &str) -> Reply {
        match timeout(LIMIT, self.store.get_range(key, 0..1, None)).await {
            Ok(Ok(_)) => Reply::Given,
            Ok(Err(error)) if error.symptom() == Some(Symptom::Answered) => Reply::Refused,
            Ok(Err(error)) if !error.is_retryable() => Reply::NotThere,
            _ => Reply::Away,
        }
    }

    /// Some other objects.
    async fn listed(&self, prefix: &str) -> Result<Vec<String>, Unwell> {
        let request = ListRequest {
            limit: OTHERS + 1,
            ..ListRequest::all(prefix)
        };
        let Ok(Ok(page)) = timeout(LIMIT, self.store.list(&request)).await else {
            return Err(Unwell);
        };
        let keys = page.objects.into_iter().map(|meta| meta.key);
        Ok(keys.filter(|key| key != self.key).take(OTHERS).collect())
    }
}

#[cfg(test)]
mod tests;
