//! Streams a collection's rows.

use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::items::{item, projection};
use crate::query::mask::ReadMask;
use crate::query::names::collection_name;
use crate::query::violations::Violations;
use futures::stream::{self, BoxStream, StreamExt};
use prost::Message;
use sightline_core::filter::{self, Filter};
use sightline_core::{CollectionName, RowId};
use sightline_proto::v1;
use std::sync::Arc;
use tonic::Status;

/// Rows that are read at once.
const PAGE_ROWS: usize = 256;
/// A message is sent when it has so many bytes.
const MESSAGE_BYTES: usize = 2 << 20;

struct Export {
    shared: Arc<Shared>,
    collection: CollectionName,
    filter: Option<Filter>,
    mask: ReadMask,
    /// The last row that was read; none before the first.
    after: Option<RowId>,
    done: bool,
}

/// All rows, in the order of their ids, some in a message. Rows that are written meanwhile may be among them or not.
pub(crate) async fn export(
    shared: &Arc<Shared>,
    request: v1::ExportItemsRequest,
) -> Result<BoxStream<'static, Result<v1::ExportItemsResponse, Status>>, GatewayError> {
    let mut violations = Violations::default();
    let collection = violations.take("parent", collection_name(&request.parent));
    let filter = match request.filter.as_str() {
        "" => None,
        text => violations.take("filter", filter::parse(text)),
    };
    let mask = ReadMask::parse(&request.fields, &mut violations);
    violations.check()?;
    let collection = collection.ok_or_else(GatewayError::nothing)?;
    let description = shared.collection(&collection).await?;
    let export = Export {
        shared: Arc::clone(shared),
        collection: description.name,
        filter,
        mask,
        after: None,
        done: false,
    };
    let pages = stream::try_unfold(export, |mut export| async move {
        if export.done {
            return Ok::<_, Status>(None);
        }
        let messages = export.page().await?;
        Ok(Some((stream::iter(messages.into_iter().map(Ok)), export)))
    });
    Ok(futures::TryStreamExt::try_flatten(pages).boxed())
}

impl Export {
    async fn page(&mut self) -> Result<Vec<v1::ExportItemsResponse>, GatewayError> {
        let scan = self.shared.index.scan(
            &self.collection,
            self.filter.as_ref(),
            self.after.as_ref(),
            PAGE_ROWS,
            projection(&self.mask),
        );
        let rows = scan.await?;
        self.done = rows.len() < PAGE_ROWS;
        self.after = rows.last().map(|row| row.id.clone()).or_else(|| self.after.take());
        let mut messages = Vec::new();
        let (mut items, mut bytes) = (Vec::new(), 0);
        for row in rows {
            let item = item(row, &self.mask);
            bytes += item.encoded_len();
            items.push(item);
            if bytes > MESSAGE_BYTES {
                messages.push(v1::ExportItemsResponse {
                    items: std::mem::take(&mut items),
                });
                bytes = 0;
            }
        }
        if !items.is_empty() {
            messages.push(v1::ExportItemsResponse { items });
        }
        Ok(messages)
    }
}
