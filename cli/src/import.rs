//! `sightline import`: loads vectors that were made elsewhere, and watches it.

use crate::console::Console;
use crate::error::{CliError, Outcome};
use crate::index::IndexArg;
use crate::ingest::dataset::{below, columns, name_of, root_url};
use crate::ingest::model::Model;
use crate::ingest::shards::ShardArgs;
use crate::ingest::{FieldArg, created, random_id, send};
use crate::servers::Servers;
use crate::text::resource;
use clap::Args;
use sightline_proto::v1;
use std::collections::HashMap;

/// Load vectors that were made elsewhere: numpy arrays or columns beside a table, or what clip-retrieval wrote.
///
/// A row of an array belongs to the table's row in the same place. What is loaded already and has not changed is not
/// loaded again.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all items are loaded; 3 the run ended and some items failed; 4 it failed or was \
                        cancelled; 2 wrong usage; 1 any other failure. Ctrl-C ends the watching, not the run."
)]
pub(crate) struct ImportArgs {
    /// Where the objects lie: s3://bucket/prefix, or a folder where the server allows it.
    #[arg(long, value_name = "URL|DIR")]
    root: String,
    /// The dataset's name, a part of every row's key; the root's last part by default.
    #[arg(long = "dataset", value_name = "NAME")]
    name: Option<String>,
    /// The table with a row an item, below the root: .csv, .jsonl or .parquet. Or a folder of .parquet tables with vectors in
    /// columns, with a slash at its end; "." for the root itself.
    #[arg(long, value_name = "PATH", required_unless_present = "clip_retrieval")]
    table: Option<String>,
    /// Which column of the table means what: `key=id,image=path,text=report,attributes=age;sex`. Known are key, image,
    /// text, image_id, uid, labels and attributes.
    #[arg(long, value_name = "MEANING=COLUMN,…", requires = "table")]
    columns: Option<String>,
    /// The .npy file with the pictures' vectors, below the root.
    #[arg(long, value_name = "PATH", requires = "table")]
    image_array: Option<String>,
    /// The .npy file with the texts' vectors, below the root. A row of zeros: no text.
    #[arg(long, value_name = "PATH", requires = "table")]
    text_array: Option<String>,
    /// The table's column with the pictures' vectors, in place of an array.
    #[arg(long, value_name = "COLUMN", requires = "table", conflicts_with = "image_array")]
    image_column: Option<String>,
    /// The table's column with the texts' vectors, in place of an array.
    #[arg(long, value_name = "COLUMN", requires = "table", conflicts_with = "text_array")]
    text_column: Option<String>,
    /// The folder below the root that `clip-retrieval inference` wrote, "." for the root itself, in place of a table.
    #[arg(long, value_name = "DIR", conflicts_with = "table")]
    clip_retrieval: Option<String>,
    /// Scale vectors of any length to length 1. Without it, one of another length fails.
    #[arg(long)]
    normalize: bool,
    /// Load only these sides.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    fields: Vec<FieldArg>,
    /// The collection that the rows go to; it is created where it is not there.
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// The model that made the vectors: its name, or its folder, whose fingerprints the vectors are then declared to
    /// have, so that a gateway with this model searches among them by picture and text.
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// A fingerprint that the vectors of a side are declared to have, where the model's folder is not at hand.
    #[arg(long, value_name = "FIELD=HEX")]
    fingerprint: Vec<String>,
    /// Index of a collection that is created: `IVF_FLAT,nlist=4096`, `HNSW,m=16,ef_construction=200`, `FLAT`, … By default
    /// IVF_FLAT with 128 lists, which is meant for fewer than 100,000 rows.
    #[arg(long, value_name = "KIND[,NAME=N…]")]
    index: Option<IndexArg>,
    #[command(flatten)]
    shards: ShardArgs,
    /// End the run when more items failed than this.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    max_failures: Option<i64>,
    /// Your name for this request: repeating it finds the run that it made. Random by default.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only create the run: print it and end.
    #[arg(long)]
    no_wait: bool,
}

/// Creates the run and watches it.
pub(crate) async fn run(args: &ImportArgs, servers: &Servers, console: Console) -> Outcome {
    let run = send(servers, request(args).await?).await?;
    created(&run, args.no_wait, servers, console).await
}

