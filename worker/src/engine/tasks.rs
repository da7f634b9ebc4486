//! An engine whose frames go through channels instead of pipes: the same life and pipeline, on the tasks of the runtime
//! that it is called in, with the time, the chance and the clock that it is given. Simulations run it.

use super::OpenParts;
use super::around::{Around, Chance, Decoding};
use super::lease::lease;
use super::life::{Ending, Life};
use super::outbox::{Outbox, pass_notes};
use crate::ipc::{FromEngine, PROTOCOL_VERSION, ToEngine};
use crate::machine::Machine;
use sightline_core::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Frames that may wait between those who hear the supervisor.
const WAITING_FRAMES: usize = 256;
/// Time for the last notes to be passed on when the engine ends by itself.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a simulated engine has around it.
#[derive(Debug)]
pub struct TaskOptions {
    /// The time of day, which never goes back in a simulation: leases are written in its milliseconds, so
    /// [`crate::supervisor::StartEngine::monotonic_ms`] has to tell them, too.
    pub clock: Arc<dyn Clock>,
    /// What the jitter of its delays follows from.
    pub seed: u64,
}

/// Runs an engine until it ends by itself. Dropping the future does not end what it spawned: the parts that it was
/// given have to refuse what comes from an engine that is dead.
///
/// # Errors
/// In words: what a process would end with [`super::EXIT_DEVICE`] for.
pub async fn run_on_tasks(
    open: &dyn OpenParts,
    options: TaskOptions,
    mut frames: mpsc::Receiver<ToEngine>,
    to_supervisor: mpsc::Sender<FromEngine>,
) -> Result<Ending, String> {
    let (config, journal) = match frames.recv().await {
        Some(ToEngine::Configure {
            version: PROTOCOL_VERSION,
            config,
            journal,
        }) => (*config, journal),
        None => return Ok(Ending::Told),
        Some(_) => return Err("the first frame is not a configuration of this version".into()),
    };
    let (keeper, lease) = lease();
    let (outbox, notes) = Outbox::new();
    let (inside, inbox) = mpsc::channel(WAITING_FRAMES);
    let clock = Arc::clone(&options.clock);
    let hear = async move {
        while let Some(frame) = frames.recv().await {
            match frame {
                ToEngine::Lease { until_ms } => {
                    keeper.renew(Duration::from_millis(until_ms.saturating_sub(clock.now().0)));
                }
                frame => {
                    if inside.send(frame).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let life = Life {
        config: &config,
        journal: &journal,
        lease,
        outbox,
        around: Around {
            clock: options.clock,
            chance: Chance::new(options.seed),
            decoding: Decoding::Tasks,
            machine: Machine::SIMULATED,
        },
    };
    let tell = pass_notes(notes, to_supervisor);
    let pipes = async { tokio::join!(hear, tell) };
    tokio::pin!(pipes);
    let ended = tokio::select! {
        biased;
        ended = life.serve(open, inbox) => ended,
        // Nobody is left to hear or to be told.
        _ = &mut pipes => return Ok(Ending::Told),
    };
    let _said = tokio::time::timeout(LAST_WORDS, pipes).await;
    ended
}
