//! `sightline standalone`.

use super::{StandaloneConfig, start};
use crate::console::Console;
use anyhow::Context as _;
use clap::Args;
use sightline_service::{Context, ServiceArgs, ServiceInfo};
use sightline_worker::{ENGINE_COMMAND, EngineCommand, usual_engine_memory};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Run coordinator, worker and gateway in this process, on a data folder.
///
/// Runs that had not ended go on at the next start. SIGTERM or Ctrl-C ends it in order, a second one at once.
#[derive(Debug, Args)]
pub(crate) struct StandaloneArgs {
    /// The folder of everything durable: runs and the index; .sightline by default.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The model's folder, or hf:ORG/NAME[@REVISION]. Without one only imports are worked on, other runs wait, and only
    /// items and vectors can be searched with.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Where all services listen; 127.0.0.1:7300 by default. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
}

/// The engine of this program.
pub(crate) fn own_engine() -> anyhow::Result<EngineCommand> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    Ok(EngineCommand {
        program,
        args: vec![ENGINE_COMMAND.into()],
        memory_bytes: usual_engine_memory(),
    })
}

/// Runs until it is told to end.
pub(crate) fn run(args: &StandaloneArgs, console: Console) -> ExitCode {
    let path = |flag: &str, key: &str, path: &Option<PathBuf>| {
        let text = path.as_deref().map(Path::to_string_lossy)?.into_owned();
        Some((flag.to_owned(), key.to_owned(), text))
    };
    let listen = args
        .listen
        .clone()
        .map(|text| ("--listen".to_owned(), "listen.address".to_owned(), text));
    let flags = [
        path("--data", "data", &args.data),
        path("--model", "model.folder", &args.model),
        listen,
    ]
    .into_iter()
    .flatten();
    let info = ServiceInfo {
        name: "sightline",
        version: env!("CARGO_PKG_VERSION"),
    };
    sightline_service::run::<StandaloneConfig, _, _, _>(info, &args.service, flags.collect(), |config, context| {
        serve(config, context, console)
    })
}

async fn serve(config: StandaloneConfig, context: Context, console: Console) -> anyhow::Result<()> {
    let scheme = if config.listen.tls_cert.is_some() {
        "https"
    } else {
        "http"
    };
    let standalone = start(config, context, own_engine()?).await?;
    let url = format!("{scheme}://{}", standalone.address());
    if console.is_json() {
        console.json(&serde_json::json!({ "server": url }))?;
    } else {
        console.say(&format!("serving at {url}"))?;
    }
    standalone.ended().await
}
