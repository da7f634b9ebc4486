//! `sightline top`: what workers do at the moment, again and again.

mod load;
mod screen;

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::servers::Servers;
use clap::Args;
use load::Load;
use sightline_proto::v1;
use sightline_proto::v1::worker_client::WorkerClient;
use sightline_service::grpc::TracedChannel;
use std::io::IsTerminal;
use std::time::Duration;

/// What clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Show live which stage of workers is the one that the others wait for.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Workers; by default the one of --worker.
    #[arg(value_name = "URL")]
    workers: Vec<String>,
    /// Seconds between two readings. Engines report about once a second: until the next report the last one is shown.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// End after so many readings; until Ctrl-C by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    readings: Option<u64>,
}

/// A worker that is watched.
struct Watched {
    url: String,
    client: Option<WorkerClient<TracedChannel>>,
    before: Option<Load>,
}

/// Does it. Ctrl-C ends it in order.
pub(crate) async fn run(args: &TopArgs, servers: &Servers, console: Console) -> Outcome {
    tokio::select! {
        outcome = watch(args, servers, console) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Success),
    }
}

async fn watch(args: &TopArgs, servers: &Servers, console: Console) -> Outcome {
    let mut watched: Vec<Watched> = servers
        .workers(&args.workers)
        .into_iter()
        .map(|url| Watched {
            url,
            client: None,
            before: None,
        })
        .collect();
    let mut ticks = tokio::time::interval(Duration::from_secs(args.interval));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let is_screen = std::io::stdout().is_terminal() && !console.is_json();
    let mut reading = 0;
    loop {
        ticks.tick().await;
        let mut parts = Vec::new();
        for worker in &mut watched {
            match worker.read(servers).await {
                Ok(load) if console.is_json() => console.json(&load.json(&worker.url))?,
                Ok(load) => parts.push(screen::text(&load, console)),
                // A worker that never was there is a mistake in the command; one that went away may come back.
                Err(error) if reading == 0 => return Err(error),
                Err(error) if console.is_json() => {
                    console.json(&serde_json::json!({"url": worker.url, "error": error.to_string()}))?;
                }
                Err(error) => parts.push(error.to_string()),
            }
        }
        if !parts.is_empty() {
            let clear = if is_screen { CLEAR } else { "" };
            console.say(&format!("{clear}{}\n", parts.join("\n\n")))?;
        }
        reading += 1;
        if args.readings.is_some_and(|readings| reading >= readings) {
            return Ok(Exit::Success);
        }
    }
}

impl Watched {
    async fn read(&mut self, servers: &Servers) -> Result<Load, CliError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => servers.worker_at(&self.url).await?,
        };
        let answer = client.get_status(v1::GetStatusRequest {}).await;
        let status = answer
            .map_err(|status| CliError::call(&format!("read the status of {}", self.url), &status))?
            .into_inner();
        self.client = Some(client);
        let load = Load::after(self.before.as_ref(), &status);
        self.before = Some(load.clone());
        Ok(load)
    }
}
