use super::super::around::Chance;
use super::super::lease::{LeaseKeeper, lease};
use super::*;
use crate::config::PipelineConfig;
use crate::ipc::ItemAt;
use crate::journal::Journal;
use crate::test_index::{Answering, Answers};
use async_trait::async_trait;
use sightline_core::{DatasetName, Item, ItemKey, RunId, Timestamp};
use std::sync::Mutex;
use std::time::Duration;
use tokio::task::JoinHandle;

const LINGER: Duration = Duration::from_secs(1);

/// A row's text, and where it lies in memory.
type Seen = (String, usize);

fn seen(row: &Row) -> Seen {
    (row.report_text.clone(), row.report_text.as_ptr().addr())
}

/// Notes what is written, and refuses writes with a text that says so.
#[derive(Debug, Default)]
struct Noted(Mutex<Vec<Vec<Seen>>>);

#[async_trait]
impl Answers for Noted {
    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        self.0.lock().unwrap().push(rows.iter().map(seen).collect());
        if rows.iter().any(|row| row.report_text == "refuse me") {
            return Err(IndexError::Refused {
                action: "upsert",
                collection: collection.to_string(),
                message: "it does not like a row".into(),
            });
        }
        Ok(())
    }
}

fn row(key: &str, text: &str) -> Row {
    let mut item = Item::new(ItemKey::new(key).unwrap());
    item.text = Some(text.into());
    let (dataset, run) = (DatasetName::new("d").unwrap(), RunId::of_request("test", "r"));
    Row::of_item(&item, &dataset, "file:/d", &run, "digest".into(), Timestamp(1)).unwrap()
}

/// Writes of so many rows, one at once, and what they take.
struct Writes {
    upserts: Arc<Upserts>,
    slot: Arc<Slot>,
    _keeper: LeaseKeeper,
}

impl Writes {
    /// Begins to write a row of a work.
    fn begin(&self, key: &str, to_come: &RowsToCome) -> JoinHandle<Option<Upserted>> {
        let (upserts, slot) = (Arc::clone(&self.upserts), Arc::clone(&self.slot));
        let (row, to_come) = (row(key, "text"), to_come.clone());
        let collection = CollectionName::new("c").unwrap();
        tokio::spawn(async move { upserts.write(&collection, row, to_come, &slot).await })
    }

    /// Begins to write all rows of a work, so many.
    fn begin_work(&self, name: &str, rows: usize) -> Vec<JoinHandle<Option<Upserted>>> {
        let to_come = RowsToCome::default();
        to_come.given(rows);
        let keys = (0..rows).map(|at| format!("{name}{at}"));
        keys.map(|key| self.begin(&key, &to_come)).collect()
    }
}

/// Lets everything happen that waits for no other than time, and no batch be due for it.
async fn settled() {
    tokio::time::sleep(LINGER / 10).await;
}

async fn all_written(begun: Vec<JoinHandle<Option<Upserted>>>) {
    for written in begun {
        let written = written.await.unwrap();
        assert!(matches!(written, Some(Ok(_))), "{written:?}");
    }
}

async fn writes(index: Arc<dyn VectorIndex>, rows: usize) -> Writes {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(&folder.path().join("journal"), 1).unwrap();
    let slot = Arc::new(journal.enter(ItemAt { work: 1, index: 0 }).await.unwrap());
    let (keeper, lease) = lease();
    keeper.renew(Duration::from_secs(3600));
    let config = PipelineConfig::default();
    let options = UpsertOptions {
        limits: BatchLimits {
            items: rows,
            bytes: u64::MAX,
            linger: LINGER,
        },
        writes: 1,
        retry: RetryPolicy::new(&config, Chance::new(1)).of_the_index(&config, &Arc::default()),
        lease,
    };
    Writes {
        upserts: Arc::new(Upserts::start(index, options, &Arc::default())),
        slot,
        _keeper: keeper,
    }
}

/// Writes rows in one batch. What was written at once, what was given in, and how each ended.
async fn write(rows: Vec<Row>) -> (Vec<Vec<Seen>>, Vec<Seen>, Vec<Upserted>) {
    let index = Arc::new(Answering(Noted::default()));
    let shared: Arc<dyn VectorIndex> = Arc::<Answering<Noted>>::clone(&index);
    let writes = writes(shared, rows.len()).await;
    let given = rows.iter().map(seen).collect();
    let collection = CollectionName::new("c").unwrap();
    let to_come = RowsToCome::default();
    to_come.given(rows.len());
    let written = rows
        .into_iter()
        .map(|row| writes.upserts.write(&collection, row, to_come.clone(), &writes.slot));
    let ended = futures::future::join_all(written).await;
    let Noted(written) = &index.0;
    let written = written.lock().unwrap().clone();
    (written, given, ended.into_iter().map(Option::unwrap).collect())
}

