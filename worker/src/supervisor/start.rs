//! How the host comes by engines: in production each is a process ([`super::EngineCommand`]); a simulation gives
//! engines that are tasks of its own runtime.

use super::death::Death;
use crate::ipc::{FromEngine, ToEngine, monotonic_ms};
use std::fmt::Debug;
use std::process::ExitStatus;
use tokio::sync::mpsc;

/// Number of an engine, counted from 1.
pub(crate) type Generation = u64;

/// What comes from an engine.
#[derive(Debug)]
pub(crate) enum EngineEvent {
    /// It said something.
    Frame(FromEngine),
    /// It is gone; nothing more comes from it.
    Died(Death),
}

/// The way of one engine's events to its host. Whoever started the engine calls one of the two that end it, last.
#[derive(Debug)]
pub struct EngineEvents {
    pub(crate) generation: Generation,
    pub(crate) host: mpsc::Sender<(Generation, EngineEvent)>,
}

impl EngineEvents {
    /// The engine said something. Waits for room; false where the host is gone.
    pub async fn said(&self, frame: FromEngine) -> bool {
        let event = (self.generation, EngineEvent::Frame(frame));
        self.host.send(event).await.is_ok()
    }

    /// The engine ended so; `out_of_memory` where the kernel killed it for its memory.
    pub async fn died(self, status: ExitStatus, out_of_memory: bool) {
        let event = EngineEvent::Died(Death::of(status, out_of_memory));
        // Where the host is gone nobody wants to know.
        let _told = self.host.send((self.generation, event)).await;
    }

    /// As [`Self::said`], on a thread of its own.
    pub(crate) fn said_blocking(&self, frame: FromEngine) -> bool {
        let event = (self.generation, EngineEvent::Frame(frame));
        self.host.blocking_send(event).is_ok()
    }

    /// As [`Self::died`], on a thread of its own.
    pub(crate) fn died_blocking(self, death: Death) {
        let _told = self.host.blocking_send((self.generation, EngineEvent::Died(death)));
    }
}

/// An engine that was started. Dropping it is for the engine as the end of its stdin: it ends.
pub trait StartedEngine: Send + Sync + Debug {
    /// Sends a frame, if there is room for it on the way.
    fn try_send(&self, frame: ToEngine) -> bool;

    /// Kills it, as SIGKILL does.
    fn kill(&self);
}

/// Starts engines.
pub trait StartEngine: Send + Sync + Debug {
    /// Starts one. Its events arrive there, its death last, also where it cannot come to life.
    ///
    /// # Errors
    /// When nothing can be started at all, not even what would tell of its death.
    fn start(&self, events: EngineEvents) -> std::io::Result<Box<dyn StartedEngine>>;

    /// The clock that leases are written in: the same for the host and its engines. Milliseconds.
    fn monotonic_ms(&self) -> u64 {
        monotonic_ms()
    }
}
