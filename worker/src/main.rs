//! `sightline-worker`: configuration, the seams, run, orderly end; and, as `sightline-worker engine`, its own engine.

use clap::{Parser, Subcommand};
use sightline_service::{ServiceArgs, ServiceInfo, run};
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
    /// Folder of the model that this worker serves.
    #[arg(long, value_name = "FOLDER")]
    model: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an engine on stdin and stdout. Workers start it themselves.
    #[command(hide = true)]
    Engine,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::Engine) = args.command {
        return run_engine();
    }
    let info = ServiceInfo {
        name: "sightline-worker",
        version: env!("CARGO_PKG_VERSION"),
    };
    let flag = |flag: &str, key: &str, value: Option<String>| value.map(|value| (flag.into(), key.into(), value));
    let flags = [
        flag("--listen", "listen.address", args.listen),
        flag("--model", "model.folder", args.model),
    ];
    run::<WorkerConfig, _, _, _>(info, &args.service, flags.into_iter().flatten().collect(), serve)
}
