//! From the arguments to the command, and from its end to the exit code.

use crate::args::{Cli, Command};
use crate::console::{Console, warn};
use crate::error::{CliError, Outcome};
use crate::servers::Servers;
use crate::{collections, ingest, items, runs, search, worker};
use clap::Parser;
use std::process::ExitCode;

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match client(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !matches!(error, CliError::OutputClosed) {
                warn(&format!("sightline: {error}"));
            }
            error.code()
        }
    }
}

fn client(cli: Cli) -> Outcome {
    let servers = Servers::of(&cli.servers)?;
    let console = Console::of_process(cli.json);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Ingest(args) => ingest::run(&args, &servers, console).await,
            Command::Runs(command) => runs::run(command, &servers, console).await,
            Command::Search(args) => search::run(&args, &servers, console).await,
            Command::Items(command) => items::run(command, &servers, console).await,
            Command::Collections(command) => collections::run(command, &servers, console).await,
            Command::Worker(command) => worker::run(command, &servers, console).await,
        }
    });
    // A question to a person may still be waiting for an answer.
    runtime.shutdown_background();
    outcome
}
