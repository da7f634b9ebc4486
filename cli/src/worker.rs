//! `sightline worker`.

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::runs::{align_right, plain_table};
use crate::servers::Servers;
use crate::text::{count, id_of, plain, time};
use clap::Subcommand;
use sightline_proto::v1;

/// What can be done with a worker.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// Show what it serves and does.
    Status,
    /// Stop it taking work; what it has in hand ends as it would.
    Drain,
}

/// Does it.
pub(crate) async fn run(command: WorkerCommand, servers: &Servers, console: Console) -> Outcome {
    let mut client = servers.worker().await?;
    let (action, answer) = match command {
        WorkerCommand::Status => (
            "read the worker's status",
            client.get_status(v1::GetStatusRequest {}).await,
        ),
        WorkerCommand::Drain => ("drain the worker", client.drain(v1::DrainRequest {}).await),
    };
    let status = answer.map_err(|status| CliError::call(action, &status))?.into_inner();
    if console.is_json() {
        console.json(&json::of(&status)?)?;
    } else {
        console.say(&text(&status, console))?;
    }
    Ok(Exit::Success)
}

fn text(status: &v1::WorkerStatus, console: Console) -> String {
    let mut lines = vec![
        format!(
            "worker   {} since {}",
            plain(&status.worker),
            time(status.start_time.as_ref())
        ),
        format!("state    {}", status.state().as_str_name()),
        if status.devices.is_empty() {
            format!("model    {}", plain(&status.model))
        } else {
            format!(
                "model    {} on {}",
                plain(&status.model),
                plain(&status.devices.join(", "))
            )
        },
    ];
    if !status.waiting_for.is_empty() {
        lines.push(format!("waits    {}", plain(&status.waiting_for)));
    }
    if status.engine_restarts > 0 {
        let death = plain(&status.last_engine_death);
        lines.push(format!(
            "engine   started anew {} times; last killed by {death}",
            count(status.engine_restarts)
        ));
    }
    if !status.last_suspects.is_empty() {
        lines.push(format!("in it were {}", plain(&status.last_suspects.join(", "))));
    }
    for shard in &status.shards {
        let run = id_of(&shard.run, "runs");
        let name: String = shard.shard.chars().take(12).collect();
        lines.push(format!(
            "shard    {name}… of {run}: {} of {} items",
            count(shard.done),
            count(shard.items)
        ));
    }
    let mut table = plain_table(console);
    table.set_header(["STAGE", "NOW", "DONE", "BUSY"]);
    for stage in &status.stages {
        let busy = format!("{:.1} s", stage.busy_seconds);
        table.add_row([plain(&stage.name), count(stage.in_flight), count(stage.done), busy]);
    }
    for column in 1..4 {
        align_right(&mut table, column);
    }
    lines.push(table.trim_fmt());
    lines.join("\n")
}
