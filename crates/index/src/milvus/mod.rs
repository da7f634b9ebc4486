//! Milvus, through its own client.
//!
//! Targets Milvus 2.4 and later; collections with one vector field also work on 2.3. Reads are strongly consistent;
//! searches, and reads of the rows that they showed, see what this process wrote, and what others wrote a moment later
//! (strong consistency costs each of them a tick of the server's clock or two: 200 ms each, measured on 2.3.5).
//! What the collection is lies as a JSON document in the collection's description, so that a collection of another
//! program is never taken for one of ours. The client's types stay in this module.

mod address;
mod aliases;
mod client;
mod collections;
mod compile;
mod error;
mod filter;
mod reads;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod trace;

pub use address::MilvusAddress;

use crate::{CallRecorder, FieldHits, FieldSearch, IndexError, OpenOptions, Projection, VectorIndex, check};
use async_trait::async_trait;
use client::Client;
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use trace::{SYSTEM, traced};

/// An index in a Milvus server or cluster.
#[derive(Debug)]
pub struct MilvusIndex {
    client: Client,
    calls: CallRecorder,
    // What was read of collections, so that an upsert does not fetch tens of kilobytes of canaries. Another process may
    // have made a collection anew as something else: see [`MilvusIndex::as_known`].
    known: Mutex<HashMap<CollectionName, Arc<CollectionDescription>>>,
    // Texts that were read, so that a question whose answer is the same as before does not read them again.
    texts: Mutex<HashMap<CollectionName, (String, CollectionDescription)>>,
}

/// Texts of descriptions that are kept; each has tens of kilobytes.
const MAX_TEXTS: usize = 64;

impl MilvusIndex {
    /// Connects to a server.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`] when it does not answer in time; [`IndexError::BadAddress`] when it refuses the
    /// user, or the address cannot be one.
    pub async fn connect(address: &MilvusAddress, options: &OpenOptions) -> Result<Self, IndexError> {
        Ok(Self {
            client: Client::connect(address, options).await?,
            calls: options.calls.clone(),
            known: Mutex::default(),
            texts: Mutex::default(),
        })
    }

    async fn known(&self, collection: &CollectionName) -> Result<Arc<CollectionDescription>, IndexError> {
        let cached = self.lock().get(collection).map(Arc::clone);
        if let Some(description) = cached {
            return Ok(description);
        }
        self.known_anew(collection).await
    }

