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
    upserts: Upserts,
    slot: Arc<Slot>,
    _keeper: LeaseKeeper,
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
            linger: Duration::from_secs(1),
        },
        writes: 1,
        retry: RetryPolicy::new(&config, Chance::new(1)).of_the_index(&config, &Arc::default()),
        lease,
    };
    Writes {
        upserts: Upserts::start(index, options, &Arc::default()),
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
