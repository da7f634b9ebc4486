//! Making a link's node: a bounded part of the dataset is read, its shards are written as they fill up, then the node.

use crate::fan_out::{LEAST, MOST_PARTS, following};
use crate::planner::{PlanError, Planner};
use crate::selection::Parent;
use crate::shard_writer::ShardWriter;
use sightline_core::{Link, PlanNode, RunDocument, Source};
use sightline_datasets::{Page, Parts, Reader, ReaderOptions};
use sightline_objects::ObjectStore;
use sightline_service::fail_point;
use std::sync::Arc;

impl Planner {
    /// Reads a bounded part of the dataset and stores its shards, then the node. Answers with all
    /// nodes that the link has then, the one that counts first.
    ///
    /// # Errors
    /// When the state or the dataset failed.
    pub(crate) async fn make_node(
        &self,
        document: &Arc<RunDocument>,
        link: &Link,
    ) -> Result<Vec<(String, PlanNode)>, PlanError> {
        let dataset = &document.spec.dataset;
        let store = self
            .datasets
            .open(&dataset.root)
            .await
            .map_err(|source| PlanError::Root {
                root: dataset.root.clone(),
                source,
            })?;
        let reader = Reader::new(Arc::clone(&store), dataset.source.clone(), ReaderOptions::default())
            .with_tables(Arc::clone(&self.tables));
        let mut shards = ShardWriter::new(&self.state, document, self.options.shard_bytes, &self.room);
        let mut cursor = link.start_after.clone();
        let next = loop {
            let wanted = self.link_items(document).saturating_sub(shards.entries());
            let page = match &document.spec.selection {
                Some(_) => self.selected(document, store.as_ref(), cursor.as_deref()).await?,
                None => {
                    let limit = wanted.min(self.options.page_entries);
                    reader.page(&link.range, cursor.as_deref(), limit).await?
                }
            };
            for entry in page.entries {
                shards.add(entry).await?;
            }
            let left = self.link_items(document).saturating_sub(shards.entries());
            let full = left < self.least_page(document) || shards.closed() >= self.options.shards_per_link;
            match page.next {
                Some(next) if full => break Some(next),
                None => break None,
                next => cursor = next,
            }
        };
        let (children, next) = match next {
            Some(cursor) => self.cut(document, &reader, link, cursor).await?,
            None => (Vec::new(), None),
        };
        let node = PlanNode {
            run: document.run.clone(),
            link: link.clone(),
            shards: shards.finish().await?,
            children,
            next,
        };
        fail_point::die("coordinator-before-node");
        let digest = self.state.put_plan_node(&node).await?;
        fail_point::die("coordinator-after-node");
        match self
            .state
            .plan_node_digests(&document.run, &link.id(&document.run))
            .await?
        {
            // Another holder of this link was faster.
            Some((_, true)) => Ok(self.state.plan_nodes(&document.run, link).await?),
            _ => Ok(vec![(digest, node)]),
        }
    }

    /// Shards that one link makes at most.
    fn link_shards(&self, document: &RunDocument) -> usize {
        let quarter = document.spec.window_shards as usize / 4;
        quarter.clamp(1, self.options.shards_per_link.max(1))
    }

    /// A prefix is not asked for fewer entries at the end of a link: a page that ends where a folder does is cheaper to go
    /// on from than one that ends within it.
    fn least_page(&self, document: &RunDocument) -> usize {
        match document.spec.dataset.source {
            Source::Prefix {} if self.link_items(document) > self.options.page_entries => self.options.page_entries / 2,
            _ => 1,
        }
    }

    /// Entries that one link takes at most.
    fn link_items(&self, document: &RunDocument) -> usize {
        self.link_shards(document) * document.spec.shard_items as usize
    }

    async fn selected(
        &self,
        document: &RunDocument,
        store: &dyn ObjectStore,
        start_after: Option<&str>,
    ) -> Result<Page, PlanError> {
        let Some(selection) = &document.spec.selection else {
            return Ok(Page::default());
        };
        let index = match &self.index {
            Some(index) => Some(index.get().await?.as_ref()),
            None => None,
        };
        let parent = Parent {
            state: &self.state,
            tracker: &self.tracker,
            store,
            index,
        };
        parent.page(selection, start_after).await
    }

    /// The links that follow one whose range goes on from `cursor`.
    async fn cut(
        &self,
        document: &RunDocument,
        reader: &Reader,
        link: &Link,
        cursor: String,
    ) -> Result<(Vec<Link>, Option<Link>), PlanError> {
        let spec = &document.spec;
        if spec.selection.is_some() || !spec.dataset.source.has_ranges() {
            let next = Link {
                start_after: Some(cursor),
                ..link.clone()
            };
            return Ok((Vec::new(), Some(next)));
        }
        let fan_out = link.fan_out.unwrap_or(self.options.fan_out);
        let split = if fan_out < LEAST {
            None
        } else {
            let parts = Parts {
                most: fan_out.min(MOST_PARTS) as usize,
                small: spec.shard_items as usize,
                gathered: self.link_items(document),
            };
            reader.split(&link.range, &cursor, parts).await?
        };
        let (children, next) = following(link, fan_out, cursor, split);
        Ok((children, Some(next)))
    }
}
