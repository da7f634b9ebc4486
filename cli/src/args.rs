//! The arguments of the program.

use crate::inspect::InspectArgs;
use crate::servers::DEFAULT_SERVER;
use crate::{apply, collections, import, ingest, items, runs, search, top, worker};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit codes: 0 success; 1 failure, as of a server that is away; 2 wrong usage; 3 a run that \
                          ended with some items failed; 4 a run that failed or was cancelled.";

/// Turns image datasets into a searchable vector index, and searches it.
#[derive(Debug, Parser)]
#[command(name = "sightline", version, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    /// For programs: one JSON object (or JSON lines) on standard output and nothing else.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the services are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct ServerArgs {
    /// The server, for all services that have no flag of their own.
    #[arg(long, global = true, value_name = "URL", env = "SIGHTLINE_SERVER", default_value = DEFAULT_SERVER)]
    pub(crate) server: String,
    /// The coordinator, where it is another server.
    #[arg(long, global = true, value_name = "URL", env = "SIGHTLINE_COORDINATOR")]
    pub(crate) coordinator: Option<String>,
    /// The worker, where it is another server.
    #[arg(long, global = true, value_name = "URL", env = "SIGHTLINE_WORKER")]
    pub(crate) worker: Option<String>,
    /// The gateway, where it is another server.
    #[arg(long, global = true, value_name = "URL", env = "SIGHTLINE_GATEWAY")]
    pub(crate) gateway: Option<String>,
    /// For https: the certificates to trust, in PEM, in place of the system's.
    #[arg(long, global = true, value_name = "FILE", env = "SIGHTLINE_CA_CERT")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// For https: the name in the server's certificate, where it is not the URL's host, as behind a forwarded port.
    #[arg(long, global = true, value_name = "NAME", env = "SIGHTLINE_TLS_NAME")]
    pub(crate) tls_name: Option<String>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Client(ClientCommand),
    /// Pictures: format, size, mode, orientation, and what is done to them. Needs no server.
    Inspect(InspectArgs),
    /// Run all services in this process, on a data folder.
    #[cfg(feature = "local")]
    Standalone(Box<crate::standalone::StandaloneArgs>),
    /// Index pictures with a model and search them: shows all of it in one command.
    #[cfg(feature = "local")]
    Demo(Box<crate::demo::DemoArgs>),
    /// Embed pictures or texts into a .npy file; no server is needed.
    #[cfg(feature = "local")]
    Embed(Box<crate::embed::EmbedArgs>),
    /// Models: what a folder holds, and fetching them from the Hugging Face Hub.
    #[cfg(feature = "local")]
    #[command(subcommand)]
    Models(crate::models::ModelsCommand),
    /// The process that a worker starts.
    #[cfg(feature = "local")]
    #[command(hide = true)]
    Engine,
}

/// What can be asked of servers.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Index a dataset and watch it happen.
    Ingest(Box<ingest::IngestArgs>),
    /// Load vectors that were made elsewhere, and watch it happen.
    Import(Box<import::ImportArgs>),
    /// Create the run that a file describes, and watch it.
    Apply(apply::ApplyArgs),
    /// Runs: list, get, watch, cancel, retry, verify, resume, and what failed.
    #[command(subcommand)]
    Runs(runs::RunsCommand),
    // Its help, with the arithmetic, is that of its arguments.
    Search(Box<search::SearchArgs>),
    /// Items of a collection.
    #[command(subcommand)]
    Items(items::ItemsCommand),
    /// Collections: list, get, create, count, export, delete; aliases; duplicates.
    #[command(subcommand)]
    Collections(collections::CollectionsCommand),
    /// A worker: what it does, and to stop it taking work.
    #[command(subcommand)]
    Worker(worker::WorkerCommand),
    /// Show live which stage of workers is the one that the others wait for.
    Top(top::TopArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_exit_codes_are_in_the_help() {
        for help in [Cli::command().render_long_help(), Cli::command().render_help()] {
            // The help is broken into lines by the terminal's width.
            let words: Vec<String> = help.to_string().split_whitespace().map(str::to_owned).collect();
            let told = "3 a run that ended with some items failed; 4 a run that failed or was cancelled";
            assert!(words.join(" ").contains(told), "{help}");
        }
    }
}
