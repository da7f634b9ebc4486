//! A whole folder: listed, chosen, fetched, checked, recorded.

use crate::client::Client;
use crate::config::HubOptions;
use crate::download::{Download, present};
use crate::error::HubError;
use crate::listing::{Listing, RemoteFile};
use crate::progress::Progress;
use crate::reference::HubRef;
use crate::select::{CONFIG, Folder, MODULES, Unfit, folders, some_of};
use crate::source::{self, Source, SourceFile};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Says that a folder is being filled, and is locked by who does.
const LOCK: &str = ".sightline-pull.lock";

/// A folder that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Where it is.
    pub folder: PathBuf,
    /// What it is.
    pub source: Source,
    /// Whether something was fetched, and not all of it was there.
    pub fetched: bool,
}

/// Pulls a model into a folder that is new, empty, or holds a part of it.
///
/// # Errors
/// Where the hub, the disk or the model does not allow it; what came until then stays, and the next pull goes on there.
pub async fn pull_into(
    model: &HubRef,
    folder: &Path,
    options: &HubOptions,
    progress: &dyn Progress,
) -> Result<Pulled, HubError> {
    let client = Client::new(options, model)?;
    let listing = Listing::fetch(&client).await?;
    progress.resolved(&model.to_string(), &listing.commit);
    pull_listed(&client, &listing, folder, progress).await
}

/// Pulls what was listed.
pub(crate) async fn pull_listed(
    client: &Client<'_>,
    listing: &Listing,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Pulled, HubError> {
    let occupied = |holds: String| HubError::Occupied {
        folder: folder.to_owned(),
        holds,
    };
    let already = |source: Source| {
        if (source.repository.as_str(), source.commit.as_str()) == (&client.model.repository(), &listing.commit) {
            return Ok(Pulled {
                folder: folder.to_owned(),
                source,
                fetched: false,
            });
        }
        Err(occupied(format!("holds {} at {}", source.repository, source.commit)))
    };
    if let Some(source) = Source::read(folder)? {
        return already(source);
    }
    if let Some(holds) = foreign(folder)? {
        return Err(occupied(format!("holds other files ({holds})")));
    }
    check_early(client, listing)?;
    std::fs::create_dir_all(folder).map_err(|error| HubError::write(folder, 0, error))?;
    let _lock = lock(folder).await?;
    // Another process may have pulled it while this one waited.
    if let Some(source) = Source::read(folder)? {
        return already(source);
    }
    let download = Download {
        client,
        commit: &listing.commit,
        folder,
        progress,
    };
    let files = fetch(&download, listing).await?;
    let source = Source {
        endpoint: client.options.shown_endpoint(),
        repository: client.model.repository(),
        revision: client.model.revision().to_owned(),
        commit: listing.commit.clone(),
        files: files.into_values().map(record).collect(),
    };
    source.write(folder)?;
    let path = folder.join(LOCK);
    std::fs::remove_file(&path).map_err(|error| HubError::io("delete", &path, error))?;
    Ok(Pulled {
        folder: folder.to_owned(),
        source,
        fetched: true,
    })
}

fn record(file: &RemoteFile) -> SourceFile {
    SourceFile {
        path: file.path.clone(),
        bytes: file.bytes,
        digest: file.digest.to_string(),
    }
}

/// What the list alone can tell: nothing is fetched of a model that cannot be used.
fn check_early(client: &Client<'_>, listing: &Listing) -> Result<(), HubError> {
    let unfit = |unfit| refuse(client, listing, unfit);
    match (listing.files.contains_key(CONFIG), listing.files.contains_key(MODULES)) {
        (false, false) => Err(unfit(Unfit::Missing(CONFIG.to_owned()))),
        (true, false) => {
            let root = Folder {
                path: String::new(),
                // A pair has its weights below.
                needs_weights: false,
            };
            root.check(listing).map_err(unfit)
        }
        (_, true) => Ok(()),
    }
}

/// Fetches first what says what belongs to the model, then the rest.
async fn fetch<'l>(
    download: &Download<'_>,
    listing: &'l Listing,
) -> Result<BTreeMap<&'l str, &'l RemoteFile>, HubError> {
    let unfit = |unfit| refuse(download.client, listing, unfit);
    for name in [CONFIG, MODULES] {
        if let Some(file) = listing.files.get(name) {
            download.file(file).await?;
        }
    }
    let (config, modules) = (read(download, listing, CONFIG)?, read(download, listing, MODULES)?);
    let folders = folders(config.as_deref(), modules.as_deref()).map_err(unfit)?;
    let mut chosen = BTreeMap::new();
    for folder in &folders {
        folder.check(listing).map_err(unfit)?;
        let mut index = None;
        if let Some(file) = folder.index(listing) {
            download.file(file).await?;
            index = read(download, listing, &file.path)?;
        }
        let weights = folder.weights(listing, index.as_deref()).map_err(unfit)?;
        let files = folder.descriptions(listing).into_iter().chain(weights);
        chosen.extend(files.map(|file| (file.path.as_str(), file)));
    }
    let bytes = chosen.values().map(|file| file.bytes).fold(0, u64::saturating_add);
    let there = chosen
        .values()
        .map(|file| present(download.folder, file))
        .fold(0, u64::saturating_add);
    check_room(download.folder, bytes - there)?;
    download.progress.begins(chosen.len(), bytes, there);
    for file in chosen.values() {
        download.file(file).await?;
    }
    Ok(chosen)
}

fn read(download: &Download<'_>, listing: &Listing, name: &str) -> Result<Option<Vec<u8>>, HubError> {
    if !listing.files.contains_key(name) {
        return Ok(None);
    }
    let path = download.folder.join(name);
    let text = std::fs::read(&path).map_err(|error| HubError::io("read", &path, error))?;
    Ok(Some(text))
}

fn refuse(client: &Client<'_>, listing: &Listing, unfit: Unfit) -> HubError {
    let repository = client.model.repository();
    match unfit {
        Unfit::OnlyPickles(found) => HubError::OnlyPickles { repository, found },
        Unfit::Missing(missing) => HubError::NoModel {
            repository,
            commit: listing.commit.clone(),
            missing,
            present: some_of(&listing.files.keys().map(String::as_str).collect::<Vec<_>>()),
        },
        Unfit::Index(what) => client.protocol(what),
    }
}

/// Says what is missing on the disk before the download rather than at its end.
fn check_room(folder: &Path, needed: u64) -> Result<(), HubError> {
    // A file system that does not tell is tried.
    let Ok(found) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free >= needed {
        return Ok(());
    }
    Err(HubError::NoRoom {
        folder: folder.to_owned(),
        needed,
        free: format!(", {free} are free"),
    })
}

/// Names of a folder that no pull left; none where it may be filled.
fn foreign(folder: &Path) -> Result<Option<String>, HubError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HubError::io("list", folder, error)),
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() || names.iter().any(|name| name == LOCK || name == source::FILE) {
        return Ok(None);
    }
    Ok(Some(some_of(&names.iter().map(String::as_str).collect::<Vec<_>>())))
}

/// Waits until no other process fills the folder.
async fn lock(folder: &Path) -> Result<File, HubError> {
    let path = folder.join(LOCK);
    let opened = path.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(&opened)?;
        file.lock()?;
        Ok(file)
    });
    let locked = locked.await.map_err(|_| HubError::Interrupted)?;
    locked.map_err(|error| HubError::write(&path, 0, error))
}
