//! Rows of which the pictures are the same to the byte: found, and all but the first of each dropped.

mod find;
mod group;

use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::query::names::collection_name;
use crate::query::violations::Violations;
use find::Finding;
use group::Group;
use sightline_core::{CollectionName, DatasetName};
use sightline_index::VectorIndex;
use sightline_proto::v1;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Groups that one message holds at most, and how often a caller is told how far it is.
const GROUPS: usize = 100;
const TELL_INTERVAL: Duration = Duration::from_millis(500);

/// What a caller is told.
pub(crate) type Told = Result<v1::DuplicatesResponse, Status>;

/// What becomes of all rows of a group but the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surplus {
    Stays,
    Goes,
}

/// Looks for duplicates, and tells of them as they are found. Ends early where the caller goes.
pub(crate) async fn tell(
    shared: &Shared,
    name: &str,
    dataset: &str,
    surplus: Surplus,
) -> Result<ReceiverStream<Told>, GatewayError> {
    let mut violations = Violations::default();
    let collection = violations.take("name", collection_name(name));
    let dataset = match dataset {
        "" => None,
        name => violations.take("dataset", DatasetName::new(name)),
    };
    violations.check()?;
    let collection = collection.ok_or_else(GatewayError::nothing)?;
    let collection = shared.collection(&collection).await?.name;
    let (tell, told) = mpsc::channel(4);
    let search = Search {
        index: Arc::clone(&shared.index),
        collection,
        dataset,
        surplus,
    };
    tokio::spawn(async move {
        let closed = tell.clone();
        tokio::select! {
            biased;
            () = closed.closed() => {}
            () = search.tell(&tell) => {}
        }
    });
    Ok(ReceiverStream::new(told))
}

struct Search {
    index: Arc<dyn VectorIndex>,
    collection: CollectionName,
    dataset: Option<DatasetName>,
    surplus: Surplus,
}

impl Search {
    async fn tell(&self, tell: &mpsc::Sender<Told>) {
        let last = self.all(tell).await.map_err(Status::from);
        // A caller that has gone needs no summary.
        let _told = tell.send(last).await;
    }

    async fn all(&self, tell: &mpsc::Sender<Told>) -> Result<v1::DuplicatesResponse, GatewayError> {
        let finding = Finding {
            index: self.index.as_ref(),
            collection: &self.collection,
            dataset: self.dataset.as_ref(),
        };
        let total = finding.rows().await?;
        let parts = find::parts(total);
        let mut so_far = v1::DuplicatesResponse {
            total_rows: int(total),
            ..v1::DuplicatesResponse::default()
        };
        let mut summary = v1::duplicates_response::Summary::default();
        let mut told_at = Instant::now();
        for part in 0..parts {
            let (rows, same) = finding.same_pictures(part, parts).await?;
            so_far.checked_rows += int(rows);
            for ids in same {
                let Some(group) = Group::of(self.index.as_ref(), &self.collection, &ids).await? else {
                    continue;
                };
                summary.groups += 1;
                summary.surplus_rows += int(group.surplus());
                summary.other_texts += int(group.other_texts);
                if self.surplus == Surplus::Goes {
                    let deleted = group.drop_surplus(self.index.as_ref(), &self.collection, &ids).await?;
                    summary.deleted_rows += int(deleted);
                }
                so_far.groups.push(group.to_api(&self.collection));
                if so_far.groups.len() >= GROUPS || told_at.elapsed() >= TELL_INTERVAL {
                    told_at = Instant::now();
                    let groups = std::mem::take(&mut so_far.groups);
                    let message = v1::DuplicatesResponse {
                        groups,
                        ..so_far.clone()
                    };
                    // That nobody listens any more ends this from outside.
                    let _told = tell.send(Ok(message)).await;
                }
            }
        }
        if summary.deleted_rows > 0 {
            tracing::info!(collection = %self.collection, rows = summary.deleted_rows, "duplicates dropped");
        }
        Ok(v1::DuplicatesResponse {
            summary: Some(summary),
            ..so_far
        })
    }
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
