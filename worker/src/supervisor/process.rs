//! The engine's process: started, listened to, waited for by a thread of its own. A thread of its own, since the
//! kernel tells a child of its parent's death when the *thread* dies that started it.

use super::death::Death;
use super::memory::{LOOK_EVERY, own_memory};
use super::start::{EngineEvents, StartEngine, StartedEngine};
use crate::control_groups::oom_kills;
use crate::ipc::{ToEngine, read_frame, write_frame};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// libtorch's threads spin while they wait for each other, and with fewer free cores than threads that is most of what
/// they do (measured: seven times the time per picture beside other work on two cores). They read this once, when a
/// process starts.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";

/// Frames that may wait to be written.
const WAITING_FRAMES: usize = 256;

/// How an engine is started: this program, or another that calls [`crate::engine::run`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments. No secrets: everyone on the machine can read them.
    pub args: Vec<OsString>,
    /// Memory that it may have of its own; it is killed where it has more. No limit where it is none.
    pub memory_bytes: Option<u64>,
}

/// A running engine. Dropping it closes its stdin, upon which it ends.
#[derive(Debug)]
struct EngineProcess {
    frames: mpsc::Sender<ToEngine>,
    child: Arc<Mutex<Option<Child>>>,
}

impl StartEngine for EngineCommand {
    fn start(&self, events: EngineEvents) -> std::io::Result<Box<dyn StartedEngine>> {
        let (frames, queue) = mpsc::channel(WAITING_FRAMES);
        let child = Arc::new(Mutex::new(None));
        let (command, place) = (self.clone(), Arc::clone(&child));
        std::thread::Builder::new()
            .name(format!("engine-{}", events.generation))
            .spawn(move || {
                let root = Path::new("/");
                let kills = oom_kills(root);
                let death = match keep(&command, queue, &place, &events) {
                    Ok((status, too_large)) => Death::of(status, too_large || oom_kills(root) > kills),
                    Err(error) => Death::not_started(&error),
                };
                events.died_blocking(death);
            })?;
        Ok(Box::new(EngineProcess { frames, child }))
    }
}

impl StartedEngine for EngineProcess {
    fn try_send(&self, frame: ToEngine) -> bool {
        self.frames.try_send(frame).is_ok()
    }

    fn kill(&self) {
        kill(&self.child);
    }
}

fn kill(child: &Mutex<Option<Child>>) {
    if let Some(child) = child.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        && let Err(error) = child.kill()
    {
        tracing::warn!(%error, "the engine cannot be killed");
    }
}

/// Kills an engine that has more memory than it may, until nobody holds the other end of `ended` any more. Whether it
/// did.
fn watch_memory(pid: u32, most: u64, place: &Mutex<Option<Child>>, ended: &Receiver<()>) -> bool {
    while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        if let Some(bytes) = own_memory(pid).filter(|bytes| *bytes > most) {
            tracing::error!(bytes, most, "the engine has more memory than it may: it is killed");
            kill(place);
            return true;
        }
    }
    false
}

/// Starts the engine, hears it out, and waits for its end: with which status, and whether it was killed for its memory.
fn keep(
    command: &EngineCommand,
    queue: mpsc::Receiver<ToEngine>,
    place: &Arc<Mutex<Option<Child>>>,
    events: &EngineEvents,
) -> std::io::Result<(ExitStatus, bool)> {
    let mut engine = Command::new(&command.program);
    engine.args(&command.args);
    if std::env::var_os(WAIT_POLICY).is_none() {
        engine.env(WAIT_POLICY, "passive");
    }
    let mut child = engine
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take());
    let number = child.id();
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    let (Some(stdin), Some(mut stdout)) = pipes else {
        return Err(std::io::Error::other("the engine has no pipes"));
    };
    std::thread::Builder::new()
        .name(format!("engine-{}-in", events.generation))
        .spawn(move || write(queue, stdin))?;
    let (alive, ended) = sync_channel(1);
    let watching = command.memory_bytes.map(|most| {
        let place = Arc::clone(place);
        std::thread::Builder::new()
            .name(format!("engine-{}-memory", events.generation))
            .spawn(move || watch_memory(number, most, &place, &ended))
    });
    let watching = watching.transpose()?;
    loop {
        match read_frame(&mut stdout) {
            Ok(Some(frame)) => {
                if !events.said_blocking(frame) {
                    kill(place);
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                // A death in the middle of a frame looks like this too; then there is nothing left to kill.
                tracing::warn!(%error, "the engine is not understood");
                kill(place);
                break;
            }
        }
    }
    // First wait without collecting, so that nobody can be killed under a number that is given away again.
    if let Some(pid) = pid {
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    }
    drop(alive);
    let too_large = watching.is_some_and(|watching| watching.join().unwrap_or_default());
    let child = place.lock().unwrap_or_else(PoisonError::into_inner).take();
    let status = child.map_or_else(
        || Err(std::io::Error::other("the engine's process is lost")),
        |mut child| child.wait(),
    );
    Ok((status?, too_large))
}

/// Writes frames until there is nobody left to send any, or the pipe breaks; then closes it.
fn write(mut queue: mpsc::Receiver<ToEngine>, mut stdin: ChildStdin) {
    while let Some(frame) = queue.blocking_recv() {
        if write_frame(&mut stdin, &frame).is_err() {
            // The engine is dead or dying: its keeper will say so.
            return;
        }
    }
}
