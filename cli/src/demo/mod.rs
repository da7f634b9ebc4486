//! `sightline demo`: pictures from a folder to searches, in one command.
//!
//! Promises: all of it goes through the services as any client's calls do; a second run finds everything unchanged;
//! the last line says in numbers what came of it. Leaves to others: fetching pictures and model (`make setup`).

mod evaluate;
mod pictures;
mod report;
mod searches;

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::hub::HubArgs;
use crate::ingest::{self, model::Model};
use crate::servers::Servers;
use crate::standalone::{Standalone, StandaloneConfig, own_engine, start};
use crate::watch::{self, summary};
use clap::{ArgGroup, Args};
use evaluate::Scores;
use pictures::Pictures;
use sightline_service::config::{ListenConfig, ObservabilityConfig, ShutdownConfig};
use sightline_service::{Context, install_signals};
use sightline_telemetry::{LogFormat, Metrics, Options, Readiness, ServiceIdentity, Telemetry};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is told of the demo's own model; of another only its name.
const DEMO_MODEL: &str = "sightline-demo";
/// The way out of a demo whose run was cut off.
const DRAIN_SECONDS: u64 = 10;

/// Index pictures with a model and search them: shows all of it in one command.
///
/// Starts all services on free local ports with their data in DIR, indexes, measures, searches by picture, by words
/// and by both, writes a page of each search, and ends. Done again, it finds everything unchanged.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("pictures").required(true).args(["stamps", "images"]))]
pub(crate) struct DemoArgs {
    /// The folder of the demo's index and runs.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The model's folder, or hf:ORG/NAME[@REVISION].
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    hub: HubArgs,
    /// The captioned pictures that `make setup` fetches.
    #[arg(long, value_name = "DIR")]
    stamps: Option<PathBuf>,
    /// Your own pictures.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
}

/// Runs it.
pub(crate) async fn run(args: &DemoArgs, console: Console) -> Outcome {
    let pictures = Pictures::of(args.stamps.as_deref(), args.images.as_deref())?;
    let failed = |error: anyhow::Error| CliError::Failed(format!("{error:#}"));
    let folder = args.hub.resolve(&args.model, console).await?;
    let model = Model::of(&folder.to_string_lossy(), None, None).await?;
    start_log(&args.data).map_err(failed)?;
    let shutdown = CancellationToken::new();
    install_signals(shutdown.clone())?;
    let config = StandaloneConfig {
        data: args.data.clone(),
        listen: ListenConfig::on_port(0),
        observability: ObservabilityConfig {
            address: None,
            ..ObservabilityConfig::default()
        },
        shutdown: ShutdownConfig {
            drain_seconds: DRAIN_SECONDS,
        },
        ..StandaloneConfig::default()
    };
    let config = with_model(config, &folder);
    let context = Context {
        shutdown: shutdown.clone(),
        drain: Duration::from_secs(DRAIN_SECONDS),
        metrics: Metrics::new("sightline", env!("CARGO_PKG_VERSION")),
        readiness: Readiness::new(),
    };
    let standalone = start(config, context, own_engine().map_err(failed)?)
        .await
        .map_err(failed)?;
    let demo = Demo {
        pictures,
        model,
        data: args.data.clone(),
        console,
        standalone: &standalone,
    };
    let outcome = tokio::select! {
        outcome = demo.show() => outcome,
        () = shutdown.cancelled() => {
            console.note("stopped; the next `sightline demo` with this folder goes on");
            Ok(Exit::Interrupted)
        }
    };
    let ended = standalone.shutdown().await;
    match outcome {
        // A service that died is why the calls failed.
        Err(error) => match ended {
            Ok(()) => Err(error),
            Err(cause) => Err(CliError::Failed(format!("{error}: {cause:#}"))),
        },
        Ok(exit) => ended.map(|()| exit).map_err(failed),
    }
}

/// Logs go to a file: the screen is for the result.
fn start_log(data: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data)?;
    let file = File::create(data.join("demo.log"))?;
    let options = Options {
        service: ServiceIdentity {
            name: "sightline".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            instance: std::process::id().to_string(),
            attributes: Vec::new(),
        },
        log_filter: "info".into(),
        log_format: LogFormat::Text,
        colour: false,
        otlp: None,
        trace_ratio: 0.0,
    };
    Ok(Telemetry::new(&options, Arc::new(file))?.install()?)
}

fn with_model(mut config: StandaloneConfig, folder: &Path) -> StandaloneConfig {
    config.model.folder = Some(folder.to_owned());
    // The engine's own words go to the screen: only what a person should know.
    config.telemetry.log = "warn".into();
    config
}

struct Demo<'a> {
    pictures: Pictures,
    model: Model,
    data: PathBuf,
    console: Console,
    standalone: &'a Standalone,
}

impl Demo<'_> {
    async fn show(&self) -> Outcome {
        let console = self.console;
        let servers = Servers::at(self.standalone.url());
        console.note(&self.about());
        let spec = self.pictures.spec(&self.model);
        let request_id = pictures::request_id(&servers, &spec).await?;
        let created = ingest::create(&servers, spec, request_id).await?;
        let run = watch::follow(&servers, &created.name, console, |_| Ok(())).await?;
        if watch::exit_of(&run) == Exit::Stopped {
            return Err(CliError::Failed(format!(
                "the run did not end as it should:\n{}",
                summary::facts(&run)
            )));
        }
        console.note(&summary::facts(&run));
        for failure in report::failures(&servers, &run).await? {
            console.note(&failure);
        }
        let scores = evaluate::evaluate(&servers, self.standalone.index().as_ref(), &self.pictures, console).await?;
        let sheets = searches::show(
            &servers,
            self.standalone.index().as_ref(),
            &self.pictures,
            &self.data,
            console,
        )
        .await?;
        report::end(&run, &scores, &sheets, console)?;
        Ok(Exit::Success)
    }

    /// What is shown, and honestly with what.
    fn about(&self) -> String {
        let model = if self.model.name == DEMO_MODEL {
            "Model sightline-demo: pretrained encoders (EfficientNet-Lite0 for pictures, MiniLM for words) with a \
             projection from ImageNet's class names;\nno part of it was trained on pictures with captions, so what it \
             knows of words is what ImageNet has names for (MODEL_CARD.md)."
                .to_owned()
        } else {
            format!("Model {}.", self.model.name)
        };
        format!(
            "Pictures of {} into collection {}.\n{model}",
            self.pictures.root(),
            self.pictures.collection()
        )
    }
}

/// Shown with three decimals, or that it was not measured.
fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "n/a".into(), |share| format!("{share:.3}"))
}

/// The last line, for programs that read what `make demo` prints.
fn last_line(indexed: i64, failed: i64, scores: &Scores) -> String {
    format!(
        "demo: indexed={indexed} failed={failed} self_top1={} text_r1={} text_r10={}",
        share(scores.self_top1),
        share(scores.text_r1),
        share(scores.text_r10)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_three_decimals_and_says_what_was_not_measured() {
        let all = Scores {
            self_top1: Some(1.0),
            text_r1: Some(0.21),
            text_r10: Some(0.405),
            unreadable: 0,
        };
        assert_eq!(
            last_line(785, 1, &all),
            "demo: indexed=785 failed=1 self_top1=1.000 text_r1=0.210 text_r10=0.405"
        );
        let own = Scores {
            self_top1: Some(1.0),
            ..Scores::default()
        };
        assert_eq!(
            last_line(3, 0, &own),
            "demo: indexed=3 failed=0 self_top1=1.000 text_r1=n/a text_r10=n/a"
        );
    }
}
