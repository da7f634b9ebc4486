//! `sightline apply`: a run that is written in a file, so that it can be kept in Git.

mod file;
mod schema;

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::ingest::created;
use crate::json;
use crate::servers::Servers;
use clap::Args;
use file::RunFile;
use sightline_proto::v1;
use std::path::PathBuf;

/// Create the run that a file describes, and watch it.
///
/// The file is YAML or JSON with the specification that the API takes. Applying it again finds the run that it made,
/// as long as the specification is the same; with another --request-id it is a run anew, which reads nothing twice
/// that is unchanged.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The file; `-` is standard input.
    #[arg(long, short = 'f', value_name = "FILE", required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Your name for this request, in place of the file's own: a date, where one run a day is meant.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only let the coordinator check the specification.
    #[arg(long)]
    dry_run: bool,
    /// Only create the run: print it and end.
    #[arg(long)]
    no_wait: bool,
    /// Print the JSON schema of such files and end.
    #[arg(long, exclusive = true)]
    schema: bool,
}

/// Applies a file, or prints the schema.
pub(crate) async fn run(args: &ApplyArgs, servers: &Servers, console: Console) -> Outcome {
    let Some(path) = args.file.as_deref().filter(|_| !args.schema) else {
        let schema = schema::of_run_files()?;
        console.say(&format!("{schema:#}"))?;
        return Ok(Exit::Success);
    };
    let RunFile { request_id, spec } = RunFile::read(path)?;
    let request = v1::CreateRunRequest {
        spec: Some(spec),
        request_id: args.request_id.clone().unwrap_or(request_id),
        validate_only: args.dry_run,
        ..v1::CreateRunRequest::default()
    };
    let action = format!("apply {}", path.display());
    let answer = servers.coordinator().await?.create_run(request).await;
    let run = answer.map_err(|status| CliError::call(&action, &status))?.into_inner();
    if !args.dry_run {
        return created(&run, args.no_wait, servers, console).await;
    }
    if console.is_json() {
        console.json(&json::of(&run)?)?;
    } else {
        console.say(&format!("{}: the coordinator takes it", path.display()))?;
    }
    Ok(Exit::Success)
}
