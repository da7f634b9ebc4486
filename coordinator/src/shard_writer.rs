//! Cuts a dataset's entries into shards.

use serde_json::Value;
use sightline_core::{Item, Manifest, ManifestEntry, Outcome, PlannedShard, RunDocument, StoredVector};
use sightline_state::{State, StateError};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

/// Shards of one link that are written side by side, while the next entries are read.
const CONCURRENT_WRITES: usize = 8;
/// A shard with more bytes is compressed on a thread of its own.
const LARGE_BYTES: usize = 256 << 10;
/// Bytes that one permit of a [`WriteRoom`] stands for.
const PERMIT_BYTES: usize = 4 << 10;

/// How many bytes of shards may be written at a time, whatever links they are of.
#[derive(Debug, Clone)]
pub(crate) struct WriteRoom {
    permits: Arc<Semaphore>,
    most: u32,
}

impl WriteRoom {
    pub(crate) fn new(bytes: usize) -> Self {
        let most = u32::try_from(bytes / PERMIT_BYTES).unwrap_or(u32::MAX).max(1);
        Self {
            permits: Arc::new(Semaphore::new(most as usize)),
            most,
        }
    }

    /// Waits for room for so many bytes; what is larger than the room waits for all of it.
    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let permits = permits.clamp(1, self.most);
        Arc::clone(&self.permits).acquire_many_owned(permits).await.ok()
    }
}

/// Cuts entries into shards and stores each as soon as it is full, while the next entries come in. Dropped before
/// its end, it writes no more.
pub(crate) struct ShardWriter<'a> {
    state: &'a State,
    document: &'a Arc<RunDocument>,
    shard_bytes: usize,
    room: &'a WriteRoom,
    open: Vec<ManifestEntry>,
    open_bytes: usize,
    writing: JoinSet<Result<(usize, PlannedShard), StateError>>,
    written: Vec<(usize, PlannedShard)>,
    closed: usize,
    entries: usize,
}

impl<'a> ShardWriter<'a> {
    pub(crate) fn new(
        state: &'a State,
        document: &'a Arc<RunDocument>,
        shard_bytes: usize,
        room: &'a WriteRoom,
    ) -> Self {
        Self {
            state,
            document,
            shard_bytes,
            room,
            open: Vec::new(),
            open_bytes: 0,
            writing: JoinSet::new(),
            written: Vec::new(),
            closed: 0,
            entries: 0,
        }
    }

    /// Entries that were added.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// Shards that are full.
    pub(crate) fn closed(&self) -> usize {
        self.closed
    }

    pub(crate) async fn add(&mut self, entry: ManifestEntry) -> Result<(), StateError> {
        self.open_bytes += weight(&entry);
        self.entries += 1;
        self.open.push(entry);
        if self.open.len() >= self.document.spec.shard_items as usize || self.open_bytes >= self.shard_bytes {
            self.close().await?;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), StateError> {
        if self.open.is_empty() {
            return Ok(());
        }
        if self.writing.len() >= CONCURRENT_WRITES
            && let Some(joined) = self.writing.join_next().await
        {
            self.written.push(unwound(joined)?);
        }
        let (entries, bytes) = (std::mem::take(&mut self.open), std::mem::take(&mut self.open_bytes));
        let room = self.room.take(bytes).await;
        let (state, document, at) = (self.state.clone(), Arc::clone(self.document), self.closed);
        self.closed += 1;
        self.writing.spawn(async move {
            let shard = write(&state, &document, entries, bytes).await?;
            drop(room);
            Ok((at, shard))
        });
        Ok(())
    }

    /// Waits until all that was added is stored. The shards are in the order of the entries.
    pub(crate) async fn finish(mut self) -> Result<Vec<PlannedShard>, StateError> {
        self.close().await?;
        while let Some(joined) = self.writing.join_next().await {
            self.written.push(unwound(joined)?);
        }
        self.written.sort_unstable_by_key(|(at, _)| *at);
        Ok(self.written.into_iter().map(|(_, shard)| shard).collect())
    }
}

/// What a task gave; a panic of it goes on here.
fn unwound<T>(joined: Result<T, JoinError>) -> T {
    match joined {
        Ok(given) => given,
        Err(error) => std::panic::resume_unwind(error.try_into_panic().unwrap_or_else(|ended| Box::new(ended))),
    }
}

async fn write(
    state: &State,
    document: &RunDocument,
    entries: Vec<ManifestEntry>,
    weight: usize,
) -> Result<PlannedShard, StateError> {
    let bytes = entries.iter().map(ManifestEntry::object_bytes).sum();
    let items = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let manifest = Manifest {
        run: document.run.clone(),
        kind: document.spec.kind,
        entries,
    };
    let (id, stored) = if weight > LARGE_BYTES {
        unwound(tokio::task::spawn_blocking(move || manifest.encode()).await)
    } else {
        manifest.encode()
    };
    state.put_encoded_manifest(&document.run, &id, stored).await?;
    Ok(PlannedShard { id, items, bytes })
}

/// About how many bytes an entry takes in its manifest, and once more in the memory of each that has it in hand.
fn weight(entry: &ManifestEntry) -> usize {
    const OVERHEAD: usize = 200;
    let told = match entry {
        ManifestEntry::Item(item) => item_weight(item),
        ManifestEntry::Ended(ended) => match &ended.outcome {
            Outcome::Skipped { message, .. } | Outcome::Failed { message, .. } => message.len(),
            Outcome::Indexed { .. } | Outcome::Unchanged { .. } => 0,
        },
    };
    OVERHEAD + entry.key().as_str().len() + told
}

fn item_weight(item: &Item) -> usize {
    let texts = [&item.text, &item.image_id, &item.uid].into_iter().flatten();
    let texts: usize = texts.map(String::len).sum();
    let image = item.image.as_ref();
    let image = image.map_or(0, |object| object.key.len() + object.etag.len());
    let member = item.member.as_ref().map_or(0, |member| member.path.len());
    let url = item.picture_url().map_or(0, str::len);
    let vectors: usize = item.vectors.values().map(vector_weight).sum();
    let labels: usize = item.labels.iter().map(|label| LEAST + label.len()).sum();
    let boxes: usize = item.boxes.iter().map(|found| 80 + found.label.len()).sum();
    let attributes = item.attributes.iter();
    let attributes: usize = attributes.map(|(name, value)| name.len() + value_weight(value)).sum();
    texts + image + member + url + vectors + labels + boxes + attributes
}

/// Bytes of a value that is hardly there: quotes, a comma.
const LEAST: usize = 8;

fn value_weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => LEAST,
        Value::String(text) => LEAST + text.len(),
        Value::Array(values) => LEAST + values.iter().map(value_weight).sum::<usize>(),
        Value::Object(values) => {
            let values = values.iter().map(|(name, value)| name.len() + value_weight(value));
            LEAST + values.sum::<usize>()
        }
    }
}

