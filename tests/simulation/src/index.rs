//! The index seam: rows in memory. As a server that only inserts after it deleted, it keeps one key twice in a batch as
//! two rows.

use crate::bugs::Bug;
use crate::monitor::Monitor;
use crate::process::Process;
use async_trait::async_trait;
use sightline_core::filter::{Field, Filter, TextField};
use sightline_core::{CollectionDescription, CollectionName, Row, RowId};
use sightline_index::{FieldHits, FieldSearch, IndexError, Projection, VectorIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Collection {
    description: CollectionDescription,
    rows: BTreeMap<RowId, Vec<Row>>,
}

/// All collections.
#[derive(Debug, Default)]
pub(crate) struct Rows(Mutex<BTreeMap<CollectionName, Collection>>);

impl Rows {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CollectionName, Collection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every row, of every collection.
    pub(crate) fn all(&self) -> Vec<Row> {
        let collections = self.lock();
        let rows = collections.values().flat_map(|collection| collection.rows.values());
        rows.flatten().cloned().collect()
    }

    /// Puts a row beside those that there are, into the first collection; nowhere where there is none.
    pub(crate) fn put(&self, row: Row) {
        if let Some(collection) = self.lock().values_mut().next() {
            collection.rows.insert(row.id.clone(), vec![row]);
        }
    }

    /// Takes rows away.
    pub(crate) fn take(&self, ids: &[RowId]) {
        for collection in self.lock().values_mut() {
            for id in ids {
                collection.rows.remove(id);
            }
        }
    }

    /// Every row with an id.
    pub(crate) fn with(&self, id: &RowId) -> Vec<Row> {
        let collections = self.lock();
        let rows = collections.values().filter_map(|collection| collection.rows.get(id));
        rows.flatten().cloned().collect()
    }

    fn of<T>(&self, name: &CollectionName, read: impl FnOnce(&mut Collection) -> T) -> Result<T, IndexError> {
        let mut collections = self.lock();
        let collection = collections.get_mut(name);
        collection
            .map(read)
            .ok_or_else(|| IndexError::NoCollection(name.clone()))
    }
}

/// The index as one process sees it.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) rows: Arc<Rows>,
    pub(crate) process: Arc<Process>,
    pub(crate) monitor: Arc<Monitor>,
}

fn away(action: &'static str) -> impl Fn() -> IndexError + Send {
    move || IndexError::Unavailable {
        action,
        message: "no answer, as the simulation has it".into(),
    }
}

