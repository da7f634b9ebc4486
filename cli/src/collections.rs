//! `sightline collections`.

mod words;

use crate::ask::ask;
use crate::console::Console;
use crate::duplicates::{self, DedupeArgs, DuplicatesArgs};
use crate::error::{CliError, Exit, Outcome};
use crate::index::IndexArg;
use crate::ingest::FieldArg;
use crate::runs::{align_right, plain_table};
use crate::servers::Servers;
use crate::text::{id_of, plain, resource};
use crate::{aliases, export, json, statistics};
use clap::{Subcommand, ValueEnum};
use sightline_proto::v1;
use words::{counted, rows, text};

const PAGE: i32 = 1000;

/// What can be done with collections.
#[derive(Debug, Subcommand)]
pub(crate) enum CollectionsCommand {
    /// List collections by name.
    List,
    /// Show a collection: rows, vector fields, models.
    Get {
        /// Its name.
        collection: String,
    },
    /// List rows of which the pictures are the same to the byte.
    Duplicates(DuplicatesArgs),
    /// Of rows with the same picture delete all but the first by key. A later run over the dataset indexes them anew.
    Dedupe(DedupeArgs),
    /// Make an empty collection, for choosing its index. Runs make theirs themselves.
    Create {
        /// Its name: letters, digits and `_`.
        collection: String,
        /// A vector field: `image=1152` (the dimension), `text=1152:medsiglip-448` (and the model's name),
        /// `text=1152:medsiglip-448:HEX` (and the fingerprint). Repeat it for both. The served model's fields by default.
        #[arg(long, value_name = "FIELD=DIM[:MODEL[:HEX]]")]
        field: Vec<String>,
        /// The index: `IVF_FLAT,nlist=1024`, `HNSW,m=16,ef_construction=200`, `FLAT`, `IVF_SQ8`, `IVF_PQ,m=8`, `DISKANN`.
        #[arg(long, value_name = "KIND[,NAME=N…]")]
        index: Option<IndexArg>,
        /// Without --index: rows that are expected. IVF_FLAT with 128 lists below 100,000, 1024 below 1,000,000, else 4096.
        #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "index")]
        rows: i64,
    },
    /// Count labels, datasets and the values of attributes.
    Statistics {
        /// Its name.
        collection: String,
        /// Only items for which this holds: `attributes.age > 60`.
        #[arg(long, value_name = "FILTER", default_value = "")]
        filter: String,
        /// Most frequent values that are shown in each place.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i32).range(1..=1000))]
        top: i32,
    },
    /// Write a collection's items of one dataset into files, which `sightline import` reads.
    Export(export::ExportArgs),
    /// Point an alias at a collection: searches name the alias, and another collection takes over in one step.
    Alias {
        /// The alias: letters, digits and `_`, and no collection's name.
        alias: String,
        /// The collection.
        #[arg(required_unless_present = "delete", conflicts_with = "delete")]
        collection: Option<String>,
        /// Forget the alias. The collection stays.
        #[arg(long)]
        delete: bool,
    },
    /// List aliases.
    Aliases,
    /// Bring a collection into the index's memory.
    Load {
        /// Its name.
        collection: String,
    },
    /// Take a collection out of the index's memory. The next search brings it back, which takes as long as loading it.
    Release {
        /// Its name.
        collection: String,
    },
    /// Delete a collection with all its rows. Only a new run brings them back.
    Delete {
        /// Its name.
        collection: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(crate) async fn run(command: CollectionsCommand, servers: &Servers, console: Console) -> Outcome {
    match command {
        CollectionsCommand::List => list(servers, console).await,
        CollectionsCommand::Get { collection } => show(&get(&collection, servers).await?, console),
        CollectionsCommand::Create {
            collection,
            field,
            index,
            rows,
        } => {
            let request = v1::CreateCollectionRequest {
                collection_id: id_of(&collection, "collections").to_owned(),
                fields: field.iter().map(|field| field_spec(field)).collect::<Result<_, _>>()?,
                index: index.as_ref().map(IndexArg::to_api),
                expected_rows: rows,
                validate_only: false,
            };
            let answer = servers.search().await?.create_collection(request).await;
            let made = answer.map_err(|status| CliError::call("create the collection", &status))?;
            show(&made.into_inner(), console)
        }
        CollectionsCommand::Duplicates(args) => duplicates::list(&args, servers, console).await,
        CollectionsCommand::Dedupe(args) => duplicates::dedupe(&args, servers, console).await,
        CollectionsCommand::Statistics {
            collection,
            filter,
            top,
        } => statistics::run(&collection, &filter, top, servers, console).await,
        CollectionsCommand::Export(args) => export::run(&args, servers, console).await,
        CollectionsCommand::Alias {
            alias,
            collection: Some(collection),
            ..
        } => aliases::set(&alias, &collection, servers, console).await,
        CollectionsCommand::Alias { alias, .. } => aliases::delete(&alias, servers, console).await,
        CollectionsCommand::Aliases => aliases::list(servers, console).await,
        CollectionsCommand::Load { collection } => {
            let name = resource("collections", &collection);
            let mut client = servers.search().await?;
            let answer = client.load_collection(v1::LoadCollectionRequest { name }).await;
            let loaded = answer.map_err(|status| CliError::call("load the collection", &status))?;
            show(&loaded.into_inner(), console)
        }
        CollectionsCommand::Release { collection } => {
            let name = resource("collections", &collection);
            let mut client = servers.search().await?;
            let answer = client.release_collection(v1::ReleaseCollectionRequest { name }).await;
            let released = answer.map_err(|status| CliError::call("release the collection", &status))?;
            show(&released.into_inner(), console)
        }
        CollectionsCommand::Delete { collection, yes } => delete(&collection, yes, servers, console).await,
    }
}

fn show(collection: &v1::Collection, console: Console) -> Outcome {
    if console.is_json() {
        console.json(&json::of(collection)?)?;
    } else {
        console.say(&text(collection))?;
    }
    Ok(Exit::Success)
}

/// `image=1152:medsiglip-448:HEX`.
fn field_spec(given: &str) -> Result<v1::create_collection_request::VectorFieldSpec, CliError> {
    let wrong = |why: &str| CliError::Usage(format!("cannot use --field {given:?}: {why}"));
    let (field, rest) = given.split_once('=').ok_or_else(|| wrong("it is not FIELD=DIM"))?;
    let field = FieldArg::from_str(field, true).map_err(|_| wrong("the field is neither image nor text"))?;
    let mut parts = rest.splitn(3, ':');
    let dimension = parts.next().and_then(|number| number.parse().ok());
    Ok(v1::create_collection_request::VectorFieldSpec {
        field: field.name(),
        dimension: dimension.ok_or_else(|| wrong("the dimension is no number"))?,
        model: parts.next().unwrap_or_default().to_owned(),
        fingerprint: parts.next().unwrap_or_default().to_owned(),
    })
}

pub(crate) async fn get(collection: &str, servers: &Servers) -> Result<v1::Collection, CliError> {
    let request = v1::GetCollectionRequest {
        name: resource("collections", collection),
    };
    let answer = servers.search().await?.get_collection(request).await;
    Ok(answer
        .map_err(|status| CliError::call("read the collection", &status))?
        .into_inner())
}

async fn list(servers: &Servers, console: Console) -> Outcome {
    let mut client = servers.search().await?;
    let (mut collections, mut page_token) = (Vec::new(), String::new());
    loop {
        let answer = client
            .list_collections(v1::ListCollectionsRequest {
                page_size: PAGE,
                page_token,
            })
            .await;
        let page = answer
            .map_err(|status| CliError::call("list collections", &status))?
            .into_inner();
        collections.extend(page.collections);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if console.is_json() {
        for collection in &collections {
            console.json(&json::of(collection)?)?;
        }
        return Ok(Exit::Success);
    }
    if collections.is_empty() {
        console.note("there are no collections");
        return Ok(Exit::Success);
    }
    let mut table = plain_table(console);
    table.set_header(["COLLECTION", "ROWS", "PICTURES", "TEXTS", "MODEL", "INDEX"]);
    for collection in &collections {
        let mut models: Vec<String> = collection.fields.iter().map(|field| plain(&field.model)).collect();
        models.dedup();
        table.add_row([
            plain(id_of(&collection.name, "collections")),
            counted(collection, collection.row_count),
            counted(collection, collection.image_count),
            counted(collection, collection.text_count),
            models.join(", "),
            plain(&collection.index),
        ]);
    }
    for column in 1..4 {
        align_right(&mut table, column);
    }
    console.say(&table.trim_fmt())?;
    Ok(Exit::Success)
}

async fn delete(collection: &str, yes: bool, servers: &Servers, console: Console) -> Outcome {
    if !yes {
        let described = get(collection, servers).await?;
        let name = id_of(&described.name, "collections");
        ask(name, &format!("{name} with {}", rows(&described))).await?;
    }
    let request = v1::DeleteCollectionRequest {
        name: resource("collections", collection),
    };
    let answer = servers.search().await?.delete_collection(request).await;
    answer.map_err(|status| CliError::call("delete the collection", &status))?;
    if console.is_json() {
        console.json(&serde_json::json!({ "deleted": resource("collections", collection) }))?;
    } else {
        console.say(&format!("deleted {}", id_of(collection, "collections")))?;
    }
    Ok(Exit::Success)
}
