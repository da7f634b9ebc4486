//! The frame of every main.

use crate::config::{Config, ConfigError, Environment, ObservabilityConfig, ShutdownConfig, Sources, TelemetryConfig};
use crate::config::{key_docs, load};
use crate::ready::check_ready;
use crate::shutdown::install_signals;
use sightline_telemetry::{
    Metrics, MetricsExport, ObservabilityServer, PairsError, Readiness, ServiceIdentity, Telemetry,
};
use std::error::Error as StdError;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The exit status where the configuration or a flag is wrong, as clap has it.
const EXIT_USAGE: u8 = 2;
/// The exit status where the service could not be started.
const EXIT_FAILURE: u8 = 1;
/// How long the last spans may take on the way out.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// How often metrics are sent, where they are.
const METRICS_INTERVAL: Duration = Duration::from_secs(30);
/// The standard's variable of what whoever runs a process says of it.
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// How much longer than its drain a service may take to end before it is given up.
const DRAIN_MARGIN: Duration = Duration::from_secs(2);

/// Which service runs.
#[derive(Debug, Clone, Copy)]
pub struct ServiceInfo {
    /// `sightline-worker`, say.
    pub name: &'static str,
    /// `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
}

// The flags of every service: `#[command(flatten)]` them into a service's own.
#[expect(
    missing_docs,
    reason = "clap shows a doc comment here as the description of the program"
)]
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServiceArgs {
    /// A TOML file with the configuration; else SIGHTLINE_CONFIG names it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, as in --set queue.url=amqp://localhost; wins over the environment and the file.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Check the configuration and end.
    #[arg(long)]
    pub check_config: bool,
    /// Ask the process that runs with this configuration whether it is ready, at its observability.address, and end:
    /// with status 0 where it is, else with 1 and why.
    #[arg(long)]
    pub check_ready: bool,
    /// List every key with its variable, kind, default and meaning, and end.
    #[arg(long)]
    pub list_keys: bool,
}

/// A configuration with the blocks that every service has.
pub trait ServiceConfig: Config {
    /// Logs and traces.
    fn telemetry(&self) -> &TelemetryConfig;
    /// Metrics and probes.
    fn observability(&self) -> &ObservabilityConfig;
    /// The way out.
    fn shutdown(&self) -> &ShutdownConfig;
}

/// What a service is handed besides its configuration.
#[derive(Debug, Clone)]
pub struct Context {
    /// Cancelled when the process is to end: stop taking work, finish what is under way within `drain`, return.
    pub shutdown: CancellationToken,
    /// The longest time for that.
    pub drain: Duration,
    /// Where to count.
    pub metrics: Metrics,
    /// Where to say what is waited for.
    pub readiness: Readiness,
}

