//! The engine as a process: its pipes, its life, its end.

use super::lease::{LeaseKeeper, lease};
use super::outbox::{Note, Outbox, write_notes};
use super::pipeline::Pipeline;
use super::work::Work;
use super::{EngineParts, OpenParts};
use crate::config::EngineConfig;
use crate::embedding::serve_socket;
use crate::ipc::{FromEngine, PROTOCOL_VERSION, ToEngine, WorkId, monotonic_ms, read_frame};
use crate::journal::Journal;
use rustix::process::{Signal, set_parent_process_death_signal};
use sightline_core::SystemClock;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Instrument;

/// The configuration can never work; a frame said why.
pub const EXIT_REFUSED: u8 = 78;
/// The device or a part of the engine is broken: a new engine may do.
pub const EXIT_DEVICE: u8 = 75;

/// Frames that may wait. The supervisor sends no more items than it has room for, so this is never full for long.
const WAITING_FRAMES: usize = 256;
/// Time for the last notes to be written when the engine ends by itself.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often the stages are reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Runs an engine on stdin and stdout until its supervisor ends it. Logs go to stderr.
pub fn run(open: &dyn OpenParts) -> ExitCode {
    match serve(open) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error, "the engine cannot run");
            ExitCode::from(EXIT_DEVICE)
        }
    }
}

fn serve(open: &dyn OpenParts) -> Result<ExitCode, String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| format!("PR_SET_PDEATHSIG: {error}"))?;
    let mut stdin = std::io::stdin().lock();
    let stdout = take_stdout().map_err(|error| format!("stdout: {error}"))?;
    let (config, journal) = match read_frame(&mut stdin).map_err(|error| error.to_string())? {
        Some(ToEngine::Configure {
            version: PROTOCOL_VERSION,
            config,
            journal,
        }) => (*config, journal),
        Some(ToEngine::Configure { version, .. }) => {
            return Err(format!(
                "the supervisor speaks version {version}, this engine {PROTOCOL_VERSION}"
            ));
        }
        None => return Ok(ExitCode::SUCCESS),
        Some(_) => return Err("the first frame is not the configuration".into()),
    };
    drop(stdin);
    let (outbox, notes) = Outbox::new();
    let writer = spawn("engine-outbox", move || {
        let mut stdout = stdout;
        if let Err(error) = write_notes(notes, &mut stdout) {
            tracing::warn!(%error, "the supervisor does not listen any more");
        }
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("the runtime: {error}"))?;
    let code = runtime.block_on(async {
        let code = live(open, &config, &journal, outbox).await;
        if tokio::time::timeout(LAST_WORDS / 2, open.close()).await.is_err() {
            tracing::warn!("the last spans are lost");
        }
        code
    });
    // What still runs belongs to works that nobody waits for.
    runtime.shutdown_background();
    join_within(writer, LAST_WORDS);
    code
}

/// Frames go to the pipe that was stdout; whatever a library prints goes to the log.
fn take_stdout() -> Result<File, rustix::io::Errno> {
    let pipe = rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3)?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok(File::from(pipe))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(|error| format!("{name}: {error}"))
}

fn join_within(thread: JoinHandle<()>, limit: Duration) {
    let (done, wait) = std::sync::mpsc::channel();
    // A thread that watches another: where it cannot be started, nothing is waited for.
    let watching = spawn("engine-end", move || {
        let _joined = thread.join();
        let _told = done.send(());
    });
    if watching.is_ok() {
        let _ended = wait.recv_timeout(limit);
    }
}

async fn live(open: &dyn OpenParts, config: &EngineConfig, journal: &Path, outbox: Outbox) -> Result<ExitCode, String> {
    let (keeper, lease) = lease();
    let (frames, mut inbox) = mpsc::channel(WAITING_FRAMES);
    // From here on the end of stdin ends the process, even while the model is loading.
    spawn("engine-inbox", move || listen(&mut std::io::stdin(), &keeper, &frames))?;
    let parts = match open.open(config).await {
        Ok(parts) => parts,
        Err(message) => {
            tracing::error!(message, "the engine cannot start");
            outbox.send(Note::Frame(FromEngine::Refused { message })).await;
            return Ok(ExitCode::from(EXIT_REFUSED));
        }
    };
    if let (Some(socket), Some(encoder)) = (&config.embedding, &parts.encoder) {
        serve_socket(socket, Arc::clone(encoder))?;
    }
    let hello = hello(&parts);
    let journal = Journal::create(journal, config.pipeline.max_items).map_err(|error| format!("journal: {error}"))?;
    let (fatal, mut died) = mpsc::channel(1);
    let pipeline = Pipeline::start(
        parts,
        config.pipeline.clone(),
        journal,
        lease,
        Arc::new(SystemClock),
        fatal,
    );
    let pipeline = Arc::new(pipeline.map_err(|error| format!("threads: {error}"))?);
    outbox.send(Note::Frame(hello)).await;
    let mut works: HashMap<WorkId, Arc<Work>> = HashMap::new();
    let mut report = tokio::time::interval(REPORT_EVERY);
    report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            frame = inbox.recv() => match frame {
                Some(ToEngine::Stop) | None => return Ok(ExitCode::SUCCESS),
                Some(frame) => handle(frame, &pipeline, &mut works, &outbox),
            },
            Some(why) = died.recv() => {
                tracing::error!(why, "the engine ends itself");
                return Ok(ExitCode::from(EXIT_DEVICE));
            }
            _ = report.tick() => {
                let (stages, batches) = pipeline.stages.report();
                outbox.send(Note::Frame(FromEngine::Stages { stages, batches })).await;
            }
        }
    }
}

fn hello(parts: &EngineParts) -> FromEngine {
    FromEngine::Hello {
        version: PROTOCOL_VERSION,
        model: parts.model.name().clone(),
        fields: parts.model.fields().clone(),
        devices: parts.model.devices(),
    }
}

fn handle(frame: ToEngine, pipeline: &Arc<Pipeline>, works: &mut HashMap<WorkId, Arc<Work>>, outbox: &Outbox) {
    match frame {
        ToEngine::Open { work, job } => {
            let preprocessing = pipeline.preprocessing(&job.fields);
            works.insert(work, Arc::new(Work::new(work, job, preprocessing, outbox.clone())));
        }
        ToEngine::Items { work, items, urgent } => {
            if let Some(work) = works.get(&work) {
                let span = work.span.clone();
                tokio::spawn(
                    Arc::clone(pipeline)
                        .take(Arc::clone(work), items, urgent)
                        .instrument(span),
                );
            }
        }
        ToEngine::Close { work } => {
            if let Some(work) = works.remove(&work) {
                work.over.cancel();
            }
        }
        ToEngine::Configure { .. } | ToEngine::Lease { .. } | ToEngine::Stop => {}
    }
}

/// Hears the supervisor. Renewals of the lease never wait behind anything.
fn listen(stdin: &mut impl Read, lease: &LeaseKeeper, frames: &mpsc::Sender<ToEngine>) {
    loop {
        match read_frame(stdin) {
            Ok(Some(ToEngine::Lease { until_ms })) => {
                lease.renew(Duration::from_millis(until_ms.saturating_sub(monotonic_ms())));
            }
            Ok(None) => break,
            Ok(Some(frame)) => {
                if frames.blocking_send(frame).is_err() {
                    break;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the supervisor is not understood");
                break;
            }
        }
    }
    // Whatever the other threads are doing, decoding or computing for minutes perhaps: nobody waits for it.
    std::process::exit(0);
}
