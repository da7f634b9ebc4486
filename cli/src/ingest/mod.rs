//! `sightline ingest`: creates a run and watches it.

pub(crate) mod dataset;
mod limit;
pub(crate) mod model;
mod preview;
mod previews;
pub(crate) mod shards;

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::index::IndexArg;
use crate::servers::Servers;
use crate::text::{id_of, resource};
use crate::{json, watch};
use clap::{Args, ValueEnum};
use dataset::DatasetArgs;
use limit::{FailureLimit, Percent};
use model::Model;
use previews::PreviewArgs;
use rand::RngCore;
use shards::ShardArgs;
use sightline_core::VectorField;
use sightline_model_folder::Decode;
use sightline_proto::v1;

/// Index a dataset and watch it happen.
///
/// What is indexed already and has not changed is not read again: repeat the command whenever the dataset grew.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all items are indexed; 3 the run ended and some items failed; 4 it failed or \
                        was cancelled; 2 wrong usage; 1 any other failure. Ctrl-C ends the watching, not the run."
)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// The collection that the rows go to; it is created where it is not there.
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// The model: a name as the workers have it, its folder, or hf:ORG/NAME[@REVISION] where the workers were given that.
    /// Of a folder, or a model that was pulled on this machine, the fingerprints are sent, and a worker with
    /// another model of that name refuses the run.
    #[arg(long, value_name = "NAME|DIR")]
    model: String,
    /// Of a model's folder: the workers keep only so many first values of each vector (their `model.truncate_dim`).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    truncate_dim: Option<u32>,
    /// Of a model's folder: the workers decode pictures so, exact or fast (their `model.decode`); exact by default.
    #[arg(long, value_name = "HOW")]
    decode: Option<Decode>,
    /// Fill only these vector fields; all that the model has by default.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    fields: Vec<FieldArg>,
    /// Index of a collection that is created: `IVF_FLAT,nlist=4096`, `HNSW,m=16,ef_construction=200`, `FLAT`, … By default
    /// IVF_FLAT with 128 lists, which is meant for fewer than 100,000 rows.
    #[arg(long, value_name = "KIND[,NAME=N…]")]
    index: Option<IndexArg>,
    #[command(flatten)]
    shards: ShardArgs,
    /// End the run when more items failed than this: a number, or a share such as 5%.
    #[arg(long, value_name = "N|P%")]
    max_failures: Option<FailureLimit>,
    /// When all items have ended, delete the collection's rows of this dataset that it holds no items for any more.
    #[arg(long)]
    mirror: bool,
    /// Delete nothing, and let the run fail, where more than this share of the dataset's rows would go; 50% by default.
    #[arg(long, value_name = "P%", requires = "mirror")]
    mirror_limit: Option<Percent>,
    #[command(flatten)]
    previews: PreviewArgs,
    /// Your name for this request: repeating it finds the run that it made. Random by default.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only create the run: print it and end.
    #[arg(long)]
    no_wait: bool,
    /// Only read the dataset and count what the run would do: nothing is stored, queued or written to the index.
    #[arg(long, conflicts_with_all = ["no_wait", "request_id"])]
    dry_run: bool,
}

/// A vector field as a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FieldArg {
    /// Vectors of pictures.
    #[value(alias = "image_embedding")]
    Image,
    /// Vectors of texts.
    #[value(alias = "text_embedding")]
    Text,
}

impl FieldArg {
    /// Its name in the API.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Image => VectorField::Image,
            Self::Text => VectorField::Text,
        }
        .as_str()
        .to_owned()
    }
}

/// Creates the run and watches it.
pub(crate) async fn run(args: &IngestArgs, servers: &Servers, console: Console) -> Outcome {
    let spec = spec(args).await?;
    if args.dry_run {
        return preview::run(spec, servers, console).await;
    }
    let request_id = args.request_id.clone().unwrap_or_else(random_id);
    let run = create(servers, spec, request_id).await?;
    created(&run, args.no_wait, servers, console).await
}