/// The main of a service: reads the configuration, starts telemetry, probes and signals, runs `service` and ends in
/// order. `flags` are the service's own flags that stand for keys: the flag as written, the key, the value.
///
/// Exits 0 after an orderly end, 1 where the service failed or did not end in time, 2 where the configuration is wrong;
/// with `--check-ready` 0 where another process is ready, else 1.
pub fn run<C, S, F, E>(
    info: ServiceInfo,
    args: &ServiceArgs,
    flags: Vec<(String, String, String)>,
    service: S,
) -> ExitCode
where
    C: ServiceConfig,
    S: FnOnce(C, Context) -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    if args.list_keys {
        return if list_keys::<C>(&mut std::io::stdout().lock()).is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let config: C = match configuration(args, flags) {
        Ok(config) => config,
        // Docker keeps every other status of a health check for itself.
        Err(error) if args.check_ready => return complain(info, &error, EXIT_FAILURE),
        Err(error) => return complain(info, &error, EXIT_USAGE),
    };
    if args.check_config {
        return ExitCode::SUCCESS;
    }
    if args.check_ready {
        return match check_ready(config.observability().address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(info, &error, EXIT_FAILURE),
        };
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(info, &error, EXIT_FAILURE),
    };
    let shutdown = CancellationToken::new();
    let status = runtime.block_on(async {
        let telemetry = start_telemetry(info, &config)?;
        install_signals(shutdown.clone())?;
        let status = match supervise(info, config, shutdown, service).await {
            Ok(()) => {
                tracing::info!("ended in order");
                ExitCode::SUCCESS
            }
            Err(error) => {
                tracing::error!(
                    error = error.as_ref() as &(dyn StdError + 'static),
                    "ended with an error"
                );
                ExitCode::FAILURE
            }
        };
        if let Err(error) = telemetry.shutdown(FLUSH_LIMIT).await {
            tracing::warn!(error = &error as &(dyn StdError + 'static), "the last spans are lost");
        }
        Ok(status)
    });
    // What is still running had its time; blocking threads must not hold the process.
    runtime.shutdown_background();
    status.unwrap_or_else(|error: Box<dyn StdError + Send + Sync>| complain(info, error.as_ref(), EXIT_FAILURE))
}

/// The part of [`run`] between telemetry and exit: probes, the service, and its end in order.
///
/// # Errors
/// The service's own error; or where the probes' address cannot be taken, or the service did not end in time.
pub async fn supervise<C, S, F, E>(
    info: ServiceInfo,
    config: C,
    shutdown: CancellationToken,
    service: S,
) -> Result<(), Box<dyn StdError + Send + Sync>>
where
    C: ServiceConfig,
    S: FnOnce(C, Context) -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let metrics = Metrics::new(info.name, info.version);
    let options = config.telemetry().options(identity(info), false);
    let export = MetricsExport::start(&options, metrics.clone(), METRICS_INTERVAL)?;
    let readiness = Readiness::exported(&metrics)?;
    let drain = config.shutdown().drain();
    let ended = CancellationToken::new();
    // Dropped on every way out, so that the probes end after the service and never outlive it.
    let end_probes = ended.clone().drop_guard();
    let probes = match config.observability().address {
        None => None,
        Some(address) => {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|error| format!("cannot listen on {address} (observability.address): {error}"))?;
            tracing::info!(address = %listener.local_addr()?, "serving /metrics, /livez and /readyz");
            let server = ObservabilityServer::new(metrics.clone(), readiness.clone());
            Some(tokio::spawn(server.run(listener, ended.cancelled_owned())))
        }
    };
    tracing::info!(version = info.version, "starting {}", info.name);
    let context = Context {
        shutdown: shutdown.clone(),
        drain,
        metrics,
        readiness: readiness.clone(),
    };
    let mut service = std::pin::pin!(service(config, context));
    let result = tokio::select! {
        result = &mut service => result.map_err(Into::into),
        () = shutdown.cancelled() => {
            readiness.stop();
            match tokio::time::timeout(drain + DRAIN_MARGIN, service).await {
                Ok(result) => result.map_err(Into::into),
                Err(_) => Err(format!("did not end within {} s of being asked to", (drain + DRAIN_MARGIN).as_secs()).into()),
            }
        }
    };
    if let Some(export) = export
        && let Err(error) = export.shutdown(FLUSH_LIMIT).await
    {
        tracing::warn!(error = &error as &(dyn StdError + 'static), "the last metrics are lost");
    }
    drop(end_probes);
    if let Some(probes) = probes {
        // A scraper that keeps its connection busy must not hold the process.
        if let Ok(Ok(Err(error))) = tokio::time::timeout(DRAIN_MARGIN, probes).await {
            tracing::warn!(%error, "the probes ended with an error");
        }
    }
    result
}

fn configuration<C: Config>(args: &ServiceArgs, flags: Vec<(String, String, String)>) -> Result<C, ConfigError> {
    let environment = Environment::of_process();
    load(&Sources {
        file: args.config.clone(),
        environment,
        set: args.set.clone(),
        flags,
    })
}

fn start_telemetry<C: ServiceConfig>(
    info: ServiceInfo,
    config: &C,
) -> Result<Telemetry, Box<dyn StdError + Send + Sync>> {
    let colour = std::io::stderr().is_terminal();
    let telemetry = Telemetry::new(&config.telemetry().options(identity(info), colour), std::io::stderr)?;
    telemetry.install()?;
    if let Err(error) = resource_attributes() {
        tracing::warn!(%error, "{RESOURCE_ATTRIBUTES} is left out");
    }
    Ok(telemetry)
}

/// The attributes of this process that `OTEL_RESOURCE_ATTRIBUTES` gives: the names of its pod, the environment.
///
/// # Errors
/// What is wrong with the variable, of which nothing counts then.
pub fn resource_attributes() -> Result<Vec<(String, String)>, PairsError> {
    let text = std::env::var_os(RESOURCE_ATTRIBUTES).unwrap_or_default();
    sightline_telemetry::resource_attributes(&text.to_string_lossy())
}

fn identity(info: ServiceInfo) -> ServiceIdentity {
    // A pod's host name is the pod's; the process id tells several on one host apart.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    ServiceIdentity {
        name: info.name.to_owned(),
        version: info.version.to_owned(),
        instance: format!("{}:{}", host.trim(), std::process::id()),
        attributes: resource_attributes().unwrap_or_default(),
    }
}

fn list_keys<C: Config>(out: &mut impl Write) -> std::io::Result<()> {
    for key in key_docs::<C>() {
        let default = if key.default.is_null() {
            "none".to_owned()
        } else {
            key.default.to_string()
        };
        writeln!(
            out,
            "{}\n    {}\n    {}; default {}; {}",
            key.key, key.doc, key.kind, default, key.variable
        )?;
    }
    Ok(())
}

fn complain(info: ServiceInfo, error: &dyn StdError, status: u8) -> ExitCode {
    let mut text = format!("{}: {error}", info.name);
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    // Where standard error is closed there is nobody left to tell.
    let _told = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(status)
}
