//! Making collections, and deleting items from them.

use crate::collections;
use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::query::names::{collection_name, of_collection};
use crate::query::violations::Violations;
use sightline_core::collection::IndexChoice;
use sightline_core::filter::{self, Filter};
use sightline_core::{
    CollectionDescription, CollectionName, FieldDescription, Fingerprint, IndexKind, ModelName, Row, RowId, VectorField,
};
use sightline_index::{IndexError, Projection};
use sightline_proto::v1;
use std::collections::BTreeMap;

/// Longest vector that an index takes.
const MAX_DIMENSION: u32 = 32_768;
/// Items that are deleted at once.
const DELETED_AT_ONCE: usize = 1000;
/// Most ids that one request names.
const MAX_IDS: usize = 10_000;
/// The model's name where the caller names none.
const UNNAMED: &str = "imported";

/// Makes a collection.
pub(crate) async fn create(
    shared: &Shared,
    request: v1::CreateCollectionRequest,
) -> Result<v1::Collection, GatewayError> {
    let mut violations = Violations::default();
    let name = violations.take("collection_id", CollectionName::new(request.collection_id.clone()));
    let fields = fields(shared, &request, &mut violations);
    let index = index(&request, &mut violations);
    for (field, described) in &fields {
        let fits = index.map_or(Ok(()), |index| index.check_dimension(described.space.dimension));
        if let Err(message) = fits {
            violations.add("index.m", format!("{field}: {message}"));
        }
    }
    violations.check()?;
    let description = CollectionDescription {
        name: name.ok_or_else(GatewayError::nothing)?,
        fields,
        index: index.ok_or_else(GatewayError::nothing)?,
    };
    if let Some(taken) = taken(shared, &description).await? {
        return Err(taken);
    }
    if !request.validate_only {
        match shared.index.create(&description).await {
            // Something came in between, and what it is decides what is to be done.
            Err(IndexError::Conflict { .. }) => {
                let taken = taken(shared, &description).await?;
                return Err(taken.unwrap_or(GatewayError::CollectionExists(description.name)));
            }
            created => created?,
        }
        tracing::info!(collection = %description.name, index = ?description.index, "collection created");
        return collections::get(shared, &description.name).await;
    }
    Ok(v1::Collection {
        name: of_collection(&description.name),
        index: collections::index_kind(description.index),
        fields: collections::fields(shared, &description),
        ..v1::Collection::default()
    })
}

/// What has the name of a new collection and is another.
async fn taken(shared: &Shared, wanted: &CollectionDescription) -> Result<Option<GatewayError>, GatewayError> {
    let existing = shared.index.describe(&wanted.name).await?;
    let other = existing.filter(|existing| existing != wanted);
    Ok(other.map(|other| match other.name == wanted.name {
        true => GatewayError::CollectionExists(other.name),
        false => GatewayError::NameOfAlias {
            alias: wanted.name.clone(),
            collection: other.name,
        },
    }))
}

/// The fields as they were asked for; those of the served model where none is.
fn fields(
    shared: &Shared,
    request: &v1::CreateCollectionRequest,
    violations: &mut Violations,
) -> BTreeMap<VectorField, FieldDescription> {
    let served = shared.encoder.as_ref().map(|encoder| encoder.description());
    if request.fields.is_empty() {
        return match served {
            Some(model) => model.fields.clone(),
            None => {
                violations.add("fields", "is empty, and no model is served whose fields could be meant");
                BTreeMap::new()
            }
        };
    }
    let mut fields = BTreeMap::new();
    for (position, asked) in request.fields.iter().enumerate() {
        let place = |name: &str| format!("fields[{position}].{name}");
        let Some(field) = VectorField::ALL.into_iter().find(|field| field.as_str() == asked.field) else {
            let known = VectorField::ALL.map(VectorField::as_str).join(" or ");
            violations.add(place("field"), format!("give {known}"));
            continue;
        };
        let dimension = u32::try_from(asked.dimension).ok();
        let dimension = dimension.filter(|dimension| (1..=MAX_DIMENSION).contains(dimension));
        if dimension.is_none() {
            let message = format!("is {}: give 1 to {MAX_DIMENSION}", asked.dimension);
            violations.add(place("dimension"), message);
        }
        let model = if asked.model.is_empty() {
            UNNAMED
        } else {
            asked.model.as_str()
        };
        let model = violations.take(&place("model"), ModelName::new(model.to_owned()));
        let declared = match asked.fingerprint.as_str() {
            "" => None,
            print => violations.take(&place("fingerprint"), Fingerprint::new(print.to_owned())),
        };
        let (Some(dimension), Some(model)) = (dimension, model) else {
            continue;
        };
        // What the served model makes is proven by its canaries, too.
        let of_served = served.as_ref().and_then(|served| served.fields.get(&field));
        let of_served = of_served.filter(|served| declared.as_ref() == Some(&served.fingerprint));
        let described = match of_served {
            Some(served) => {
                let theirs = served.space.dimension;
                if theirs != dimension {
                    let message = format!("is {dimension}: the space of this fingerprint has {theirs}");
                    violations.add(place("dimension"), message);
                }
                served.clone()
            }
            None => FieldDescription::imported(model, dimension, declared),
        };
        if fields.insert(field, described).is_some() {
            violations.add(place("field"), "is given twice");
        }
    }
    fields
}

