//! From the arguments to the command, and from its end to the exit code.

use crate::args::{Cli, ClientCommand, Command, ServerArgs};
use crate::console::{Console, warn};
use crate::error::{CliError, Outcome};
use crate::servers::Servers;
use crate::{apply, collections, import, ingest, items, runs, search, top, worker};
use clap::Parser;
use std::process::ExitCode;

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { servers, json, command } = Cli::parse();
    let console = Console::of_process(json);
    match command {
        #[cfg(feature = "local")]
        Command::Engine => sightline_worker::run_engine(),
        #[cfg(feature = "local")]
        Command::Standalone(args) => crate::standalone::run(&args, console),
        #[cfg(feature = "local")]
        Command::Demo(args) => exit(runtime().and_then(|runtime| {
            let outcome = runtime.block_on(crate::demo::run(&args, console));
            runtime.shutdown_background();
            outcome
        })),
        #[cfg(feature = "local")]
        Command::Embed(args) => exit(runtime().and_then(|runtime| runtime.block_on(crate::embed::run(&args, console)))),
        #[cfg(feature = "local")]
        Command::Models(command) => {
            exit(runtime().and_then(|runtime| runtime.block_on(crate::models::run(&command, console))))
        }
        Command::Inspect(args) => {
            exit(runtime().and_then(|runtime| runtime.block_on(crate::inspect::run(&args, console))))
        }
        Command::Client(command) => exit(client(command, &servers, console)),
    }
}

fn exit(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !matches!(error, CliError::OutputClosed) {
                warn(&format!("sightline: {error}"));
            }
            error.code()
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| CliError::Failed(format!("cannot start the runtime: {error}")))
}

fn client(command: ClientCommand, servers: &ServerArgs, console: Console) -> Outcome {
    let servers = Servers::of(servers)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        match command {
            ClientCommand::Ingest(args) => ingest::run(&args, &servers, console).await,
            ClientCommand::Import(args) => import::run(&args, &servers, console).await,
            ClientCommand::Apply(args) => apply::run(&args, &servers, console).await,
            ClientCommand::Runs(command) => runs::run(command, &servers, console).await,
            ClientCommand::Search(args) => search::run(&args, &servers, console).await,
            ClientCommand::Items(command) => items::run(command, &servers, console).await,
            ClientCommand::Collections(command) => collections::run(command, &servers, console).await,
            ClientCommand::Top(args) => top::run(&args, &servers, console).await,
            ClientCommand::Worker(command) => worker::run(command, &servers, console).await,
        }
    });
    // A question to a person may still be waiting for an answer.
    runtime.shutdown_background();
    outcome
}
