//! `sightline-gateway`: configuration, then the service.

use clap::Parser;
use sightline_gateway::config::GatewayConfig;
use sightline_service::{ServiceArgs, ServiceInfo};
use std::process::ExitCode;

/// Answers searches over collections of pictures and texts.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The model that encodes queries: its folder, or hf:ORG/NAME[@REVISION].
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let info = ServiceInfo {
        name: "sightline-gateway",
        version: env!("CARGO_PKG_VERSION"),
    };
    let flag = |flag: &str, key: &str, value: Option<String>| value.map(|value| (flag.into(), key.into(), value));
    let flags = [
        flag("--listen", "listen.address", args.listen),
        flag("--model", "model.folder", args.model),
    ];
    sightline_service::run::<GatewayConfig, _, _, _>(
        info,
        &args.service,
        flags.into_iter().flatten().collect(),
        sightline_gateway::run,
    )
}
