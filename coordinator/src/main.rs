//! `sightline-coordinator`: configuration, the seams, run, orderly end.

use clap::Parser;
use sightline_coordinator::{CoordinatorConfig, serve};
use sightline_service::{ServiceArgs, ServiceInfo, run};
use std::process::ExitCode;

/// Plans and tracks Sightline's runs.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let info = ServiceInfo {
        name: "sightline-coordinator",
        version: env!("CARGO_PKG_VERSION"),
    };
    let listen = args
        .listen
        .map(|value| ("--listen".to_owned(), "listen.address".to_owned(), value));
    run::<CoordinatorConfig, _, _, _>(info, &args.service, listen.into_iter().collect(), serve)
}
