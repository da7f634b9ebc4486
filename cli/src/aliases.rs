//! `sightline collections alias` and `aliases`.

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::servers::Servers;
use crate::text::{id_of, resource};
use sightline_proto::v1;

/// Points an alias at a collection.
pub(crate) async fn set(alias: &str, collection: &str, servers: &Servers, console: Console) -> Outcome {
    let alias = v1::Alias {
        name: resource("aliases", alias),
        collection: resource("collections", collection),
    };
    let request = v1::UpdateAliasRequest { alias: Some(alias) };
    let answer = servers.search().await?.update_alias(request).await;
    let set = answer
        .map_err(|status| CliError::call("set the alias", &status))?
        .into_inner();
    if console.is_json() {
        console.json(&json::of(&set)?)?;
    } else {
        console.say(&line(&set))?;
    }
    Ok(Exit::Success)
}

/// Lists all aliases.
pub(crate) async fn list(servers: &Servers, console: Console) -> Outcome {
    let answer = servers.search().await?.list_aliases(v1::ListAliasesRequest {}).await;
    let listed = answer.map_err(|status| CliError::call("list the aliases", &status))?;
    for alias in listed.into_inner().aliases {
        if console.is_json() {
            console.json(&json::of(&alias)?)?;
        } else {
            console.say(&line(&alias))?;
        }
    }
    Ok(Exit::Success)
}

/// Forgets an alias.
pub(crate) async fn delete(alias: &str, servers: &Servers, console: Console) -> Outcome {
    let name = resource("aliases", alias);
    let request = v1::DeleteAliasRequest { name: name.clone() };
    let answer = servers.search().await?.delete_alias(request).await;
    answer.map_err(|status| CliError::call("delete the alias", &status))?;
    if console.is_json() {
        console.json(&serde_json::json!({ "deleted": name }))?;
    } else {
        console.say(&format!("deleted alias {}", id_of(&name, "aliases")))?;
    }
    Ok(Exit::Success)
}

fn line(alias: &v1::Alias) -> String {
    format!(
        "{} is {}",
        id_of(&alias.name, "aliases"),
        id_of(&alias.collection, "collections")
    )
}
