//! One thread owns a model and its device; everybody else sends it batches.

use crate::canary::{self, CanaryError};
use crate::encoder::{Embedding, LoadedModel, Started, TextRole};
use crate::error::ModelError;
use sightline_core::{Canary, CollectionDescription, ModelName, VectorField, VectorSpace};
use sightline_pictures::{PreparedPicture, Preprocessor};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::{mpsc, oneshot, watch};

/// Why a batch was not computed.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The model said why; the runner goes on.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The canaries said why; the runner goes on.
    #[error(transparent)]
    Canary(#[from] CanaryError),
    /// The thread panicked, in this batch or before; it computes no more.
    #[error("the model's thread stopped ({0}): start the process again, and report it")]
    Stopped(String),
    /// The thread could not be started.
    #[error("cannot start the model's thread: {0}")]
    Thread(std::io::Error),
}

/// How the thread is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It takes batches.
    Serving,
    /// It computes no more, for this reason.
    Stopped(String),
}

/// What a loaded model is.
#[derive(Debug, Clone)]
pub struct RunnerInfo {
    /// Its name.
    pub model: ModelName,
    /// The spaces of the fields that it fills.
    pub spaces: BTreeMap<VectorField, VectorSpace>,
    /// Where it computes: `cpu`, `cuda:0`.
    pub device: String,
    /// How numbers are held: `f32`.
    pub precision: String,
    /// Prepares pictures, on any thread; `None` where the model embeds none.
    pub preprocessor: Option<Arc<Preprocessor>>,
}

type Reply<T> = oneshot::Sender<Result<T, RunnerError>>;

enum Command {
    Images(Vec<PreparedPicture>, Reply<Vec<Embedding>>),
    Texts(Vec<String>, TextRole, Reply<Vec<Embedding>>),
    Canaries(Reply<BTreeMap<VectorField, Vec<Canary>>>),
    Check(Box<CollectionDescription>, Reply<()>),
}

