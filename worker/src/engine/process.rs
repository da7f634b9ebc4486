//! The engine as a process: its pipes, its life, its end.

use super::OpenParts;
use super::around::Around;
use super::lease::{LeaseKeeper, lease};
use super::life::{Ending, Life};
use super::outbox::{Outbox, write_notes};
use crate::config::EngineConfig;
use crate::ipc::{PROTOCOL_VERSION, ToEngine, monotonic_ms, read_frame};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// The configuration can never work; a frame said why.
pub const EXIT_REFUSED: u8 = 78;
/// The device or a part of the engine is broken: a new engine may do.
pub const EXIT_DEVICE: u8 = 75;

/// Frames that may wait. The supervisor sends no more items than it has room for, so this is never full for long.
const WAITING_FRAMES: usize = 256;
/// Time for the last notes to be written when the engine ends by itself.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    die_first();
    allow_files();
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

/// Where memory runs out the kernel takes this process, and not the supervisor, which says which items it had.
fn die_first() {
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        tracing::debug!(%error, "the kernel is not told to kill the engine first");
    }
}

/// Lets this process have as many connections and files open as it may. Many systems let a program have 1,024 until it asks for
/// more, and so many objects alone are read at once for eight accelerators.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::debug!(%error, "the engine may have no more files open than before");
    }
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
    let (frames, inbox) = mpsc::channel(WAITING_FRAMES);
    // From here on the end of stdin ends the process, even while the model is loading.
    spawn("engine-inbox", move || listen(&mut std::io::stdin(), &keeper, &frames))?;
    let life = Life {
        config,
        journal,
        lease,
        outbox,
        around: Around::of_a_process(),
    };
    Ok(match life.serve(open, inbox).await? {
        Ending::Told => ExitCode::SUCCESS,
        Ending::Refused => ExitCode::from(EXIT_REFUSED),
        Ending::Broken => ExitCode::from(EXIT_DEVICE),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_may_have_as_many_files_open_as_the_system_lets_it() {
        let limit = getrlimit(Resource::Nofile);
        let fewer = Rlimit {
            current: limit.maximum.map(|most| most - 1),
            ..limit
        };
        setrlimit(Resource::Nofile, fewer).unwrap();
        allow_files();
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }
}