    async fn known_anew(&self, collection: &CollectionName) -> Result<Arc<CollectionDescription>, IndexError> {
        let described = collections::describe(&self.client, collection).await?;
        // What an alias points at changes, and is not kept.
        let Some(description) = described.filter(|found| found.name == *collection) else {
            return Err(IndexError::NoCollection(collection.clone()));
        };
        let description = Arc::new(description);
        self.lock().insert(collection.clone(), Arc::clone(&description));
        Ok(description)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CollectionName, Arc<CollectionDescription>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that is told of, in a span of its own and to whoever counts calls. `rows`: how many it is about, where that is
    /// known.
    async fn call<T>(
        &self,
        operation: &'static str,
        collection: &CollectionName,
        rows: Option<usize>,
        call: impl Future<Output = Result<T, IndexError>>,
    ) -> Result<T, IndexError> {
        let call = traced(operation, collection, rows, call);
        self.calls.timed(SYSTEM, operation, collection, call).await
    }

    /// Takes a collection for what it is said to be now: another process may have made it anew as something else.
    fn relearn(&self, description: &CollectionDescription) {
        if let Some(known) = self.lock().get_mut(&description.name)
            && **known != *description
        {
            *known = Arc::new(description.clone());
        }
    }

    /// Makes a call with what is remembered of a collection, and once more where that is refused and the collection is
    /// another by now. What is refused whatever the collection is costs one more description a call.
    async fn as_known<T, F>(
        &self,
        collection: &CollectionName,
        call: impl Fn(Arc<CollectionDescription>) -> F,
    ) -> Result<T, IndexError>
    where
        F: Future<Output = Result<T, IndexError>>,
    {
        let remembered = self.known(collection).await?;
        let first = call(Arc::clone(&remembered)).await;
        let refusal = match self.learn(collection, first) {
            Err(refusal @ IndexError::Refused { .. }) => refusal,
            other => return other,
        };
        // Not what is remembered: a call beside this one may have put back what it read before.
        let now = self
            .describe(collection)
            .await?
            .filter(|found| found.name == *collection);
        let now = Arc::new(now.ok_or_else(|| IndexError::NoCollection(collection.clone()))?);
        self.lock().insert(collection.clone(), Arc::clone(&now));
        if *now == *remembered {
            return Err(refusal);
        }
        let second = call(now).await;
        self.learn(collection, second)
    }

    /// Forgets what was read of a collection that is no longer what it was.
    fn learn<T>(&self, collection: &CollectionName, result: Result<T, IndexError>) -> Result<T, IndexError> {
        if matches!(result, Err(IndexError::NoCollection(_) | IndexError::Refused { .. })) {
            self.lock().remove(collection);
        }
        result
    }
}

#[async_trait]
impl VectorIndex for MilvusIndex {
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
        self.lock().remove(&description.name);
        collections::create(&self.client, description).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        let Some(text) = collections::stored_description(&self.client, collection).await? else {
            return Ok(None);
        };
        let read = self
            .texts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(collection)
            .cloned();
        if let Some((same, description)) = read
            && same == text
        {
            self.relearn(&description);
            return Ok(Some(description));
        }
        let description = collections::read(collection, &text).transpose()?;
        if let Some(description) = &description {
            self.relearn(description);
            let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
            if texts.len() >= MAX_TEXTS {
                texts.clear();
            }
            texts.insert(collection.clone(), (text, description.clone()));
        }
        Ok(description)
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        collections::list(&self.client).await
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.lock().remove(collection);
        collections::drop(&self.client, collection).await
    }

    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        self.as_known(collection, |description| async move {
            let dimensions = check::dimensions(&description);
            let batch = check::batch(collection, &dimensions, rows)?;
            for part in rows::parts(&dimensions, &batch) {
                let columns = rows::columns(&dimensions, part)
                    .map_err(|message| IndexError::refused("write rows", collection, message))?;
                let write = self.client.upsert(collection, columns);
                self.call("upsert", collection, Some(part.len()), write).await?;
            }
            Ok(())
        })
        .await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
        let delete = reads::delete(&self.client, collection, ids);
        let deleted = self.call("delete", collection, Some(ids.len()), delete).await;
        self.learn(collection, deleted)
    }

    async fn get(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.as_known(collection, |description| async move {
            let get = reads::get(&self.client, &description, ids, projection);
            self.call("get", collection, Some(ids.len()), get).await
        })
        .await
    }

    async fn get_found(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.as_known(collection, |description| async move {
            let get = reads::get_found(&self.client, &description, ids, projection);
            self.call("get", collection, Some(ids.len()), get).await
        })
        .await
    }

    async fn scan(
        &self,
        collection: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        check::scan(collection, limit)?;
        self.as_known(collection, |description| async move {
            let scan = reads::scan(&self.client, &description, filter, after, limit, projection);
            self.call("scan", collection, None, scan).await
        })
        .await
    }

    async fn count(&self, collection: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError> {
        self.as_known(collection, |description| async move {
            let count = reads::count(&self.client, &description, filter);
            self.call("count", collection, None, count).await
        })
        .await
    }

    async fn set_alias(&self, alias: &CollectionName, collection: &CollectionName) -> Result<(), IndexError> {
        aliases::set(&self.client, alias, collection).await
    }

    async fn drop_alias(&self, alias: &CollectionName) -> Result<(), IndexError> {
        aliases::drop(&self.client, alias).await
    }

    async fn aliases(&self) -> Result<BTreeMap<CollectionName, CollectionName>, IndexError> {
        aliases::all(&self.client).await
    }

    async fn load(&self, collection: &CollectionName) -> Result<(), IndexError> {
        collections::load(&self.client, collection).await
    }

    async fn release(&self, collection: &CollectionName) -> Result<(), IndexError> {
        collections::release(&self.client, collection).await
    }

    async fn is_loaded(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        collections::is_loaded(&self.client, collection).await
    }

    async fn search(&self, collection: &CollectionName, search: &FieldSearch) -> Result<FieldHits, IndexError> {
        self.as_known(collection, |description| async move {
            check::search(collection, &check::dimensions(&description), search)?;
            let hits = reads::search(&self.client, &description, search);
            self.call("search", collection, None, hits).await
        })
        .await
    }
}
