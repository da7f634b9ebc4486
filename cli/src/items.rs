//! `sightline items`.

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::servers::Servers;
use crate::text::{plain, time};
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
}

/// Does it.
pub(crate) async fn run(command: ItemsCommand, servers: &Servers, console: Console) -> Outcome {
    let ItemsCommand::Get {
        item,
        collection,
        fields,
    } = command;
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
        .get_item(v1::GetItemRequest { name, fields })
        .await;
    let item = answer
        .map_err(|status| CliError::call("read the item", &status))?
        .into_inner();
    let value = json::of(&item)?;
    if console.is_json() {
        console.json(&value)?;
    } else {
        console.say(&text(&item, &value))?;
    }
    Ok(Exit::Success)
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
