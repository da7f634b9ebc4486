//! Engines of simulated workers: the engine that ships, on tasks, with a life of its own to lose.

use crate::machines::Site;
use crate::model::Model;
use crate::process::Process;
use async_trait::async_trait;
use sightline_objects::{ObjectError, ObjectStore};
use sightline_worker::config::EngineConfig;
use sightline_worker::engine::{Datasets, Ending, EngineParts, OpenParts, TaskOptions, run_on_tasks};
use sightline_worker::ipc::{FromEngine, ToEngine};
use sightline_worker::supervisor::{EngineEvents, StartEngine, StartedEngine};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Starts the engines of one worker.
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) site: Arc<Site>,
    pub(crate) worker: Arc<Process>,
    pub(crate) started: AtomicU64,
}

#[derive(Debug)]
struct RunningEngine {
    frames: mpsc::Sender<ToEngine>,
    process: Arc<Process>,
}

impl StartedEngine for RunningEngine {
    fn try_send(&self, frame: ToEngine) -> bool {
        self.frames.try_send(frame).is_ok()
    }

    fn kill(&self) {
        self.process.kill(9);
    }
}

impl StartEngine for Engines {
    fn start(&self, events: EngineEvents) -> std::io::Result<Box<dyn StartedEngine>> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let process = self.worker.child(format!("{}e{number}", self.worker.name));
        let (frames, inbox) = mpsc::channel(256);
        let options = TaskOptions {
            clock: self.site.clock(),
            seed: process.world.number(),
        };
        let parts = Parts {
            site: Arc::clone(&self.site),
            process: Arc::clone(&process),
        };
        tokio::spawn(live(parts, options, inbox, events));
        Ok(Box::new(RunningEngine { frames, process }))
    }

    fn monotonic_ms(&self) -> u64 {
        self.site.clock().now().0
    }
}

async fn live(parts: Parts, options: TaskOptions, inbox: mpsc::Receiver<ToEngine>, events: EngineEvents) {
    let process = Arc::clone(&parts.process);
    let (to_supervisor, mut said) = mpsc::channel::<FromEngine>(64);
    let life = run_on_tasks(&parts, options, inbox, to_supervisor);
    let tell = async {
        while let Some(frame) = said.recv().await {
            process.pause().await;
            if !events.said(frame).await {
                return;
            }
        }
    };
    let whole = async { tokio::join!(life, tell).0 };
    let status = tokio::select! {
        biased;
        signal = process.death() => {
            process.world.count("engine_deaths");
            ExitStatus::from_raw(signal)
        }
        ended = whole => match ended {
            Ok(Ending::Told) => ExitStatus::from_raw(0),
            Ok(Ending::Refused) => ExitStatus::from_raw(78 << 8),
            Ok(Ending::Broken) | Err(_) => ExitStatus::from_raw(75 << 8),
        },
    };
    // What it spawned is dead with it.
    process.kill(9);
    process.world.note(format!("{} ended: {status}", process.name));
    events.died(status, false).await;
}

/// What one engine works with.
struct Parts {
    site: Arc<Site>,
    process: Arc<Process>,
}

#[derive(Debug)]
struct Roots {
    site: Arc<Site>,
    process: Arc<Process>,
}

#[async_trait]
impl Datasets for Roots {
    async fn open(&self, _root: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        Ok(self.site.dataset(&self.process))
    }

    async fn previews(&self, _root: Option<&str>) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        Ok(self.site.dataset(&self.process))
    }
}

#[async_trait]
impl OpenParts for Parts {
    async fn open(&self, _config: &EngineConfig) -> Result<EngineParts, String> {
        self.process.pause().await;
        Ok(EngineParts {
            model: Arc::new(Model::new(Arc::clone(&self.process))),
            index: self.site.index(&self.process),
            datasets: Arc::new(Roots {
                site: Arc::clone(&self.site),
                process: Arc::clone(&self.process),
            }),
            encoder: None,
        })
    }
}