#[async_trait]
impl VectorIndex for Index {
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
        let (rows, description) = (Arc::clone(&self.rows), description.clone());
        let effect = move || {
            let mut collections = rows.lock();
            match collections.get(&description.name) {
                Some(existing) if existing.description != description => Err(IndexError::Conflict {
                    collection: description.name,
                    message: "another one is there".into(),
                }),
                Some(_) => Ok(()),
                None => {
                    let name = description.name.clone();
                    let rows = BTreeMap::new();
                    collections.insert(name, Collection { description, rows });
                    Ok(())
                }
            }
        };
        self.process
            .call("create collection".into(), away("create"), effect)
            .await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        let (rows, name) = (Arc::clone(&self.rows), collection.clone());
        let effect = move || Ok(rows.lock().get(&name).map(|collection| collection.description.clone()));
        self.process
            .call("describe collection".into(), away("describe"), effect)
            .await
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        let rows = Arc::clone(&self.rows);
        let effect = move || Ok(rows.lock().keys().cloned().collect());
        self.process.call("list collections".into(), away("list"), effect).await
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let (rows, name) = (Arc::clone(&self.rows), collection.clone());
        let effect = move || {
            rows.lock().remove(&name);
            Ok(())
        };
        self.process.call("drop collection".into(), away("drop"), effect).await
    }

    async fn upsert(&self, collection: &CollectionName, batch: &[Row]) -> Result<(), IndexError> {
        let (rows, name, mut batch) = (Arc::clone(&self.rows), collection.clone(), batch.to_vec());
        if self.process.world.bug == Some(Bug::OneKeyTwice) {
            batch.extend(batch.first().cloned());
        }
        let keys: Vec<&str> = batch.iter().map(|row| row.key.as_str()).collect();
        let what = format!("upsert {}", keys.join(", "));
        let effect = move || {
            rows.of(&name, |collection| {
                let ids: BTreeSet<RowId> = batch.iter().map(|row| row.id.clone()).collect();
                for id in &ids {
                    collection.rows.remove(id);
                }
                for row in batch {
                    collection.rows.entry(row.id.clone()).or_default().push(row);
                }
            })
        };
        self.process.call(what, away("write rows"), effect).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
        let (rows, name, ids) = (Arc::clone(&self.rows), collection.clone(), ids.to_vec());
        let (monitor, process) = (Arc::clone(&self.monitor), self.process.name.clone());
        let effect = move || {
            rows.of(&name, |_| ())?;
            let there: Vec<Row> = ids.iter().flat_map(|id| rows.with(id)).collect();
            monitor.deletes(&process, &there);
            rows.take(&ids);
            Ok(())
        };
        self.process
            .call("delete rows".into(), away("delete rows"), effect)
            .await
    }

    async fn get(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        let (rows, name, ids) = (Arc::clone(&self.rows), collection.clone(), ids.to_vec());
        let what = format!("get {} rows", ids.len());
        let effect = move || {
            rows.of(&name, |collection| {
                let found = ids.iter().filter_map(|id| collection.rows.get(id));
                found.flatten().map(|row| projected(row, projection)).collect()
            })
        };
        self.process.call(what, away("read rows"), effect).await
    }

    async fn scan(
        &self,
        collection: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        let (rows, name, filter, after) = (
            Arc::clone(&self.rows),
            collection.clone(),
            self.seen(filter),
            after.cloned(),
        );
        let effect = move || {
            rows.of(&name, |collection| {
                let all = collection.rows.values().flatten();
                let all = all.filter(|row| after.as_ref().is_none_or(|after| row.id > *after));
                let all = all.filter(|row| filter.as_ref().is_none_or(|filter| filter.matches(row)));
                all.take(limit).map(|row| projected(row, projection)).collect()
            })
        };
        self.process.call("scan".into(), away("scan"), effect).await
    }

    async fn count(&self, collection: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError> {
        let (rows, name, filter) = (Arc::clone(&self.rows), collection.clone(), filter.cloned());
        let effect = move || {
            rows.of(&name, |collection| {
                let all = collection.rows.values().flatten();
                all.filter(|row| filter.as_ref().is_none_or(|filter| filter.matches(row)))
                    .count() as u64
            })
        };
        self.process.call("count".into(), away("count"), effect).await
    }

    async fn search(&self, collection: &CollectionName, _search: &FieldSearch) -> Result<FieldHits, IndexError> {
        Err(IndexError::Refused {
            action: "search",
            collection: collection.to_string(),
            message: "nobody searches in a simulation".into(),
        })
    }
}

impl Index {
    /// A filter as the process has it, where a mistake is seeded.
    fn seen(&self, filter: Option<&Filter>) -> Option<Filter> {
        let of_dataset = |filter: &Filter| {
            matches!(
                filter,
                Filter::Compare {
                    field: Field::Text(TextField::Dataset),
                    ..
                }
            )
        };
        match filter {
            Some(Filter::And(all)) if self.process.world.bug == Some(Bug::MirrorOthers) => Some(Filter::And(
                all.iter().filter(|one| !of_dataset(one)).cloned().collect(),
            )),
            filter => filter.cloned(),
        }
    }
}

fn projected(row: &Row, projection: Projection) -> Row {
    match projection {
        Projection::WithVectors => row.clone(),
        Projection::Metadata => Row {
            image_embedding: None,
            text_embedding: None,
            ..row.clone()
        },
    }
}
