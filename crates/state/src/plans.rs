use crate::{State, StateError};
use bytes::Bytes;
use sightline_core::digest::sha256_hex;
use sightline_core::document::Document;
use sightline_core::layout;
use sightline_core::{Link, Manifest, PlanComplete, PlanNode, RunId, ShardId};
use sightline_objects::ListRequest;

impl State {
    /// Writes a shard's manifest and answers with its id and the number of its stored bytes.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_manifest(&self, manifest: &Manifest) -> Result<ShardId, StateError> {
        let (shard, bytes) = manifest.encode();
        self.store
            .put(&layout::shard_manifest(&manifest.run, &shard), Bytes::from(bytes))
            .await?;
        Ok(shard)
    }

    /// Reads a shard's manifest and proves it to be that shard's.
    ///
    /// # Errors
    /// When it cannot be read, is gone, or is damaged.
    pub async fn manifest(&self, run: &RunId, shard: &ShardId) -> Result<Manifest, StateError> {
        let key = layout::shard_manifest(run, shard);
        let bytes = self.store.get(&key, None).await?;
        Manifest::decode(shard, &bytes).map_err(|source| StateError::Document { key, source })
    }

    /// The node that counts for a link, with its digest: of several, the smallest digest.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn plan_node(&self, run: &RunId, link: &Link) -> Result<Option<(String, PlanNode)>, StateError> {
        let folder = layout::plan_link(run, &link.id(run));
        let request = ListRequest {
            prefix: folder.clone(),
            start_after: None,
            fold: false,
            limit: 1,
        };
        // Keys are listed in order, so the first is the smallest digest.
        let Some(first) = self.store.list(&request).await?.objects.into_iter().next() else {
            return Ok(None);
        };
        let digest = first
            .key
            .trim_start_matches(&folder)
            .trim_end_matches(".json")
            .to_owned();
        Ok(self.read(&first.key).await?.map(|node| (digest, node)))
    }

    /// Writes a node.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_plan_node(&self, node: &PlanNode) -> Result<(), StateError> {
        let bytes = node.to_bytes();
        let key = layout::plan_node(&node.run, &node.link.id(&node.run), &sha256_hex(&bytes));
        Ok(self.store.put(&key, Bytes::from(bytes)).await?)
    }

    /// The frozen tree, once it is frozen.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn plan_complete(&self, run: &RunId) -> Result<Option<PlanComplete>, StateError> {
        self.read(&layout::plan_complete(run)).await
    }

    /// Freezes the tree, unless it is frozen, and answers with what counts.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn complete_plan(&self, complete: &PlanComplete) -> Result<PlanComplete, StateError> {
        if let Some(existing) = self.plan_complete(&complete.run).await? {
            return Ok(existing);
        }
        self.write(&layout::plan_complete(&complete.run), complete).await?;
        Ok(self
            .plan_complete(&complete.run)
            .await?
            .unwrap_or_else(|| complete.clone()))
    }
}