fn vector_weight(vector: &StoredVector) -> usize {
    const NUMBERS: usize = 100;
    match vector {
        StoredVector::Inline { values } => values.len(),
        // The array's name, over and over: compression takes it away, but not for long.
        StoredVector::Row { array, .. } => NUMBERS + array.key.len() + array.etag.len(),
        StoredVector::Missing { .. } => NUMBERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sightline_core::{
        BoundingBox, FailureReason, ItemKey, NumberType, ObjectRef, TarMember, ToldPicture, VectorField,
    };

    #[test]
    fn everything_that_a_user_writes_of_an_item_counts_for_the_size_of_its_shard() {
        let item = |fill: &dyn Fn(&mut Item)| {
            let mut item = Item::new(ItemKey::new("a.png").unwrap());
            fill(&mut item);
            weight(&ManifestEntry::Item(item))
        };
        let long = "x".repeat(10_000);
        let bare = item(&|_| ());
        assert!(bare < 1000);
        let told = ToldPicture {
            url: Some(long.clone()),
            ..ToldPicture::default()
        };
        let object = ObjectRef {
            key: long.clone(),
            etag: String::new(),
            size: 1,
        };
        let member = TarMember {
            path: long.clone(),
            offset: 0,
            size: 1,
        };
        let found = BoundingBox {
            label: long.clone(),
            x: 0.0,
            y: 0.0,
            width: 1.0,
            height: 1.0,
        };
        let row = StoredVector::Row {
            array: object.clone(),
            offset: 0,
            dimension: 1,
            numbers: NumberType::F32,
        };
        let fills: [&dyn Fn(&mut Item); 11] = [
            &|item| item.vectors = [(VectorField::Image, row.clone())].into(),
            &|item| item.image = Some(object.clone()),
            &|item| item.member = Some(Box::new(member.clone())),
            &|item| item.image_id = Some(long.clone()),
            &|item| item.uid = Some(long.clone()),
            &|item| item.boxes = vec![found.clone()],
            &|item| item.text = Some(long.clone()),
            &|item| item.told = Some(Box::new(told.clone())),
            &|item| item.labels = vec![long[..5000].to_owned(), long[5000..].to_owned()],
            &|item| item.attributes = [("a".to_owned(), json!([{"b": long}]))].into(),
            &|item| item.attributes = [(long.clone(), json!(true))].into(),
        ];
        for fill in fills {
            assert!(item(fill) >= bare + long.len());
        }
        let ended = |key: &str, message: &str| {
            let outcome = Outcome::failed(FailureReason::InvalidRow, message);
            weight(&ManifestEntry::ended(ItemKey::new(key).unwrap(), None, outcome))
        };
        assert_eq!(ended("a", &long), ended("a", "") + long.len());
        assert_eq!(ended(&long[..1024], ""), ended("a", "") + 1023);
    }
}
