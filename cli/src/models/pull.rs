//! `sightline models pull`.

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::hub::{HubArgs, Shown};
use crate::text::count;
use clap::Args;
use serde_json::json;
use sightline_hub::{HubRef, pull, pull_into};
use std::path::PathBuf;

/// Which model, and where to.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// hf:ORG/NAME, or hf:ORG/NAME@REVISION with a branch, a tag or a commit; main by default.
    #[arg(value_name = "MODEL")]
    model: HubRef,
    /// Pull into this folder, new or empty, in place of the cache.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
}

pub(super) async fn run(args: &PullArgs, console: Console) -> Outcome {
    let options = args.hub.options()?;
    if options.offline && args.out.is_some() {
        return Err(CliError::Usage(
            "--out asks the hub, which --offline (or HF_HUB_OFFLINE) forbids: leave one out".to_owned(),
        ));
    }
    let shown = Shown::new(console);
    let pulled = match &args.out {
        Some(folder) => pull_into(&args.model, folder, &options, &shown).await,
        None => pull(&args.model, &options, &shown).await,
    };
    shown.end();
    let pulled = pulled?;
    let source = &pulled.source;
    let bytes: u64 = source.files.iter().map(|file| file.bytes).sum();
    if console.is_json() {
        console.json(&json!({
            "folder": pulled.folder, "repository": source.repository, "revision": source.revision,
            "commit": source.commit, "endpoint": source.endpoint, "files": source.files, "bytes": bytes,
            "fetched": pulled.fetched,
        }))?;
    } else {
        let how = if pulled.fetched { "is" } else { "was already" };
        console.note(&format!(
            "{} at {}: {} files, {} bytes. To name it for ever: hf:{}@{}",
            source.repository,
            source.commit,
            source.files.len(),
            count(i64::try_from(bytes).unwrap_or(i64::MAX)),
            source.repository,
            source.commit
        ));
        console.note(&format!("it {how} in"));
        console.say(&pulled.folder.display().to_string())?;
    }
    Ok(Exit::Success)
}
