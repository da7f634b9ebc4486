use super::super::around::Chance;
use super::*;
use crate::config::PipelineConfig;
use async_trait::async_trait;
use sightline_objects::{ListPage, ObjectMeta};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is wrong with the store when it is asked for an object or for a listing, which is [`LISTING`], after so many requests.
type Ails = Box<dyn Fn(&str, u32) -> Option<Symptom> + Send + Sync>;

const LISTING: &str = "a listing";
const BAD: &str = "bad/0";

struct Store {
    keys: Vec<&'static str>,
    ails: Ails,
    asked: AtomicU32,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

fn refused(symptom: Symptom) -> ObjectError {
    ObjectError::Unavailable {
        action: "read",
        key: BAD.into(),
        message: "HTTP 503 SlowDown".into(),
        symptom,
    }
}

fn store(keys: &[&'static str], ails: impl Fn(&str, u32) -> Option<Symptom> + Send + Sync + 'static) -> Store {
    Store {
        keys: keys.to_vec(),
        ails: Box::new(ails),
        asked: AtomicU32::new(0),
    }
}

/// A store of three objects, which refuses one of them.
fn with_one_bad() -> Store {
    store(&["a", BAD, "bad/1"], |key, _| (key == BAD).then_some(Symptom::Answered))
}

impl Store {
    fn ails(&self, key: &str) -> Result<(), ObjectError> {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        (self.ails)(key, before).map_or(Ok(()), |symptom| Err(refused(symptom)))
    }

    /// The same, but that a server that is silent is waited for.
    async fn hangs(&self, key: &str) -> Result<(), ObjectError> {
        match self.ails(key) {
            Err(error) if error.symptom() == Some(Symptom::Silent) => std::future::pending().await,
            result => result,
        }
    }

    /// What is found of the bad object at a delivery of its shard, after it was refused once, and how many requests that took.
    async fn judge(&self, delivery: u32, neighbours: &[&str]) -> (Verdict, u32) {
        let config = PipelineConfig {
            retry_ms: 10,
            ..PipelineConfig::default()
        };
        let (retry, probes) = (RetryPolicy::new(&config, Chance::new(1)), Semaphore::new(1));
        let beside = Beside {
            store: self,
            key: BAD,
            neighbours: neighbours.iter().map(|key| (*key).to_owned()).collect(),
            delivery,
            retry: &retry,
            probes: &probes,
        };
        let before = self.asked.load(Ordering::Relaxed);
        let read = || self.get(BAD, None);
        let verdict = beside.judge(refused(Symptom::Answered), read).await;
        (verdict, self.asked.load(Ordering::Relaxed) - before)
    }
}

#[async_trait]
impl ObjectStore for Store {
    fn root(&self) -> &str {
        "test:"
    }

    async fn get(&self, key: &str, _: Option<&str>) -> Result<Bytes, ObjectError> {
        self.ails(key).map(|()| Bytes::from_static(b"whole"))
    }

    async fn get_range(&self, key: &str, range: Range<u64>, _: Option<&str>) -> Result<Bytes, ObjectError> {
        assert_eq!(range, 0..1, "no more is asked for of another object");
        self.hangs(key).await?;
        if key.starts_with("gone") {
            return Err(ObjectError::NotFound { key: key.into() });
        }
        Ok(Bytes::from_static(b"w"))
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        Err(ObjectError::NotFound { key: key.into() })
    }

    async fn put(&self, _: &str, _: Bytes) -> Result<(), ObjectError> {
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), ObjectError> {
        Ok(())
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError> {
        self.hangs(LISTING).await?;
        let keys = self.keys.iter().filter(|key| key.starts_with(&request.prefix));
        let meta = |key: &&str| ObjectMeta {
            key: (*key).to_owned(),
            etag: "e".into(),
            size: 5,
        };
        Ok(ListPage {
            objects: keys.take(request.limit).map(meta).collect(),
            ..ListPage::default()
        })
    }
}

fn later(witness: Witness) -> Verdict {
    Verdict::Later(refused(Symptom::Answered), witness)
}

fn never(witness: Witness) -> Verdict {
    Verdict::Never(refused(Symptom::Answered), witness)
}

fn waits() -> Verdict {
    Verdict::Read(Err(refused(Symptom::Answered)))
}

fn object(key: &str) -> Witness {
    Witness::Object(key.into())
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_refused_while_another_is_answered_waits_for_later_deliveries_and_is_given_up_then() {
    for delivery in 1..DELIVERIES {
        let (verdict, requests) = with_one_bad().judge(delivery, &[BAD, "a"]).await;
        assert_eq!((verdict, requests), (later(object("a")), 1), "{delivery}");
    }
    for delivery in [DELIVERIES, 100] {
        let (verdict, requests) = with_one_bad().judge(delivery, &[BAD, "a"]).await;
        assert_eq!((verdict, requests), (never(object("a")), 1 + 2 * TURNS), "{delivery}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_neighbour_is_known_one_of_its_folder_is_found_and_else_one_of_its_root_or_that_it_is_alone() {
    let bad_alone = |key: &str, _| (key == BAD).then_some(Symptom::Answered);
    for (keys, witness) in [
        (&["a", BAD, "bad/1"][..], object("bad/1")),
        (&["a", BAD][..], object("a")),
        (&[BAD][..], Witness::Root),
    ] {
        let store = store(keys, bad_alone);
        assert_eq!(store.judge(1, &[]).await.0, later(witness.clone()));
        assert_eq!(store.judge(DELIVERIES, &[BAD]).await.0, never(witness));
    }
}

#[tokio::test(start_paused = true)]
async fn neighbours_that_are_lost_too_are_passed_over() {
    let lost = store(&[], |key, _| (key != "c").then_some(Symptom::Answered));
    let (verdict, requests) = lost.judge(1, &[BAD, "a", "b", "c", "d"]).await;
    assert_eq!((verdict, requests), (later(object("c")), 3));
}

#[tokio::test(start_paused = true)]
async fn neighbours_that_are_gone_say_nothing_of_the_store_and_others_are_looked_for() {
    let gone = ["gone/1", "gone/2"];
    let bad_alone = |key: &str, _| (key == BAD).then_some(Symptom::Answered);
    for (keys, witness) in [(&["a", BAD][..], object("a")), (&[BAD][..], Witness::Root)] {
        assert_eq!(store(keys, bad_alone).judge(1, &gone).await.0, later(witness));
    }
    // Where those that are there are refused, it is the store.
    let others = |key: &str, _| (key != LISTING && !key.starts_with("gone")).then_some(Symptom::Answered);
    assert_eq!(store(&["a", BAD], others).judge(DELIVERIES, &gone).await.0, waits());
}

#[tokio::test(start_paused = true)]
async fn while_the_store_gives_nothing_nothing_is_found_of_an_object_at_any_delivery_and_few_questions_are_asked() {
    let many: Vec<String> = (0..20).map(|at| at.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for symptom in [Symptom::Answered, Symptom::Away, Symptom::Silent] {
        for lists in [false, true] {
            let ails = move |key: &str, _| (!lists || key != LISTING).then_some(symptom);
            let store = store(&["a", BAD, "bad/1"], ails);
            for delivery in [1, DELIVERIES, 1000] {
                for neighbours in [&many[..], &[]] {
                    let (verdict, requests) = store.judge(delivery, neighbours).await;
                    assert_eq!(verdict, waits(), "{symptom:?}, {lists}, {delivery}");
                    assert!(requests as usize <= OTHERS, "{requests}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_read_after_all_is_read_and_one_that_is_gone_is_gone() {
    let recovers = store(&[], |key, before| {
        (key == BAD && before < 6).then_some(Symptom::Answered)
    });
    let (verdict, _) = recovers.judge(DELIVERIES, &["a"]).await;
    assert_eq!(verdict, Verdict::Read(Ok(Bytes::from_static(b"whole"))));
    let silent = store(&[], |key, _| (key == BAD).then_some(Symptom::Silent));
    let (verdict, _) = silent.judge(DELIVERIES, &["a"]).await;
    assert_eq!(verdict, Verdict::Read(Err(refused(Symptom::Silent))));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_meanwhile_is_waited_for() {
    let going = store(&[], |key, before| {
        (key == BAD || before > 12).then_some(Symptom::Answered)
    });
    assert_eq!(going.judge(DELIVERIES, &["a"]).await.0, waits());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_at_random_makes_no_object_unreadable() {
    for share in [0.2, 0.5, 0.8] {
        let chance = Chance::new(1);
        let overloaded = store(&["a"], move |_, _| (chance.next() < share).then_some(Symptom::Answered));
        for _ in 0..1000 {
            let (verdict, _) = overloaded.judge(DELIVERIES, &["a", "b"]).await;
            assert!(matches!(verdict, Verdict::Read(_)), "{share}: {verdict:?}");
        }
    }
}