#[tokio::test(start_paused = true)]
async fn rows_are_written_without_a_copy_and_those_of_one_id_one_after_the_other() {
    let rows = vec![
        row("a", "first"),
        row("b", "other"),
        row("a", "second"),
        row("c", "last"),
    ];
    let (written, given, ended) = write(rows).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(written, [&given[..2], &given[2..]]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_refused_is_found_without_a_copy_and_touches_no_other() {
    let rows = vec![
        row("a", "one"),
        row("b", "refuse me"),
        row("c", "two"),
        row("d", "three"),
    ];
    let (written, given, ended) = write(rows).await;
    let parts = [&given[..], &given[..2], &given[..1], &given[1..2], &given[2..]];
    assert_eq!(written, parts);
    let refused = |ended: &Upserted| matches!(ended, Err(UpsertError::Refused(_)));
    assert_eq!(
        ended.iter().map(refused).collect::<Vec<_>>(),
        [false, true, false, false]
    );
}

/// An index with one collection, `there`; whoever asks for another is told to come again.
#[derive(Debug)]
struct OneThere;

#[async_trait]
impl Answers for OneThere {
    async fn upsert(&self, collection: &CollectionName, _: &[Row]) -> Result<(), IndexError> {
        match collection.as_str() {
            "there" => return Ok(()),
            "silent" => return std::future::pending().await,
            _ => {}
        }
        Err(IndexError::Unavailable {
            action: "upsert",
            message: "it is away".into(),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_nobody_waits_for_any_more_hold_up_no_others() {
    let writes = writes(Arc::new(Answering(OneThere)), 1).await;
    let write = |collection: &'static str| {
        let (upserts, slot) = (&writes.upserts, &writes.slot);
        let collection = CollectionName::new(collection).unwrap();
        async move {
            upserts
                .write(&collection, row("a", "text"), RowsToCome::default(), slot)
                .await
        }
    };
    for unanswered in ["away", "silent"] {
        let began = Instant::now();
        let over = tokio::time::timeout(Duration::from_secs(10), write(unanswered)).await;
        assert!(over.is_err(), "it is given up after 10 s: {over:?}");
        let written = write("there").await;
        assert!(matches!(written, Some(Ok(_))), "{written:?}");
        assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    }
}

/// An index that takes a write when it is let, and notes how many rows each has.
#[derive(Debug)]
struct Gated {
    sizes: Mutex<Vec<usize>>,
    gate: Semaphore,
}

impl Gated {
    fn closed() -> Arc<Answering<Self>> {
        Arc::new(Answering(Self {
            sizes: Mutex::default(),
            gate: Semaphore::new(0),
        }))
    }

    fn sizes(&self) -> Vec<usize> {
        self.sizes.lock().unwrap().clone()
    }
}

#[async_trait]
impl Answers for Gated {
    async fn upsert(&self, _: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        self.sizes.lock().unwrap().push(rows.len());
        self.gate.acquire().await.unwrap().forget();
        Ok(())
    }
}

async fn gated_writes(index: &Arc<Answering<Gated>>, rows: usize) -> Writes {
    writes(Arc::<Answering<Gated>>::clone(index), rows).await
}

#[tokio::test(start_paused = true)]
async fn the_last_rows_of_a_work_wait_for_nothing_where_the_index_has_a_place() {
    let index = Gated::closed();
    index.0.gate.add_permits(1);
    let writes = gated_writes(&index, 8).await;
    let began = Instant::now();
    all_written(writes.begin_work("a", 3)).await;
    assert_eq!((index.0.sizes(), began.elapsed()), (vec![3], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn rows_of_several_works_that_wait_for_a_slow_index_become_one_write() {
    let index = Gated::closed();
    let writes = gated_writes(&index, 8).await;
    let mut begun = writes.begin_work("first", 2);
    settled().await;
    // Each would be a write of its own, if the index had places for them.
    for name in ["a", "b", "c", "d", "e"] {
        begun.extend(writes.begin_work(name, 2));
        settled().await;
    }
    assert_eq!(index.0.sizes(), [2]);
    index.0.gate.add_permits(3);
    all_written(begun).await;
    assert_eq!(index.0.sizes(), [2, 8, 2]);
}

#[tokio::test(start_paused = true)]
async fn no_more_rows_are_taken_while_a_full_write_waits_for_the_index() {
    let index = Gated::closed();
    let writes = gated_writes(&index, 4).await;
    // One more than those that are written and those that wait to be.
    let to_come = RowsToCome::default();
    to_come.given(9);
    let begun: Vec<_> = (0..40).map(|at| writes.begin(&format!("{at}"), &to_come)).collect();
    settled().await;
    assert_eq!((index.0.sizes(), writes.upserts.jobs.capacity()), (vec![4], 0));
    assert!(to_come.one_less(), "eight were taken");
    index.0.gate.add_permits(10);
    all_written(begun).await;
    assert_eq!(index.0.sizes(), [4; 10]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_given_up_while_they_wait_for_the_index_are_left_out() {
    let index = Gated::closed();
    let writes = gated_writes(&index, 8).await;
    let mut begun = writes.begin_work("first", 1);
    settled().await;
    let mut waiting = writes.begin_work("a", 3);
    settled().await;
    let given_up = waiting.remove(1);
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    index.0.gate.add_permits(2);
    begun.extend(waiting);
    all_written(begun).await;
    assert_eq!(index.0.sizes(), [1, 2]);
}