fn index(request: &v1::CreateCollectionRequest, violations: &mut Violations) -> Option<IndexKind> {
    let Some(index) = &request.index else {
        let rows = u64::try_from(request.expected_rows).map_err(|_| "is negative");
        return violations.take("expected_rows", rows).map(IndexKind::by_size);
    };
    let choice = IndexChoice {
        kind: &index.r#type,
        nlist: index.nlist,
        m: index.m,
        ef_construction: index.ef_construction,
    };
    match choice.check() {
        Ok(kind) => Some(kind),
        Err(wrong) => {
            for (field, message) in wrong {
                violations.add(format!("index.{field}"), message);
            }
            None
        }
    }
}

/// Brings a collection into the index's memory.
pub(crate) async fn load(shared: &Shared, name: &str) -> Result<v1::Collection, GatewayError> {
    let name = collection_name(name).map_err(|message| GatewayError::invalid("name", message))?;
    let name = shared.collection(&name).await?.name;
    shared.index.load(&name).await?;
    tracing::info!(collection = %name, "collection loaded");
    collections::get(shared, &name).await
}

/// Takes a collection out of the index's memory.
pub(crate) async fn release(shared: &Shared, name: &str) -> Result<v1::Collection, GatewayError> {
    let name = collection_name(name).map_err(|message| GatewayError::invalid("name", message))?;
    let name = shared.collection(&name).await?.name;
    shared.index.release(&name).await?;
    tracing::info!(collection = %name, "collection released");
    collections::get(shared, &name).await
}

/// Deletes items by id or by filter.
pub(crate) async fn delete_items(
    shared: &Shared,
    request: v1::DeleteItemsRequest,
) -> Result<v1::DeleteItemsResponse, GatewayError> {
    let mut violations = Violations::default();
    let collection = violations.take("parent", collection_name(&request.parent));
    if request.ids.is_empty() == request.filter.is_empty() {
        let message = "give either ids or a filter; to delete all items, delete the collection";
        violations.add("filter", message);
    }
    if request.ids.len() > MAX_IDS {
        let message = format!("has {} ids: give at most {MAX_IDS}", request.ids.len());
        violations.add("ids", message);
    }
    let mut ids = Vec::new();
    for (position, id) in request.ids.into_iter().enumerate().take(MAX_IDS) {
        ids.extend(violations.take(&format!("ids[{position}]"), RowId::new(id)));
    }
    // Where it is only counted, one that is named again is still there.
    ids.sort_unstable();
    ids.dedup();
    let filter = match request.filter.as_str() {
        "" => None,
        text => violations.take("filter", filter::parse(text)),
    };
    violations.check()?;
    let collection = collection.ok_or_else(GatewayError::nothing)?;
    let collection = shared.collection(&collection).await?.name;
    let deleted = match filter {
        Some(filter) if request.validate_only => shared.index.count(&collection, Some(&filter)).await?,
        Some(filter) => by_filter(shared, &collection, &filter).await?,
        None => by_id(shared, &collection, &ids, request.validate_only).await?,
    };
    if !request.validate_only {
        tracing::info!(%collection, deleted, "items deleted");
    }
    Ok(v1::DeleteItemsResponse {
        item_count: i64::try_from(deleted).unwrap_or(i64::MAX),
    })
}

async fn by_id(
    shared: &Shared,
    collection: &CollectionName,
    ids: &[RowId],
    only_count: bool,
) -> Result<u64, GatewayError> {
    let mut deleted = 0;
    for ids in ids.chunks(DELETED_AT_ONCE) {
        let there = shared.index.get(collection, ids, Projection::Metadata).await?;
        let there: Vec<RowId> = distinct(there);
        if !only_count {
            shared.index.delete(collection, &there).await?;
        }
        deleted += there.len() as u64;
    }
    Ok(deleted)
}

/// Pages on by id, so that an item that comes back under the same id meanwhile is not looked for for ever.
async fn by_filter(shared: &Shared, collection: &CollectionName, filter: &Filter) -> Result<u64, GatewayError> {
    let mut deleted = 0;
    let mut after: Option<RowId> = None;
    loop {
        let scan = shared.index.scan(
            collection,
            Some(filter),
            after.as_ref(),
            DELETED_AT_ONCE,
            Projection::Metadata,
        );
        let ids = distinct(scan.await?);
        let Some(last) = ids.last().cloned() else {
            return Ok(deleted);
        };
        shared.index.delete(collection, &ids).await?;
        deleted += ids.len() as u64;
        after = Some(last);
    }
}

fn distinct(rows: Vec<Row>) -> Vec<RowId> {
    let mut ids: Vec<RowId> = rows.into_iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
