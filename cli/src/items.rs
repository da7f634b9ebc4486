//! `sightline items`.

use crate::ask::ask;
use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::servers::Servers;
use crate::text::{id_of, items, plain, resource, time};
use clap::Subcommand;
use serde_json::Value;
use sightline_proto::v1;

/// What can be done with items.
#[derive(Debug, Subcommand)]
pub(crate) enum ItemsCommand {
    /// Show an item.
    Get {
        /// collections/COLLECTION/items/ID; or an id, with --collection.
        #[arg(value_name = "NAME|ID")]
        item: String,
        /// The collection of an id.
        #[arg(long, value_name = "NAME")]
        collection: Option<String>,
        /// What of it is read, by the names of the API: labels, image_embedding, …; all but the vectors by default.
        #[arg(long, value_name = "FIELD", value_delimiter = ',')]
        fields: Vec<String>,
    },
    /// Delete items, by id or by filter, which asks first. Only a new run brings them back.
    Delete {
        /// Ids of items.
        #[arg(value_name = "ID", required_unless_present = "filter")]
        ids: Vec<String>,
        /// All items for which this holds: `dataset = "old" AND NOT labels:"Mass"`.
        #[arg(long, value_name = "FILTER", conflicts_with = "ids")]
        filter: Option<String>,
        /// Their collection.
        #[arg(long, value_name = "NAME")]
        collection: String,
        /// Only count what would be deleted.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask, where a filter says what goes.
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(crate) async fn run(command: ItemsCommand, servers: &Servers, console: Console) -> Outcome {
    match command {
        ItemsCommand::Get {
            item,
            collection,
            fields,
        } => get(item, collection, fields, servers, console).await,
        ItemsCommand::Delete {
            ids,
            filter,
            collection,
            dry_run,
            yes,
        } => {
            let request = v1::DeleteItemsRequest {
                parent: resource("collections", &collection),
                ids,
                filter: filter.unwrap_or_default(),
                validate_only: dry_run,
            };
            // Ids are named one by one; how much a filter leaves, nobody sees in it.
            if !request.filter.is_empty() && !dry_run && !yes && !may_go(&request, servers).await? {
                return deleted(0, false, console);
            }
            delete(request, servers, console).await
        }
    }
}

/// Asks whether the items that a filter takes are to be deleted, and says how many they are; whether there is any.
async fn may_go(request: &v1::DeleteItemsRequest, servers: &Servers) -> Result<bool, CliError> {
    let counting = v1::DeleteItemsRequest {
        validate_only: true,
        ..request.clone()
    };
    let answer = servers.search().await?.delete_items(counting).await;
    let answer = answer.map_err(|status| CliError::call("delete items", &status))?;
    let count = answer.into_inner().item_count;
    if count == 0 {
        return Ok(false);
    }
    // An alias does not say what is lost.
    let described = crate::collections::get(id_of(&request.parent, "collections"), servers).await?;
    let collection = id_of(&described.name, "collections");
    ask(collection, &format!("from {collection} {}", items(count))).await?;
    Ok(true)
}

async fn delete(request: v1::DeleteItemsRequest, servers: &Servers, console: Console) -> Outcome {
    let dry_run = request.validate_only;
    let answer = servers.search().await?.delete_items(request).await;
    let answer = answer.map_err(|status| CliError::call("delete items", &status))?;
    deleted(answer.into_inner().item_count, dry_run, console)
}

fn deleted(deleted: i64, dry_run: bool, console: Console) -> Outcome {
    if console.is_json() {
        let name = if dry_run { "would_be_deleted" } else { "deleted" };
        console.json(&serde_json::json!({ name: deleted }))?;
    } else if dry_run {
        console.say(&format!("{} would be deleted", items(deleted)))?;
    } else {
        console.say(&format!("deleted {}", items(deleted)))?;
    }
    Ok(Exit::Success)
}

async fn get(
    item: String,
    collection: Option<String>,
    fields: Vec<String>,
    servers: &Servers,
    console: Console,
) -> Outcome {
    let name = match (item.contains('/'), collection) {
        (true, _) => item,
        (false, Some(collection)) => format!("collections/{collection}/items/{item}"),
        (false, None) => {
            return Err(CliError::Usage(format!(
                "cannot read item {item:?}: of which collection? Give --collection"
            )));
        }
    };
    let answer = servers
        .search()
        .await?
        .get_item(v1::GetItemRequest {
            name,
            fields: fields.clone(),
        })
        .await;
    let item = answer
        .map_err(|status| CliError::call("read the item", &status))?
        .into_inner();
    let value = read(json::of(&item)?, &fields);
    if console.is_json() {
        console.json(&value)?;
    } else {
        console.say(&text(&item, &value))?;
    }
    Ok(Exit::Success)
}

/// What was read of an item: a field that was not asked for is not empty, but unknown. The id always is read.
fn read(mut item: Value, fields: &[String]) -> Value {
    if let (Value::Object(all), false) = (&mut item, fields.is_empty()) {
        all.retain(|name, _| name == "id" || fields.contains(name));
    }
    item
}

fn text(item: &v1::Item, value: &Value) -> String {
    let labels: Vec<String> = item.labels.iter().map(|label| plain(label)).collect();
    let boxes: Vec<String> = item
        .boxes
        .iter()
        .map(|b| format!("{} at {}, {} of {} × {}", plain(&b.label), b.x, b.y, b.width, b.height))
        .collect();
    let attributes = value.get("attributes").map(Value::to_string).unwrap_or_default();
    let vector = |vector: &Option<v1::Vector>| vector.as_ref().map(|v| format!("{:?}", v.values)).unwrap_or_default();
    let lines = [
        ("id", item.id.clone()),
        ("dataset", item.dataset.clone()),
        ("key", item.key.clone()),
        ("image", item.image_path.clone()),
        ("image id", item.image_id.clone()),
        ("uid", item.uid.clone()),
        ("text", item.report_text.clone()),
        ("labels", labels.join(", ")),
        ("boxes", boxes.join("; ")),
        ("attributes", attributes),
        ("content", item.content_hash.clone()),
        ("run", item.run.clone()),
        ("indexed", time(item.index_time.as_ref())),
        ("image vector", vector(&item.image_embedding)),
        ("text vector", vector(&item.text_embedding)),
    ];
    let shown: Vec<String> = lines
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name:<13} {}", plain(&text)))
        .collect();
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_is_left_out_and_what_was_is_there_though_it_is_empty() {
        let item = v1::Item {
            id: "0123".into(),
            key: "a.png".into(),
            ..v1::Item::default()
        };
        let all = json::of(&item).unwrap();
        let some = read(all.clone(), &["key".to_owned(), "labels".to_owned()]);
        assert_eq!(some, serde_json::json!({"id": "0123", "key": "a.png", "labels": []}));
        assert_eq!(read(all.clone(), &[]), all);
    }
}
