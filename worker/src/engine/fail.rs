//! Fail points, for tests of faults: an item whose key names one makes the engine die there. Compiled in only with the
//! feature `fail-points`.

use crate::journal::{JournalStage, Slot};
use crate::model::ForwardError;
use sightline_core::ItemKey;
use sightline_service::fail_point;

/// Dies if the key asks for it: `!abort` in decoding; `!kill-<stage>` by SIGKILL in a stage.
#[cfg(feature = "fail-points")]
pub(super) fn point(key: &ItemKey, stage: JournalStage, slot: &Slot) {
    use rustix::process::{Signal, getpid, kill_process};
    if stage == JournalStage::Decode && key.as_str().contains("!abort") {
        tracing::warn!(item = %key, at = ?slot.item(), "fail point");
        std::process::abort();
    }
    if key.as_str().contains(&format!("!kill-{}", stage.as_str())) && kill_process(getpid(), Signal::KILL).is_err() {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(feature = "fail-points"))]
pub(super) fn point(_key: &ItemKey, _stage: JournalStage, _slot: &Slot) {}

/// What the device answers to a batch, where a test asks for it: too little memory, or that it is broken.
///
/// # Errors
/// Those.
pub(super) fn forward(batch: usize) -> Result<(), ForwardError> {
    if batch > 1 && fail_point::armed("engine-out-of-memory") {
        return Err(ForwardError::OutOfMemory("a fail point".into()));
    }
    if fail_point::armed("engine-device") {
        return Err(ForwardError::Device("a fail point".into()));
    }
    Ok(())
}