/// Watches a new run to its end, or only names it.
pub(crate) async fn created(run: &v1::Run, no_wait: bool, servers: &Servers, console: Console) -> Outcome {
    if no_wait {
        if console.is_json() {
            console.json(&json::of(run)?)?;
        } else {
            console.say(&run.name)?;
            console.note(&format!(
                "watch it with `sightline runs watch {}`",
                id_of(&run.name, "runs")
            ));
        }
        return Ok(Exit::Success);
    }
    watch::until_end(servers, &run.name, console).await
}

/// Creates a run.
pub(crate) async fn create(servers: &Servers, spec: v1::RunSpec, request_id: String) -> Result<v1::Run, CliError> {
    let request = v1::CreateRunRequest {
        spec: Some(spec),
        request_id,
        ..v1::CreateRunRequest::default()
    };
    send(servers, request).await
}

/// Creates the run of a request.
pub(crate) async fn send(servers: &Servers, request: v1::CreateRunRequest) -> Result<v1::Run, CliError> {
    let answer = servers.coordinator().await?.create_run(request).await;
    Ok(answer
        .map_err(|status| CliError::call("create the run", &status))?
        .into_inner())
}

async fn spec(args: &IngestArgs) -> Result<v1::RunSpec, CliError> {
    let dataset = args.dataset.to_api()?;
    let (max_failures, max_failure_share) = match args.max_failures {
        Some(FailureLimit::Items(items)) => (items, 0.0),
        Some(FailureLimit::Share(Percent(share))) => (0, share),
        None => (0, 0.0),
    };
    let max_share = args.mirror_limit.map_or(0.0, |Percent(share)| share);
    let Model { name, fingerprints, .. } = Model::of(&args.model, args.truncate_dim, args.decode).await?;
    Ok(v1::RunSpec {
        kind: v1::JobKind::Embed.into(),
        dataset: Some(dataset),
        collection: resource("collections", &args.collection),
        model: name,
        fingerprints,
        fields: args.fields.iter().map(|field| field.name()).collect(),
        index: args.index.as_ref().map(IndexArg::to_api),
        shard_items: args.shards.shard_items.unwrap_or_default(),
        window_shards: args.shards.window_shards.unwrap_or_default(),
        max_failures,
        max_failure_share,
        previews: args.previews.to_api(),
        mirror: args.mirror.then_some(v1::run_spec::Mirror { max_share }),
        ..v1::RunSpec::default()
    })
}

/// 128 random bits, in hexadecimal digits.
pub(crate) fn random_id() -> String {
    let mut bits = [0; 16];
    rand::rng().fill_bytes(&mut bits);
    bits.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: IngestArgs,
    }

    fn parse(more: &[&str]) -> Result<IngestArgs, clap::Error> {
        let usual = ["ingest", "--root", "s3://bucket/a", "--collection", "a", "--model", "m"];
        Program::try_parse_from(usual.iter().chain(more)).map(|program| program.args)
    }

    #[tokio::test]
    async fn shards_window_and_index_reach_the_specification_and_are_the_coordinators_choice_where_not_given() {
        let given = [
            "--shard-items",
            "64",
            "--window-shards",
            "400",
            "--index",
            "ivf_flat,nlist=4096",
        ];
        let asked = spec(&parse(&given).unwrap()).await.unwrap();
        assert_eq!((asked.shard_items, asked.window_shards), (64, 400));
        let index = asked.index.unwrap();
        assert_eq!((index.r#type.as_str(), index.nlist), ("IVF_FLAT", Some(4096)));
        let usual = spec(&parse(&[]).unwrap()).await.unwrap();
        assert_eq!((usual.shard_items, usual.window_shards, usual.index), (0, 0, None));
    }

    #[test]
    fn a_window_or_an_index_that_makes_no_sense_is_refused() {
        for wrong in [
            ["--window-shards", "0"],
            ["--window-shards", "100001"],
            ["--index", "IVF_FLAT,lists=3"],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }
}
