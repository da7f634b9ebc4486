use crate::{State, StateError};
use bytes::Bytes;
use sightline_core::digest::sha256_hex;
use sightline_core::document::Document;
use sightline_core::layout;
use sightline_core::{Link, LinkId, Manifest, PlanComplete, PlanNode, RunId, ShardId};
use sightline_objects::ListRequest;

impl State {
    /// Writes a shard's manifest and answers with its id and the number of its stored bytes.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_manifest(&self, manifest: &Manifest) -> Result<ShardId, StateError> {
        let (shard, bytes) = manifest.encode();
        self.put_encoded_manifest(&manifest.run, &shard, bytes).await?;
        Ok(shard)
    }

    /// Writes what [`Manifest::encode`] made of a shard.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_encoded_manifest(&self, run: &RunId, shard: &ShardId, bytes: Vec<u8>) -> Result<(), StateError> {
        let key = layout::shard_manifest(run, shard);
        Ok(self.store.put(&key, Bytes::from(bytes)).await?)
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

    /// All nodes of a link, the one that counts first. Mostly it has one, and one more for each holder that was slow.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn plan_nodes(&self, run: &RunId, link: &Link) -> Result<Vec<(String, PlanNode)>, StateError> {
        let id = link.id(run);
        let folder = layout::plan_link(run, &id);
        let found = self.store.list(&ListRequest::all(folder.as_str())).await?.objects;
        let mut nodes = Vec::with_capacity(found.len());
        for object in found {
            let digest = object.key.trim_start_matches(&folder).trim_end_matches(".json");
            if let Some(node) = self.plan_node_of(run, &id, digest).await? {
                nodes.push((digest.to_owned(), node));
            }
        }
        Ok(nodes)
    }

    /// The digest of the node that counts for a link, and whether it has others.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn plan_node_digests(&self, run: &RunId, link: &LinkId) -> Result<Option<(String, bool)>, StateError> {
        let folder = layout::plan_link(run, link);
        let request = ListRequest {
            limit: 2,
            ..ListRequest::all(folder.as_str())
        };
        // Keys are listed in order, so the first is the smallest digest.
        let objects = self.store.list(&request).await?.objects;
        let several = objects.len() > 1;
        Ok(objects.into_iter().next().map(|first| {
            let digest = first.key.trim_start_matches(&folder).trim_end_matches(".json");
            (digest.to_owned(), several)
        }))
    }

    /// One node of a link, whether it counts or not.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn plan_node_of(&self, run: &RunId, link: &LinkId, digest: &str) -> Result<Option<PlanNode>, StateError> {
        self.read(&layout::plan_node(run, link, digest)).await
    }

    /// Lists nodes, whether they count or not, and from where to go on.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn list_plan_nodes(
        &self,
        run: &RunId,
        after: Option<String>,
    ) -> Result<(Vec<(LinkId, String)>, Option<String>), StateError> {
        let request = ListRequest {
            start_after: after,
            ..ListRequest::all(layout::plan(run))
        };
        let page = self.store.list(&request).await?;
        let nodes = page
            .objects
            .iter()
            .filter_map(|object| layout::node_of_plan(run, &object.key));
        Ok((nodes.collect(), page.next))
    }

    /// Writes a node and answers with its digest.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_plan_node(&self, node: &PlanNode) -> Result<String, StateError> {
        let bytes = node.to_bytes();
        let digest = sha256_hex(&bytes);
        let key = layout::plan_node(&node.run, &node.link.id(&node.run), &digest);
        self.write_json(&key, bytes).await?;
        Ok(digest)
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
