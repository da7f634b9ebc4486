//! Second names of collections, which move from one to another in one step.

use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::query::names::{alias_name, collection_name, of_alias, of_collection};
use crate::query::violations::Violations;
use sightline_core::CollectionName;
use sightline_proto::v1;

/// Points an alias at a collection, and makes it where it is not there.
pub(crate) async fn update(shared: &Shared, request: v1::UpdateAliasRequest) -> Result<v1::Alias, GatewayError> {
    let asked = request.alias.unwrap_or_default();
    let mut violations = Violations::default();
    let alias = violations.take("alias.name", alias_name(&asked.name));
    let collection = violations.take("alias.collection", collection_name(&asked.collection));
    violations.check()?;
    let alias = alias.ok_or_else(GatewayError::nothing)?;
    // One that is given by an alias is meant as the collection that it names now: aliases of aliases there are none.
    let collection = shared
        .collection(&collection.ok_or_else(GatewayError::nothing)?)
        .await?
        .name;
    shared.index.set_alias(&alias, &collection).await?;
    tracing::info!(%alias, %collection, "alias set");
    Ok(of(&alias, &collection))
}

/// All aliases, by name.
pub(crate) async fn list(shared: &Shared) -> Result<v1::ListAliasesResponse, GatewayError> {
    let all = shared.index.aliases().await?;
    let aliases = all.iter().map(|(alias, collection)| of(alias, collection)).collect();
    Ok(v1::ListAliasesResponse { aliases })
}

/// Forgets an alias.
pub(crate) async fn delete(shared: &Shared, name: &str) -> Result<(), GatewayError> {
    let alias = alias_name(name).map_err(|message| GatewayError::invalid("name", message))?;
    if !shared.index.aliases().await?.contains_key(&alias) {
        return Err(GatewayError::NoAlias(alias));
    }
    shared.index.drop_alias(&alias).await?;
    tracing::info!(%alias, "alias dropped");
    Ok(())
}

fn of(alias: &CollectionName, collection: &CollectionName) -> v1::Alias {
    v1::Alias {
        name: of_alias(alias),
        collection: of_collection(collection),
    }
}
