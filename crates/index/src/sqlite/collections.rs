//! The file's catalogue: which collections there are, and in which tables their rows lie.

use super::aliases;
use super::error::Failure;
use crate::IndexError;
use crate::aliases::check_unused;
use crate::check::{Dimensions, dimensions};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sightline_core::document::Document;
use sightline_core::{CollectionDescription, CollectionName, DocumentError, VectorField};

/// "SLix": what `file` and SQLite's own tools know our files by.
const APPLICATION_ID: i64 = 0x534c_6978;
/// The layout of tables that is written here, and the newest that is read.
const LAYOUT_VERSION: i64 = 1;

/// Makes a new file ours, and refuses one that is not.
pub(super) fn prepare_file(connection: &mut Connection) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let refuse = |message: String| Err(IndexError::BadAddress { message }.into());
    if application == 0 && tables == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", LAYOUT_VERSION)?;
        transaction.execute_batch(
            "CREATE TABLE collections (
                number INTEGER PRIMARY KEY,
                name TEXT NOT NULL UNIQUE,
                description BLOB NOT NULL,
                image_dimension INTEGER,
                text_dimension INTEGER
            ) STRICT",
        )?;
    } else if application != APPLICATION_ID {
        return refuse("the file is a SQLite database of another program: name another file".into());
    } else if version > LAYOUT_VERSION {
        return refuse(format!(
            "the file has layout {version}; this Sightline reads up to {LAYOUT_VERSION}: upgrade it"
        ));
    }
    transaction.commit()?;
    Ok(())
}

/// Where a collection's rows lie. Tables are named by number, since SQLite takes `Chest` and `chest` for one name.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) rows: String,
    number: i64,
    pub(super) dimensions: Dimensions,
}

impl Tables {
    /// The table of a field's vectors: those rows only that have that side.
    pub(super) fn vectors(&self, field: VectorField) -> String {
        format!("{field}_{}", self.number)
    }
}

pub(super) fn tables(transaction: &Transaction<'_>, collection: &CollectionName) -> Result<Tables, Failure> {
    let found = transaction
        .prepare_cached("SELECT number, image_dimension, text_dimension FROM collections WHERE name = ?1")?
        .query_row([collection.as_str()], |row| {
            let number: i64 = row.get(0)?;
            let image = row.get::<_, Option<u32>>(1)?.map(|length| (VectorField::Image, length));
            let text = row.get::<_, Option<u32>>(2)?.map(|length| (VectorField::Text, length));
            Ok(Tables {
                rows: format!("rows_{number}"),
                number,
                dimensions: image.into_iter().chain(text).collect(),
            })
        })
        .optional()?;
    found.ok_or_else(|| IndexError::NoCollection(collection.clone()).into())
}

pub(super) fn describe(
    transaction: &Transaction<'_>,
    collection: &CollectionName,
) -> Result<Option<CollectionDescription>, Failure> {
    let stored = |name: &CollectionName| -> Result<Option<Vec<u8>>, Failure> {
        let mut statement = transaction.prepare_cached("SELECT description FROM collections WHERE name = ?1")?;
        Ok(statement.query_row([name.as_str()], |row| row.get(0)).optional()?)
    };
    let bytes = match (stored(collection)?, aliases::behind(transaction, collection)?) {
        (None, Some(behind)) => stored(&behind)?,
        (bytes, _) => bytes,
    };
    let read = |bytes: Vec<u8>| CollectionDescription::from_bytes(&bytes);
    bytes.map(read).transpose().map_err(|error: DocumentError| {
        IndexError::refused("describe a collection", collection, error.to_string()).into()
    })
}

pub(super) fn list(transaction: &Transaction<'_>) -> Result<Vec<CollectionName>, Failure> {
    let mut statement = transaction.prepare_cached("SELECT name FROM collections ORDER BY name")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    names.map(|found| name(found?)).collect()
}

/// A name that the file holds.
pub(super) fn name(text: String) -> Result<CollectionName, Failure> {
    CollectionName::new(text).map_err(|error| {
        Failure::Index(IndexError::Refused {
            action: "list collections",
            collection: "the file".into(),
            message: error.to_string(),
        })
    })
}

pub(super) fn create(transaction: &Transaction<'_>, description: &CollectionDescription) -> Result<(), Failure> {
    if let Some(existing) = describe(transaction, &description.name)? {
        return crate::check::same_description(description, &existing).map_err(Into::into);
    }
    crate::check::new_collection(description)?;
    let dimensions = dimensions(description);
    transaction.execute(
        "INSERT INTO collections (name, description, image_dimension, text_dimension) VALUES (?1, ?2, ?3, ?4)",
        params![
            description.name.as_str(),
            description.to_bytes(),
            dimensions.get(&VectorField::Image),
            dimensions.get(&VectorField::Text),
        ],
    )?;
    let tables = tables(transaction, &description.name)?;
    transaction.execute_batch(&super::rows::create_table(&tables))?;
    for field in dimensions.keys() {
        transaction.execute_batch(&super::search::create_table(&tables, *field))?;
    }
    Ok(())
}

pub(super) fn drop(transaction: &Transaction<'_>, collection: &CollectionName) -> Result<(), Failure> {
    let tables = match tables(transaction, collection) {
        Err(Failure::Index(IndexError::NoCollection(_))) => return Ok(()),
        other => other?,
    };
    check_unused(collection, &aliases::all(transaction)?)?;
    for field in tables.dimensions.keys() {
        transaction.execute_batch(&format!("DROP TABLE {}", tables.vectors(*field)))?;
    }
    transaction.execute_batch(&format!("DROP TABLE {}", tables.rows))?;
    transaction.execute("DELETE FROM collections WHERE number = ?1", [tables.number])?;
    Ok(())
}