/// A model on a thread of its own. Batches are computed one after the other, in the order they were sent; where a device
/// of its own computes, the next is prepared meanwhile. A batch whose sender is gone is left out. Dropping the runner ends the thread after the batch at hand, and waits for it.
#[derive(Debug)]
pub struct ModelRunner {
    info: RunnerInfo,
    health: watch::Receiver<Health>,
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl ModelRunner {
    /// Starts a thread and loads the model on it. `waiting` batches may wait (at least one); whoever sends more waits.
    ///
    /// # Errors
    /// When the model cannot be loaded; nothing is left behind then.
    pub async fn start<L>(waiting: usize, load: L) -> Result<Self, RunnerError>
    where
        L: FnOnce() -> Result<LoadedModel, ModelError> + Send + 'static,
    {
        let (commands, inbox) = mpsc::channel(waiting.max(1));
        let (loaded, ready) = oneshot::channel();
        let (report, health) = watch::channel(Health::Serving);
        let thread = thread::Builder::new()
            .name("sightline-model".to_owned())
            .spawn(move || own_model(load, loaded, inbox, &report))
            .map_err(RunnerError::Thread)?;
        let info = match ready.await {
            Ok(loaded) => loaded?,
            Err(_) => return Err(RunnerError::Stopped("it ended while loading".to_owned())),
        };
        Ok(Self {
            info,
            health,
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// What the model is.
    #[must_use]
    pub fn info(&self) -> &RunnerInfo {
        &self.info
    }

    /// How the thread is, now and in future.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Embeds pictures that [`RunnerInfo::preprocessor`] prepared: one embedding each, in order.
    ///
    /// # Errors
    /// When the batch cannot be computed, or the thread has stopped.
    pub async fn encode_images(&self, pictures: Vec<PreparedPicture>) -> Result<Vec<Embedding>, RunnerError> {
        self.ask(|reply| Command::Images(pictures, reply)).await
    }

    /// Embeds texts: one embedding each, in order.
    ///
    /// # Errors
    /// When the batch cannot be computed, or the thread has stopped.
    pub async fn encode_texts(&self, texts: Vec<String>, role: TextRole) -> Result<Vec<Embedding>, RunnerError> {
        self.ask(|reply| Command::Texts(texts, role, reply)).await
    }

    /// The vectors of the built-in canaries; see [`canary::canaries`].
    ///
    /// # Errors
    /// When they cannot be computed, or the thread has stopped.
    pub async fn canaries(&self) -> Result<BTreeMap<VectorField, Vec<Canary>>, RunnerError> {
        self.ask(Command::Canaries).await
    }

    /// Proves that the model computes a collection's spaces; see [`canary::check`].
    ///
    /// # Errors
    /// When it does not, or the thread has stopped.
    pub async fn check(&self, description: &CollectionDescription) -> Result<(), RunnerError> {
        let description = Box::new(description.clone());
        self.ask(|reply| Command::Check(description, reply)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, RunnerError> {
        let (reply, answer) = oneshot::channel();
        let Some(commands) = &self.commands else {
            return Err(self.stopped());
        };
        if commands.send(command(reply)).await.is_err() {
            return Err(self.stopped());
        }
        answer.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    fn stopped(&self) -> RunnerError {
        RunnerError::Stopped(match &*self.health.borrow() {
            Health::Stopped(reason) => reason.clone(),
            Health::Serving => "it is being shut down".to_owned(),
        })
    }
}

impl Drop for ModelRunner {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(model = %self.info.model, "the model's thread ended by a panic");
        }
    }
}

fn own_model<L>(
    load: L,
    loaded: oneshot::Sender<Result<RunnerInfo, RunnerError>>,
    mut inbox: mpsc::Receiver<Command>,
    health: &watch::Sender<Health>,
) where
    L: FnOnce() -> Result<LoadedModel, ModelError>,
{
    let model = match guarded(|| load().map_err(RunnerError::from)) {
        Ok(model) => model,
        Err(error) => {
            if loaded.send(Err(error)).is_err() {
                tracing::debug!("nobody waits for the model that failed to load");
            }
            return;
        }
    };
    if loaded.send(Ok(info(&model))).is_err() {
        return;
    }
    let mut work = Work {
        model,
        health,
        ahead: None,
    };
    while let Some(command) = work.next(&mut inbox) {
        if !work.take(command) {
            return;
        }
    }
}

/// A batch that the device may still compute, and who waits for it.
type Ahead = (Started, Reply<Vec<Embedding>>);

/// What the thread does.
struct Work<'a> {
    model: LoadedModel,
    health: &'a watch::Sender<Health>,
    ahead: Option<Ahead>,
}

impl Work<'_> {
    /// The next command; nothing when there is none any more. What the device computes is waited for as soon as there is
    /// nothing to prepare beside it.
    fn next(&mut self, inbox: &mut mpsc::Receiver<Command>) -> Option<Command> {
        if self.ahead.is_some() {
            if let Ok(command) = inbox.try_recv() {
                return Some(command);
            }
            if !self.finish() {
                return None;
            }
        }
        inbox.blocking_recv()
    }

    /// Does what a command asks for; false when the thread has to end.
    fn take(&mut self, command: Command) -> bool {
        if let Command::Images(pictures, reply) = command {
            return self.begin(&pictures, reply);
        }
        if !self.finish() {
            return false;
        }
        let (model, health) = (&self.model, self.health);
        match command {
            Command::Images(..) => true,
            Command::Texts(texts, role, reply) => answer(reply, health, || Ok(model.encode_texts(&texts, role)?)),
            Command::Canaries(reply) => answer(reply, health, || Ok(canary::canaries(model)?)),
            Command::Check(description, reply) => answer(reply, health, || Ok(canary::check(&description, model)?)),
        }
    }

    /// Prepares a batch while the one before it is computed, and begins with it when that one has ended: its vectors are read
    /// in the order in which the device computes, so that they would wait for what is begun before.
    fn begin(&mut self, pictures: &[PreparedPicture], reply: Reply<Vec<Embedding>>) -> bool {
        if reply.is_closed() {
            return true;
        }
        let prepared = guarded(|| Ok(self.model.prepare_images(pictures)?));
        if !self.finish() {
            return false;
        }
        let started = prepared.and_then(|batch| guarded(|| Ok(self.model.start_images(batch)?)));
        match started {
            Ok(started) => self.ahead = Some((started, reply)),
            Err(error) => return tell(reply, self.health, Err(error)),
        }
        self.model.computes_aside() || self.finish()
    }

    /// Waits for the batch that is computed, if there is one.
    fn finish(&mut self) -> bool {
        let Some((started, reply)) = self.ahead.take() else {
            return true;
        };
        tell(reply, self.health, guarded(|| Ok(self.model.finish_images(started)?)))
    }
}

fn info(model: &LoadedModel) -> RunnerInfo {
    RunnerInfo {
        model: model.folder.name.clone(),
        spaces: model.folder.spaces.clone(),
        device: model.device.clone(),
        precision: model.precision.to_string(),
        preprocessor: model.preprocessor(),
    }
}

/// Computes and replies; false when the thread has to end.
fn answer<T>(reply: Reply<T>, health: &watch::Sender<Health>, work: impl FnOnce() -> Result<T, RunnerError>) -> bool {
    reply.is_closed() || tell(reply, health, guarded(work))
}

/// Replies; false when the thread has to end. A model that panicked may be in any state.
fn tell<T>(reply: Reply<T>, health: &watch::Sender<Health>, result: Result<T, RunnerError>) -> bool {
    let stopped = match &result {
        Err(RunnerError::Stopped(reason)) => Some(reason.clone()),
        _ => None,
    };
    // Health first: whoever sees the error also sees the state.
    let go_on = stopped.is_none();
    if let Some(reason) = stopped {
        health.send_replace(Health::Stopped(reason));
    }
    if reply.send(result).is_err() {
        tracing::debug!("whoever sent this batch is gone");
    }
    go_on
}

fn guarded<T>(work: impl FnOnce() -> Result<T, RunnerError>) -> Result<T, RunnerError> {
    // What a panic leaves behind is never used again: the thread ends.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(RunnerError::Stopped(message(panic.as_ref()))))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests;
