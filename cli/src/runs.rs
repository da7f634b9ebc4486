//! `sightline runs`.

use crate::audit::{self, VerifyArgs};
use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::failures::{self, FailuresArgs};
use crate::ingest;
use crate::json;
use crate::servers::Servers;
use crate::text::{count, id_of, is_final, plain, resource, short, state, time};
use crate::watch::{self, summary};
use clap::Subcommand;
use comfy_table::{CellAlignment, Table, presets};
use sightline_proto::v1;

/// Most runs that one page holds.
const PAGE: i32 = 200;

/// What can be done with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs, newest first.
    List {
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show a run.
    Get {
        /// Its id, or runs/ID.
        run: String,
    },
    /// Watch a run until it ends; the exit code says how it did.
    Watch {
        /// Its id, or runs/ID.
        run: String,
    },
    /// End a run: what is being worked on ends as it would, nothing is started any more.
    Cancel {
        /// Its id, or runs/ID.
        run: String,
    },
    /// Try the failed items of an ended run again, as a run of their own, and watch it.
    Retry {
        /// Its id, or runs/ID.
        run: String,
        /// Your name for this request: repeating it finds the run that it made. Random by default.
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Only create the run: print it and end.
        #[arg(long)]
        no_wait: bool,
    },
    /// Compare a run's manifests, results and rows: every item exactly once, every row as recorded.
    Verify(VerifyArgs),
    /// Rebuild every message of a run from what is stored of it, after the broker was lost for good.
    Resume {
        /// Its id, or runs/ID.
        run: String,
    },
    /// List the failed items of a run with reasons.
    Failures(FailuresArgs),
}

/// Does it.
pub(crate) async fn run(command: RunsCommand, servers: &Servers, console: Console) -> Outcome {
    match command {
        RunsCommand::List { limit } => list(limit, servers, console).await,
        RunsCommand::Get { run } => {
            let request = v1::GetRunRequest {
                name: resource("runs", &run),
            };
            let answer = servers.coordinator().await?.get_run(request).await;
            show(
                &answer
                    .map_err(|status| CliError::call("read the run", &status))?
                    .into_inner(),
                servers,
                console,
            )
        }
        RunsCommand::Watch { run } => watch::until_end(servers, &resource("runs", &run), console).await,
        RunsCommand::Cancel { run } => {
            let request = v1::CancelRunRequest {
                name: resource("runs", &run),
            };
            let answer = servers.coordinator().await?.cancel_run(request).await;
            let run = answer
                .map_err(|status| CliError::call("cancel the run", &status))?
                .into_inner();
            if run.state() != v1::run::State::Cancelled {
                console.note("it had ended already: nothing was cancelled");
            }
            show(&run, servers, console)
        }
        RunsCommand::Retry {
            run,
            request_id,
            no_wait,
        } => {
            let request = v1::RetryFailedRequest {
                name: resource("runs", &run),
                request_id: request_id.unwrap_or_else(ingest::random_id),
            };
            let answer = servers.coordinator().await?.retry_failed(request).await;
            let run = answer
                .map_err(|status| CliError::call("try the failed items again", &status))?
                .into_inner();
            ingest::created(&run, no_wait, servers, console).await
        }
        RunsCommand::Verify(args) => audit::run(&args, servers, console).await,
        RunsCommand::Resume { run } => {
            let request = v1::ResumeRunRequest {
                name: resource("runs", &run),
            };
            let answer = servers.coordinator().await?.resume_run(request).await;
            let run = answer
                .map_err(|status| CliError::call("resume the run", &status))?
                .into_inner();
            if run.end_time.is_some() {
                console.note("it had ended already: there was nothing to resume");
            }
            show(&run, servers, console)
        }
        RunsCommand::Failures(args) => failures::run(&args, servers, console).await,
    }
}

fn show(run: &v1::Run, servers: &Servers, console: Console) -> Outcome {
    if console.is_json() {
        console.json(&json::of(run)?)?;
        return Ok(Exit::Success);
    }
    let spec = run.spec.clone().unwrap_or_default();
    let dataset = spec.dataset.unwrap_or_default();
    let mut lines = vec![
        format!("dataset     {} at {}", plain(&dataset.name), plain(&dataset.root)),
        format!("collection  {}", plain(id_of(&spec.collection, "collections"))),
        format!("model       {}", plain(&spec.model)),
        format!("created     {}", time(run.create_time.as_ref())),
    ];
    if !is_final(run.state()) {
        let message = if run.state_message.is_empty() {
            String::new()
        } else {
            format!(": {}", run.state_message)
        };
        lines.push(format!("state       {}{}", state(run.state()), plain(&message)));
        lines.push(format!(
            "shards      {} of {}",
            count(run.done_shards),
            count(run.planned_shards)
        ));
    }
    lines.push(summary::text(run, &servers.coordinator_flag()));
    console.say(&lines.join("\n"))?;
    Ok(Exit::Success)
}

async fn list(limit: u32, servers: &Servers, console: Console) -> Outcome {
    let mut client = servers.coordinator().await?;
    let (mut runs, mut page_token) = (Vec::new(), String::new());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    loop {
        let page_size = i32::try_from(limit - runs.len()).unwrap_or(PAGE).min(PAGE);
        let answer = client.list_runs(v1::ListRunsRequest { page_size, page_token }).await;
        let page = answer
            .map_err(|status| CliError::call("list runs", &status))?
            .into_inner();
        runs.extend(page.runs);
        page_token = page.next_page_token;
        if page_token.is_empty() || runs.len() >= limit {
            break;
        }
    }
    if console.is_json() {
        for run in &runs {
            console.json(&json::of(run)?)?;
        }
    } else if runs.is_empty() {
        console.note("there are no runs");
    } else {
        console.say(&table(&runs, console))?;
    }
    Ok(Exit::Success)
}

fn table(runs: &[v1::Run], console: Console) -> String {
    let mut table = plain_table(console);
    table.set_header([
        "RUN",
        "CREATED",
        "STATE",
        "DATASET",
        "COLLECTION",
        "INDEXED",
        "UNCHANGED",
        "SKIPPED",
        "FAILED",
    ]);
    for run in runs {
        let counts = run.counts.unwrap_or_default();
        let spec = run.spec.clone().unwrap_or_default();
        table.add_row([
            id_of(&run.name, "runs").to_owned(),
            time(run.create_time.as_ref()),
            state(run.state()).to_owned(),
            short(&spec.dataset.unwrap_or_default().name, 24),
            short(id_of(&spec.collection, "collections"), 24),
            count(counts.indexed),
            count(counts.unchanged),
            count(counts.skipped),
            count(counts.failed),
        ]);
    }
    for column in 5..9 {
        align_right(&mut table, column);
    }
    table.trim_fmt()
}

/// A table without lines, as other programs can cut it.
pub(crate) fn plain_table(console: Console) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = console.width() {
        table
            .set_width(width)
            .set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    }
    table
}

/// Numbers stand at the right.
pub(crate) fn align_right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
