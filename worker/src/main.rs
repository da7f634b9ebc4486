//! `sightline-worker`: configuration, the seams, run, orderly end; and, as `sightline-worker engine`, its own engine.

use clap::{Parser, Subcommand};
use sightline_service::{ServiceArgs, ServiceInfo, run};
use sightline_worker::embedding::{EncoderConfig, serve_encoder};
use sightline_worker::{WorkerConfig, run_engine, serve};
use std::process::ExitCode;

/// Takes shards of runs from the queue and makes rows of them.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The model that this worker serves: its folder, or hf:ORG/NAME[@REVISION].
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The devices that it computes on: auto for every CUDA device, or their numbers, 0,1.
    #[arg(long, value_name = "LIST")]
    devices: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a model's vectors by the Embedding service, and nothing else: no broker and no index is needed.
    Encoder {
        #[command(flatten)]
        service: ServiceArgs,
        /// Address and port to listen on.
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
        /// The model: its folder, or hf:ORG/NAME[@REVISION].
        #[arg(long, value_name = "MODEL")]
        model: Option<String>,
    },
    /// Run an engine on stdin and stdout. Workers start it themselves.
    #[command(hide = true)]
    Engine,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Some(Command::Engine) => run_engine(),
        Some(Command::Encoder { service, listen, model }) => {
            run::<EncoderConfig, _, _, _>(info("sightline-encoder"), &service, flags(listen, model), serve_encoder)
        }
        None => run::<WorkerConfig, _, _, _>(
            info("sightline-worker"),
            &args.service,
            [
                flags(args.listen, args.model),
                flag("--devices", "model.devices", args.devices),
            ]
            .concat(),
            serve,
        ),
    }
}

fn info(name: &'static str) -> ServiceInfo {
    ServiceInfo {
        name,
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// Flags that stand for keys of the configuration.
fn flags(listen: Option<String>, model: Option<String>) -> Vec<(String, String, String)> {
    [
        flag("--listen", "listen.address", listen),
        flag("--model", "model.folder", model),
    ]
    .concat()
}

fn flag(flag: &str, key: &str, value: Option<String>) -> Vec<(String, String, String)> {
    value
        .map(|value| (flag.into(), key.into(), value))
        .into_iter()
        .collect()
}
