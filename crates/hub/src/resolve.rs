//! From what `--model` was given to a folder.

use crate::cache::Cache;
use crate::client::Client;
use crate::config::{HubConfig, HubOptions};
use crate::error::HubError;
use crate::listing::Listing;
use crate::progress::{Logged, Progress};
use crate::pull::{Pulled, pull_listed};
use crate::reference::{HubRef, ModelPlace};
use std::path::{Path, PathBuf};

/// The folder of a model: one that is given is taken as it is, `hf:…` is looked for in the cache, and pulled where it is
/// not there. A branch or tag means the commit that it was when it was first resolved, until it is [pulled](pull) again.
///
/// # Errors
/// Where `hf:…` is no model's name, or cannot be pulled.
pub async fn resolve(given: &Path, options: &HubOptions, progress: &dyn Progress) -> Result<PathBuf, HubError> {
    let model = match ModelPlace::of(given)? {
        ModelPlace::Folder(folder) => return Ok(folder),
        ModelPlace::Hub(model) => model,
    };
    let cache = Cache(options.cache.as_deref().ok_or(HubError::NoCache)?);
    if let Some((commit, folder)) = cache.find(&model)? {
        progress.resolved(&model.to_string(), &commit);
        return Ok(folder);
    }
    // A branch whose folder was deleted stays what it was.
    let pinned = cache.commit(&model)?.map(|commit| model.at(&commit));
    Ok(
        pull_recorded(&model, pinned.as_ref().unwrap_or(&model), cache, options, progress)
            .await?
            .folder,
    )
}

impl HubConfig {
    /// The same for a service: by its configuration and the variables of this process, told to the log.
    ///
    /// # Errors
    /// As [`resolve`], and where HF_ENDPOINT is no address.
    pub async fn folder_of(&self, given: &Path) -> Result<PathBuf, HubError> {
        resolve(given, &self.options_of_process()?, &Logged).await
    }
}

/// Pulls a model into the cache; a branch or tag as it is now.
///
/// # Errors
/// As [`crate::pull_into`], and where the hub may not be asked and it is not there.
pub async fn pull(model: &HubRef, options: &HubOptions, progress: &dyn Progress) -> Result<Pulled, HubError> {
    let cache = Cache(options.cache.as_deref().ok_or(HubError::NoCache)?);
    pull_recorded(model, model, cache, options, progress).await
}

async fn pull_recorded(
    model: &HubRef,
    asked: &HubRef,
    cache: Cache<'_>,
    options: &HubOptions,
    progress: &dyn Progress,
) -> Result<Pulled, HubError> {
    if options.offline {
        return Err(HubError::Offline {
            model: model.to_string(),
            cache: cache.0.to_owned(),
        });
    }
    let client = Client::new(options, asked)?;
    let listing = Listing::fetch(&client).await?;
    progress.resolved(&model.to_string(), &listing.commit);
    let folder = cache.folder(model, &listing.commit);
    let pulled = pull_listed(&client, &listing, &folder, progress).await?;
    cache.record(model, &listing.commit)?;
    Ok(pulled)
}

/// The folder of a model that was pulled whole; the hub is not asked.
///
/// # Errors
/// Where the cache cannot be read.
pub fn pulled(model: &HubRef, options: &HubOptions) -> Result<Option<PathBuf>, HubError> {
    let Some(cache) = options.cache.as_deref() else {
        return Ok(None);
    };
    Ok(Cache(cache).find(model)?.map(|(_, folder)| folder))
}

/// The name that runs ask for, where none is given: the folder's, or the model's on the hub.
#[must_use]
pub fn model_name(given: &Path) -> Option<String> {
    match ModelPlace::of(given) {
        Ok(ModelPlace::Hub(model)) => Some(model.name().to_owned()),
        Ok(ModelPlace::Folder(folder)) => Some(folder.file_name()?.to_str()?.to_owned()),
        Err(_) => None,
    }
}
