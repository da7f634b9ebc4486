//! One file: fetched beside its name, taken up again where it broke, checked, and moved to its name.

use crate::client::{Client, words};
use crate::error::HubError;
use crate::listing::RemoteFile;
use crate::progress::Progress;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

/// Longest wait before a broken download is taken up again.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Where a pull puts the files of a commit.
pub(crate) struct Download<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) commit: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) progress: &'a dyn Progress,
}

/// How one request for a file ended.
enum Ended {
    /// The server has sent what it announced.
    Whole,
    /// The connection broke; whether any byte came before, and why.
    Broke { came: bool, reason: String },
}

/// Bytes of a file that are on the disk already.
pub(crate) fn present(folder: &Path, file: &RemoteFile) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    match length(&folder.join(&file.path)) {
        0 => length(&part(folder, file)).min(file.bytes),
        whole => whole.min(file.bytes),
    }
}

fn part(folder: &Path, file: &RemoteFile) -> PathBuf {
    folder.join(format!("{}.part", file.path))
}

impl Download<'_> {
    /// Fetches a file, unless it is there and right.
    pub(crate) async fn file(&self, file: &RemoteFile) -> Result<(), HubError> {
        let (path, part) = (self.folder.join(&file.path), part(self.folder, file));
        if is_right(file, &path).await? {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| HubError::write(&path, file.bytes, error))?;
        }
        self.progress.file(&file.path, file.bytes);
        // What an earlier pull left may be of another commit, or damaged: then once more from the beginning.
        let mut taken_up = length(&part) > 0;
        loop {
            self.fetch(file, &part).await?;
            if is_right(file, &part).await? {
                break;
            }
            remove(&part)?;
            if !taken_up {
                return Err(HubError::Digest {
                    path: file.path.clone(),
                    digest: file.digest.to_string(),
                });
            }
            taken_up = false;
            self.progress.again(file.bytes);
        }
        std::fs::rename(&part, &path).map_err(|error| HubError::io("write", &path, error))
    }

    /// Fetches until the part is as long as the file, over as many connections as it takes.
    async fn fetch(&self, file: &RemoteFile, part: &Path) -> Result<(), HubError> {
        let options = self.client.options;
        let (mut failures, mut delay) = (0, options.retry);
        loop {
            let have = length(part);
            if have == file.bytes && (have > 0 || part.exists()) {
                return Ok(());
            }
            if have > file.bytes {
                remove(part)?;
                continue;
            }
            let reason = match self.connection(file, part, have).await? {
                Ended::Whole => continue,
                Ended::Broke { came, reason } => {
                    if came {
                        (failures, delay) = (0, options.retry);
                    }
                    reason
                }
            };
            failures += 1;
            if failures >= options.attempts {
                return Err(HubError::Broken {
                    path: file.path.clone(),
                    have: length(part),
                    bytes: file.bytes,
                    reason,
                });
            }
            self.progress.retrying(&file.path, &reason);
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(MAX_RETRY);
        }
    }

    /// One request, from the byte `have` on.
    async fn connection(&self, file: &RemoteFile, part: &Path, have: u64) -> Result<Ended, HubError> {
        let mut request = self.client.file(self.commit, &file.path);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let answer = match self.client.send(request, &file.path).await {
            Ok(answer) => answer,
            Err(HubError::Unreachable { reason, .. }) => return Ok(Ended::Broke { came: false, reason }),
            // Too many requests, and servers that are overloaded or restarted.
            Err(HubError::Answer { status, .. }) if status == 429 || (500..600).contains(&status) => {
                let reason = format!("the server answered {status}");
                return Ok(Ended::Broke { came: false, reason });
            }
            // The server has less than is here: once more from the beginning.
            Err(HubError::Answer { status: 416, .. }) if have > 0 => {
                remove(part)?;
                self.progress.again(have);
                return Ok(Ended::Whole);
            }
            Err(error) => return Err(error),
        };
        let start = self.start(&answer, have)?;
        if start < have {
            self.progress.again(have);
        }
        let mut out = open(part, start)
            .await
            .map_err(|error| HubError::write(part, file.bytes - start, error))?;
        let ended = self.receive(answer, file, &mut out, part, start).await;
        // Tokio's files write behind; what was not flushed would be lost.
        let flushed = out
            .flush()
            .await
            .map_err(|error| HubError::write(part, file.bytes, error));
        let ended = ended?;
        flushed.map(|()| ended)
    }

    /// From which byte the server sends: it may not know of ranges, and begin anew.
    fn start(&self, answer: &Response, have: u64) -> Result<u64, HubError> {
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(0);
        }
        let range = answer
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok());
        let start = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok());
        match start {
            Some(start) if start == have => Ok(start),
            _ => Err(self
                .client
                .protocol(format!("it was asked for bytes from {have} on and sent {range:?}"))),
        }
    }

    async fn receive(
        &self,
        mut answer: Response,
        file: &RemoteFile,
        out: &mut File,
        part: &Path,
        start: u64,
    ) -> Result<Ended, HubError> {
        let mut have = start;
        let broke = |have, reason| {
            Ok(Ended::Broke {
                came: have > start,
                reason,
            })
        };
        loop {
            let chunk = match tokio::time::timeout(self.client.options.stall, answer.chunk()).await {
                Err(_) => return broke(have, self.client.stalled()),
                Ok(Err(error)) => return broke(have, words(&error)),
                Ok(Ok(None)) if have < file.bytes => return broke(have, "the server ended it too early".to_owned()),
                Ok(Ok(None)) => return Ok(Ended::Whole),
                Ok(Ok(Some(chunk))) => chunk,
            };
            have += chunk.len() as u64;
            if have > file.bytes {
                return Err(HubError::Length {
                    path: file.path.clone(),
                    bytes: file.bytes,
                });
            }
            let written = out.write_all(&chunk).await;
            written.map_err(|error| HubError::write(part, file.bytes - have + chunk.len() as u64, error))?;
            self.progress.bytes(chunk.len() as u64);
        }
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

fn remove(path: &Path) -> Result<(), HubError> {
    std::fs::remove_file(path).map_err(|error| HubError::io("delete", path, error))
}

/// Opens a part to go on at `start`; what is behind that is dropped.
async fn open(part: &Path, start: u64) -> std::io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(part)
        .await?;
    // Devices and pipes have no length to set.
    if file.metadata().await?.is_file() {
        file.set_len(start).await?;
        file.seek(std::io::SeekFrom::Start(start)).await?;
    }
    Ok(file)
}

/// Whether a file is there with the right bytes.
async fn is_right(file: &RemoteFile, path: &Path) -> Result<bool, HubError> {
    if length(path) != file.bytes || !path.is_file() {
        return Ok(false);
    }
    let (digest, owned) = (file.digest.clone(), path.to_owned());
    let checked = tokio::task::spawn_blocking(move || digest.is_of(&owned)).await;
    let checked = checked.map_err(|_| HubError::Interrupted)?;
    checked.map_err(|error| HubError::io("read", path, error))
}
