//! `sightline models`, and loading a model for the commands that need no server.

mod inspect;
mod pull;

use crate::console::Console;
use crate::error::{CliError, Outcome};
use crate::hub::HubArgs;
use clap::{Args, Subcommand};
use sightline_model_folder::{Decode, DigestCache, ModelFolder};
use sightline_models::{DeviceChoice, LoadOptions, LoadedModel, Precision};
use std::path::PathBuf;

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Load a model and tell what it is: parameters, dimensions, fingerprints, preprocessing, time and memory.
    Inspect(inspect::InspectArgs),
    /// Fetch a model from the Hugging Face Hub: safetensors and what belongs to them, never pickles.
    Pull(pull::PullArgs),
}

/// Does it.
pub(crate) async fn run(command: &ModelsCommand, console: Console) -> Outcome {
    match command {
        ModelsCommand::Inspect(args) => inspect::run(args, console).await,
        ModelsCommand::Pull(args) => pull::run(args, console).await,
    }
}

/// A model for this process alone.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct LoadArgs {
    /// The model's folder, as the Hugging Face Hub lays them out, or hf:ORG/NAME[@REVISION].
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}

/// How a model computes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ComputeArgs {
    /// auto, cpu or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Auto)]
    pub(crate) device: DeviceChoice,
    /// auto, f32, bf16 or f16. auto is what workers take: bf16 where the device computes it natively, f16 on other GPUs,
    /// f32 on other processors.
    #[arg(long, value_name = "PRECISION", default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// Threads of the model on a processor; libtorch's choice by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Keep only so many first values of each vector, where the model was trained for it (Matryoshka).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) truncate_dim: Option<u32>,
    /// exact, or fast: JPEGs much larger than what the model is shown are decoded at a part of their size. Another space.
    #[arg(long, value_name = "HOW", default_value_t = Decode::Exact)]
    pub(crate) decode: Decode,
    /// SHA-256 of a TorchScript module that may run: it is code. May be given several times.
    #[arg(long, value_name = "SHA256")]
    pub(crate) trust_torchscript: Vec<String>,
}

impl LoadArgs {
    /// Opens and loads the model.
    pub(crate) async fn load(&self, console: Console) -> Result<LoadedModel, CliError> {
        let folder = open(&self.hub.resolve(&self.model, console).await?, &self.compute)?;
        sightline_models::load(folder, &self.compute.options())
            .map_err(|error| CliError::Usage(format!("cannot load the model: {error}")))
    }
}

impl ComputeArgs {
    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions {
            device: self.device,
            precision: self.precision,
            threads: self.threads,
            trusted_torchscript: self.trust_torchscript.clone(),
        }
    }
}

/// Opens a folder; reads every byte of its weights for the fingerprints.
pub(crate) fn open(folder: &std::path::Path, compute: &ComputeArgs) -> Result<ModelFolder, CliError> {
    ModelFolder::open(folder, &DigestCache::new())
        .and_then(|folder| Ok(folder.truncated(compute.truncate_dim)?.decoding(compute.decode)))
        .map_err(|error| CliError::Usage(format!("cannot read the model: {error}")))
}
