//! Cuts a dataset's entries into shards.

use sightline_core::{Manifest, ManifestEntry, PlannedShard, RunDocument};
use sightline_state::{State, StateError};

/// Cuts entries into shards and stores each as soon as it is full, so that memory holds one shard at a time.
pub(crate) struct ShardWriter<'a> {
    state: &'a State,
    document: &'a RunDocument,
    shard_bytes: usize,
    open: Vec<ManifestEntry>,
    open_bytes: usize,
    written: Vec<PlannedShard>,
    entries: usize,
}

impl<'a> ShardWriter<'a> {
    pub(crate) fn new(state: &'a State, document: &'a RunDocument, shard_bytes: usize) -> Self {
        Self {
            state,
            document,
            shard_bytes,
            open: Vec::new(),
            open_bytes: 0,
            written: Vec::new(),
            entries: 0,
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    pub(crate) fn written(&self) -> usize {
        self.written.len()
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
        let entries = std::mem::take(&mut self.open);
        self.open_bytes = 0;
        let bytes = entries.iter().map(ManifestEntry::object_bytes).sum();
        let items = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let manifest = Manifest {
            run: self.document.run.clone(),
            kind: self.document.spec.kind,
            entries,
        };
        let id = self.state.put_manifest(&manifest).await?;
        self.written.push(PlannedShard { id, items, bytes });
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<Vec<PlannedShard>, StateError> {
        self.close().await?;
        Ok(self.written)
    }
}

/// About how many bytes an entry takes in its manifest.
fn weight(entry: &ManifestEntry) -> usize {
    const OVERHEAD: usize = 200;
    match entry {
        ManifestEntry::Ended(_) => OVERHEAD,
        ManifestEntry::Item(item) => OVERHEAD + item.text.as_ref().map_or(0, String::len) + item.boxes.len() * 80,
    }
}
