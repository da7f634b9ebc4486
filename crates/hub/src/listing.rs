//! What a revision holds.

use crate::client::Client;
use crate::digest::FileDigest;
use crate::error::HubError;
use crate::reference::is_commit;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// A list of files is some hundred kilobytes at most.
const MAX_LIST: usize = 32 << 20;

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// With `/`; it stays below the folder.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) digest: FileDigest,
}

/// The files of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, RemoteFile>,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    oid: Option<String>,
    size: Option<u64>,
}

impl Listing {
    /// Asks the hub which commit a revision is, and what is in it.
    pub(crate) async fn fetch(client: &Client<'_>) -> Result<Self, HubError> {
        let what = client.model.to_string();
        let answer = client.send(client.info(), &what).await?;
        let body = body(client, answer).await?;
        let info: Info = serde_json::from_slice(&body)
            .map_err(|error| client.protocol(format!("its answer for {what} is no model's description ({error})")))?;
        Self::of(info).map_err(|what| client.protocol(what))
    }

    fn of(info: Info) -> Result<Self, String> {
        if !is_commit(&info.sha) {
            return Err(format!(
                "{:?} is no commit",
                info.sha.chars().take(80).collect::<String>()
            ));
        }
        let listed = info.siblings.len();
        let files = info.siblings.into_iter().filter_map(Sibling::file);
        let files: BTreeMap<String, RemoteFile> = files.map(|file| (file.path.clone(), file)).collect();
        if files.is_empty() && listed > 0 {
            return Err(format!("it lists {listed} files, and of none a length and a digest"));
        }
        Ok(Self {
            commit: info.sha,
            files,
        })
    }
}

impl Sibling {
    /// None where it has no length or digest, or leads out of the folder: such a file cannot be chosen.
    fn file(self) -> Option<RemoteFile> {
        let plain = Path::new(&self.rfilename)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !plain || self.rfilename.is_empty() || self.rfilename.contains('\\') {
            return None;
        }
        let lfs = self.lfs.as_ref();
        let sha256 = lfs.and_then(|lfs| lfs.sha256.as_deref().or(lfs.oid.as_deref()));
        let digest = match (sha256.map(|hex| hex.trim_start_matches("sha256:")), self.blob_id) {
            (Some(hex), _) => FileDigest::Sha256(is_hex(hex, 64)?),
            (None, Some(hex)) => FileDigest::Git(is_hex(&hex, 40)?),
            (None, None) => return None,
        };
        Some(RemoteFile {
            bytes: lfs.and_then(|lfs| lfs.size).or(self.size)?,
            path: self.rfilename,
            digest,
        })
    }
}

fn is_hex(text: &str, length: usize) -> Option<String> {
    let whole = text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| text.to_ascii_lowercase())
}

/// Reads an answer, which may not stall and may not be endless.
async fn body(client: &Client<'_>, mut answer: reqwest::Response) -> Result<Vec<u8>, HubError> {
    let broken = |reason: String| HubError::Unreachable {
        endpoint: client.options.shown_endpoint(),
        what: client.model.to_string(),
        reason,
    };
    let mut body = Vec::new();
    loop {
        let next = tokio::time::timeout(client.options.stall, answer.chunk()).await;
        let next = next.map_err(|_| broken(client.stalled()))?;
        match next.map_err(|error| broken(crate::client::words(&error)))? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > MAX_LIST => {
                return Err(client.protocol("its answer is longer than any model's description"));
            }
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listing(siblings: &serde_json::Value) -> Result<Listing, String> {
        Listing::of(serde_json::from_value(json!({"sha": "a".repeat(40), "siblings": siblings})).unwrap())
    }

    #[test]
    fn large_files_have_their_sha256_and_small_ones_gits() {
        let found = listing(&json!([
            {"rfilename": "config.json", "size": 3, "blobId": "B".repeat(40)},
            {"rfilename": "model.safetensors", "size": 9, "blobId": "c".repeat(40),
             "lfs": {"sha256": "d".repeat(64), "size": 9, "pointerSize": 130}},
        ]))
        .unwrap();
        assert_eq!(found.files["config.json"].digest, FileDigest::Git("b".repeat(40)));
        assert_eq!(
            found.files["model.safetensors"].digest,
            FileDigest::Sha256("d".repeat(64))
        );
        assert_eq!(found.files["model.safetensors"].bytes, 9);
    }

    #[test]
    fn files_that_lead_elsewhere_or_cannot_be_checked_are_no_files() {
        let digest = "b".repeat(40);
        let error = listing(&json!([{"rfilename": "config.json"}])).unwrap_err();
        assert!(error.contains("a length and a digest"), "{error}");
        let found = listing(&json!([
            {"rfilename": "config.json", "size": 3, "blobId": digest},
            {"rfilename": "../config.json", "size": 3, "blobId": digest},
            {"rfilename": "/etc/passwd", "size": 3, "blobId": digest},
            {"rfilename": "a/../../config.json", "size": 3, "blobId": digest},
            {"rfilename": "no-digest.json", "size": 3},
            {"rfilename": "no-size.json", "blobId": digest},
            {"rfilename": "bad-digest.json", "size": 3, "blobId": "../../x"},
        ]))
        .unwrap();
        assert_eq!(found.files.keys().collect::<Vec<_>>(), ["config.json"]);
    }

    #[test]
    fn a_commit_that_is_none_is_refused() {
        let info = serde_json::from_value(json!({"sha": "../../x", "siblings": []})).unwrap();
        assert!(Listing::of(info).unwrap_err().contains("no commit"));
    }
}
