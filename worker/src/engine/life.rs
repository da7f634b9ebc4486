//! The engine's life, whatever its frames come through: the model is loaded, works are opened, worked on and closed.

use super::around::Around;
use super::lease::Lease;
use super::outbox::{Note, Outbox};
use super::pipeline::Pipeline;
use super::sizes::Sizes;
use super::work::Work;
use super::{EngineParts, OpenParts};
use crate::config::EngineConfig;
use crate::embedding::serve_socket;
use crate::ipc::{FromEngine, PROTOCOL_VERSION, ToEngine, WorkId};
use crate::journal::Journal;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Instrument;

/// How often the stages are reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Why an engine ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was told to, or nobody is left to tell it anything.
    Told,
    /// Its configuration can never work; a frame said why.
    Refused,
    /// Its device or a part of it is broken: a new engine may do.
    Broken,
}

/// What an engine's life takes.
pub(crate) struct Life<'a> {
    pub(crate) config: &'a EngineConfig,
    pub(crate) journal: &'a Path,
    pub(crate) lease: Lease,
    pub(crate) outbox: Outbox,
    pub(crate) around: Around,
}

impl Life<'_> {
    /// Lives until it ends. Tasks of works that nobody waits for may go on after that: whoever calls ends them.
    pub(crate) async fn serve(
        self,
        open: &dyn OpenParts,
        mut inbox: mpsc::Receiver<ToEngine>,
    ) -> Result<Ending, String> {
        let outbox = self.outbox;
        let pipeline = &self.config.pipeline;
        let machine = self.around.machine.limited_to(self.config.memory_limit);
        let opened = open.open(self.config).await.and_then(|parts| {
            let threads = self.config.model.threads_on(machine.cores);
            let sizes = Sizes::of(pipeline, parts.model.as_ref(), machine, threads)?;
            Ok((parts, sizes))
        });
        let (parts, sizes) = match opened {
            Ok(opened) => opened,
            Err(message) => {
                tracing::error!(message, "the engine cannot start");
                outbox.send(Note::Frame(FromEngine::Refused { message })).await;
                return Ok(Ending::Refused);
            }
        };
        if let (Some(socket), Some(encoder)) = (&self.config.embedding, &parts.encoder) {
            serve_socket(socket, Arc::clone(encoder))?;
        }
        let hello = hello(&parts, &sizes);
        let journal = Journal::create(self.journal, sizes.max_items).map_err(|error| format!("journal: {error}"))?;
        let (fatal, mut died) = mpsc::channel(1);
        let pipeline = Pipeline::start(parts, pipeline.clone(), sizes, journal, self.lease, self.around, fatal);
        let pipeline = Arc::new(pipeline.map_err(|error| format!("threads: {error}"))?);
        outbox.send(Note::Frame(hello)).await;
        let mut works: HashMap<WorkId, Arc<Work>> = HashMap::new();
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                Some(why) = died.recv() => {
                    tracing::error!(why, "the engine ends itself");
                    return Ok(Ending::Broken);
                }
                _ = report.tick() => {
                    let (stages, batches) = pipeline.stages.report();
                    let (load, calls) = (pipeline.load(), open.index_calls());
                    let report = FromEngine::Stages { stages, batches, load, calls };
                    outbox.send(Note::Frame(report)).await;
                }
                frame = inbox.recv() => match frame {
                    Some(ToEngine::Stop) | None => return Ok(Ending::Told),
                    Some(frame) => handle(frame, &pipeline, &mut works, &outbox),
                },
            }
        }
    }
}

fn hello(parts: &EngineParts, sizes: &Sizes) -> FromEngine {
    FromEngine::Hello {
        version: PROTOCOL_VERSION,
        model: parts.model.name().clone(),
        fields: parts.model.fields().clone(),
        devices: parts.model.devices(),
        max_items: sizes.max_items,
        batch_items: sizes.batch_items,
    }
}

fn handle(frame: ToEngine, pipeline: &Arc<Pipeline>, works: &mut HashMap<WorkId, Arc<Work>>, outbox: &Outbox) {
    match frame {
        ToEngine::Open { work, job } => {
            let preprocessing = match &job.imported {
                Some(imported) => imported.identity(),
                None => pipeline.preprocessing(&job.fields) + &job.reading,
            };
            works.insert(work, Arc::new(Work::new(work, *job, preprocessing, outbox.clone())));
        }
        ToEngine::Items { work, items, urgent } => {
            if let Some(work) = works.get(&work) {
                work.rows.given(items.len());
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