async fn request(args: &ImportArgs) -> Result<v1::CreateRunRequest, CliError> {
    let mut model = match &args.model {
        Some(given) => Model::of(given, None, None).await?,
        None => Model {
            name: String::new(),
            fingerprints: HashMap::new(),
            dimensions: HashMap::new(),
        },
    };
    for given in &args.fingerprint {
        let (field, print) = declared(given)?;
        // A fingerprint in place of the folder's is of vectors whose length the folder does not say.
        if model.fingerprints.get(&field) != Some(&print) {
            model.dimensions.remove(&field);
        }
        model.fingerprints.insert(field, print);
    }
    let fields: Vec<String> = args.fields.iter().map(|field| field.name()).collect();
    let dataset = dataset(args)?;
    // What a side has that is not loaded is not declared.
    let sides = sides(&dataset, &fields);
    model.fingerprints.retain(|field, _| sides.contains(field));
    model.dimensions.retain(|field, _| sides.contains(field));
    let spec = v1::RunSpec {
        kind: v1::JobKind::Import.into(),
        dataset: Some(dataset),
        collection: resource("collections", &args.collection),
        model: model.name,
        fingerprints: model.fingerprints,
        fields,
        index: args.index.as_ref().map(IndexArg::to_api),
        shard_items: args.shards.shard_items.unwrap_or_default(),
        window_shards: args.shards.window_shards.unwrap_or_default(),
        max_failures: args.max_failures.unwrap_or_default(),
        ..v1::RunSpec::default()
    };
    Ok(v1::CreateRunRequest {
        spec: Some(spec),
        request_id: args.request_id.clone().unwrap_or_else(random_id),
        validate_only: false,
        dimensions: model.dimensions,
    })
}

/// `image=…` or `text_embedding=…`.
fn declared(given: &str) -> Result<(String, String), CliError> {
    use clap::ValueEnum;
    let wrong = |why: &str| CliError::Usage(format!("cannot use --fingerprint {given:?}: {why}"));
    let (field, print) = given.split_once('=').ok_or_else(|| wrong("it is not FIELD=HEX"))?;
    let field = FieldArg::from_str(field, true).map_err(|_| wrong("the field is neither image nor text"))?;
    Ok((field.name(), print.to_owned()))
}

fn sides(dataset: &v1::Dataset, fields: &[String]) -> Vec<String> {
    let both = || vec![FieldArg::Image.name(), FieldArg::Text.name()];
    if !fields.is_empty() {
        return fields.to_vec();
    }
    let Some(v1::dataset::Source::Embeddings(source)) = &dataset.source else {
        return both();
    };
    let has = [
        !source.image_array.is_empty() || !source.image_column.is_empty(),
        !source.text_array.is_empty() || !source.text_column.is_empty(),
    ];
    both()
        .into_iter()
        .zip(has)
        .filter_map(|(field, has)| has.then_some(field))
        .collect()
}

/// The path of a table, or of a folder of tables, which has a slash at its end.
fn table(root: &str, path: &str) -> Result<String, CliError> {
    if path != "." && !path.ends_with('/') {
        return below(root, path, "--table");
    }
    let folder = match path.trim_end_matches('/') {
        "." | "" => String::new(),
        folder => below(root, folder, "--table")?,
    };
    Ok(match folder.as_str() {
        "" => "./".to_owned(),
        folder => format!("{folder}/"),
    })
}

fn dataset(args: &ImportArgs) -> Result<v1::Dataset, CliError> {
    use v1::dataset::Source;
    let root = root_url(&args.root)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&root)?,
    };
    let path = |given: &Option<String>, flag: &str| {
        let path = given.as_deref().map(|path| below(&root, path, flag)).transpose()?;
        Ok::<_, CliError>(path.unwrap_or_default())
    };
    let source = match &args.clip_retrieval {
        Some(folder) => Source::ClipRetrieval(v1::ClipRetrievalSource {
            folder: match folder.trim_end_matches('/') {
                "." | "" => String::new(),
                folder => below(&root, folder, "--clip-retrieval")?,
            },
            normalize: args.normalize,
        }),
        None => Source::Embeddings(v1::EmbeddingsSource {
            path: args
                .table
                .as_deref()
                .map_or(Ok(String::new()), |path| table(&root, path))?,
            columns: args.columns.as_deref().map(columns).transpose()?,
            image_array: path(&args.image_array, "--image-array")?,
            text_array: path(&args.text_array, "--text-array")?,
            image_column: args.image_column.clone().unwrap_or_default(),
            text_column: args.text_column.clone().unwrap_or_default(),
            normalize: args.normalize,
            ..v1::EmbeddingsSource::default()
        }),
    };
    Ok(v1::Dataset {
        dicom: None,
        name,
        source: Some(source),
        root,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: ImportArgs,
    }

    #[tokio::test]
    async fn window_and_index_reach_the_specification() {
        let given = "import --root s3://bucket/a --table t.csv --image-array i.npy --collection a --window-shards 400 \
                     --index HNSW,m=32";
        let program = Program::try_parse_from(given.split_whitespace()).unwrap();
        let asked = request(&program.args).await.unwrap().spec.unwrap();
        assert_eq!(asked.window_shards, 400);
        assert_eq!(asked.index.unwrap().m, Some(32));
    }
}
