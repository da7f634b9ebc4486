//! Second names of collections.

use super::collections::{name, tables};
use super::error::Failure;
use crate::aliases::name_taken;
use rusqlite::{OptionalExtension, Transaction};
use sightline_core::CollectionName;
use std::collections::BTreeMap;

/// Made with the first alias, so that files of before have none.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS aliases (
    alias TEXT NOT NULL PRIMARY KEY,
    collection TEXT NOT NULL REFERENCES collections (name)
) STRICT";

fn is_there(transaction: &Transaction<'_>) -> Result<bool, Failure> {
    let count: i64 = transaction
        .prepare_cached("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'aliases'")?
        .query_row([], |row| row.get(0))?;
    Ok(count > 0)
}

pub(super) fn set(
    transaction: &Transaction<'_>,
    alias: &CollectionName,
    collection: &CollectionName,
) -> Result<(), Failure> {
    tables(transaction, collection)?;
    if tables(transaction, alias).is_ok() {
        return Err(name_taken(alias).into());
    }
    transaction.execute_batch(TABLE)?;
    transaction.execute(
        "INSERT OR REPLACE INTO aliases (alias, collection) VALUES (?1, ?2)",
        [alias.as_str(), collection.as_str()],
    )?;
    Ok(())
}

pub(super) fn drop(transaction: &Transaction<'_>, alias: &CollectionName) -> Result<(), Failure> {
    if is_there(transaction)? {
        transaction.execute("DELETE FROM aliases WHERE alias = ?1", [alias.as_str()])?;
    }
    Ok(())
}

pub(super) fn all(transaction: &Transaction<'_>) -> Result<BTreeMap<CollectionName, CollectionName>, Failure> {
    if !is_there(transaction)? {
        return Ok(BTreeMap::new());
    }
    let mut statement = transaction.prepare_cached("SELECT alias, collection FROM aliases")?;
    let pairs = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    pairs
        .map(|pair| {
            let (alias, collection) = pair?;
            Ok((name(alias)?, name(collection)?))
        })
        .collect()
}

/// The collection behind an alias.
pub(super) fn behind(transaction: &Transaction<'_>, alias: &CollectionName) -> Result<Option<CollectionName>, Failure> {
    if !is_there(transaction)? {
        return Ok(None);
    }
    let found: Option<String> = transaction
        .prepare_cached("SELECT collection FROM aliases WHERE alias = ?1")?
        .query_row([alias.as_str()], |row| row.get(0))
        .optional()?;
    found.map(name).transpose()
}
