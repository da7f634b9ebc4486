//! Which pictures are shown, as a dataset.

use crate::error::CliError;
use crate::ingest::dataset::root_url;
use crate::ingest::model::Model;
use crate::servers::Servers;
use crate::text::is_final;
use sightline_core::digest::PartsDigest;
use sightline_proto::v1;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use url::Url;

/// The table of the captioned pictures.
const STAMPS_MANIFEST: &str = "demo.jsonl";
/// Pictures that the shown searches start from.
const STAMPS_PICTURE: &str = "images/food/fruit/apple_red.png";
const STAMPS_OTHER: &str = "images/food/fruit/apple_granny_smith.png";
/// Enough shards to see them being worked on.
const SHARD_ITEMS: i32 = 64;
/// Runs that one page holds.
const PAGE: i32 = 200;

/// A folder of pictures.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    root: String,
    captioned: bool,
    dataset: String,
    collection: String,
}

impl Pictures {
    /// The captioned ones, or a person's own.
    pub(super) fn of(stamps: Option<&Path>, images: Option<&Path>) -> Result<Self, CliError> {
        if let Some(folder) = stamps {
            if !folder.join(STAMPS_MANIFEST).is_file() {
                return Err(CliError::Usage(format!(
                    "cannot show {}: there is no {STAMPS_MANIFEST} in it; run `make setup`, or show your own pictures \
                     with --images",
                    folder.display()
                )));
            }
            return Ok(Self {
                root: root_url(&folder.to_string_lossy())?,
                captioned: true,
                dataset: "stamps".into(),
                collection: "stamps".into(),
            });
        }
        let folder = images.unwrap_or(Path::new("."));
        let root = root_url(&folder.to_string_lossy())?;
        // Another folder is another dataset: its pictures are not among these.
        let digest: String = PartsDigest::new("sightline/demo/folder")
            .part(root.as_bytes())
            .hex()
            .chars()
            .take(8)
            .collect();
        let (dataset, collection) = (format!("pictures-{digest}"), format!("pictures_{digest}"));
        Ok(Self {
            root,
            captioned: false,
            dataset,
            collection,
        })
    }

    /// Where they lie, as a URL.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The collection's name.
    pub(super) fn collection(&self) -> &str {
        &self.collection
    }

    /// Whether they have captions.
    pub(super) fn have_captions(&self) -> bool {
        self.captioned
    }

    /// The keys of the two pictures that searches start from; none where a person's own are shown.
    pub(super) fn chosen(&self) -> Option<(&'static str, &'static str)> {
        self.captioned.then_some((STAMPS_PICTURE, STAMPS_OTHER))
    }

    /// The file of a row, by its path.
    pub(super) fn file(&self, image_path: &str) -> Option<PathBuf> {
        // The root is a URL, what stands behind it is the key as it is.
        let key = image_path.strip_prefix(&self.root)?.strip_prefix('/')?;
        Some(Url::parse(&self.root).ok()?.to_file_path().ok()?.join(key))
    }

    /// The run that indexes them.
    pub(super) fn spec(&self, model: &Model) -> v1::RunSpec {
        use v1::dataset::Source;
        let source = if self.captioned {
            Source::Manifest(v1::ManifestSource {
                path: STAMPS_MANIFEST.into(),
                ..v1::ManifestSource::default()
            })
        } else {
            Source::Prefix(v1::PrefixSource {})
        };
        let dataset = v1::Dataset {
            name: self.dataset.clone(),
            root: self.root.clone(),
            source: Some(source),
            dicom: None,
        };
        v1::RunSpec {
            kind: v1::JobKind::Embed.into(),
            dataset: Some(dataset),
            collection: format!("collections/{}", self.collection),
            model: model.name.clone(),
            fingerprints: model.fingerprints.clone(),
            shard_items: SHARD_ITEMS,
            ..v1::RunSpec::default()
        }
    }
}

/// The name of the next request of this specification: its digest, and how many such runs have ended. One that was cut
/// off is found again by its name, and goes on.
pub(super) async fn request_id(servers: &Servers, spec: &v1::RunSpec) -> Result<String, CliError> {
    let digest = digest(spec);
    let mut client = servers.coordinator().await?;
    let mut request = v1::ListRunsRequest {
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut ended = 0;
    loop {
        let answer = client.list_runs(request.clone()).await;
        let page = answer
            .map_err(|status| CliError::call("list runs", &status))?
            .into_inner();
        let same =
            |run: &&v1::Run| is_final(run.state()) && run.spec.as_ref().is_some_and(|s| self::digest(s) == digest);
        ended += page.runs.iter().filter(same).count();
        if page.next_page_token.is_empty() {
            return Ok(format!("demo-{digest}-{ended}"));
        }
        request.page_token = page.next_page_token;
    }
}

/// What tells the demo's specifications apart: all but what the coordinator fills in.
fn digest(spec: &v1::RunSpec) -> String {
    let dataset = spec.dataset.clone().unwrap_or_default();
    let mut digest = PartsDigest::new("sightline/demo/run");
    for part in [&dataset.name, &dataset.root, &spec.collection, &spec.model] {
        digest = digest.part(part.as_bytes());
    }
    for (field, fingerprint) in spec.fingerprints.iter().collect::<BTreeMap<_, _>>() {
        digest = digest.part(field.as_bytes()).part(fingerprint.as_bytes());
    }
    digest.hex().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_table_says_to_run_setup() {
        let dir = tempfile::tempdir().unwrap();
        let error = Pictures::of(Some(dir.path()), None).unwrap_err();
        assert!(error.to_string().contains("make setup"), "{error}");
    }

    #[test]
    fn two_folders_are_two_collections_and_files_are_found_by_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        let folders = ["a b", "c"].map(|name| dir.path().canonicalize().unwrap().join(name));
        let [first, second] = folders.clone().map(|folder| {
            std::fs::create_dir(&folder).unwrap();
            Pictures::of(None, Some(&folder)).unwrap()
        });
        assert_ne!(first.collection(), second.collection());
        let path = format!("{}/x #1/%20.png", first.root());
        assert_eq!(first.file(&path), Some(folders[0].join("x #1/%20.png")));
        assert_eq!(second.file(&path), None);
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_fingerprints_or_on_what_is_filled_in() {
        let fingerprints = [
            ("image_embedding".to_owned(), "a".to_owned()),
            ("text_embedding".into(), "b".into()),
        ];
        let spec = v1::RunSpec {
            model: "m".into(),
            fingerprints: fingerprints.into(),
            ..v1::RunSpec::default()
        };
        let stored = v1::RunSpec {
            window_shards: 256,
            ..spec.clone()
        };
        assert_eq!(digest(&spec), digest(&stored));
        assert_ne!(
            digest(&spec),
            digest(&v1::RunSpec {
                model: "n".into(),
                ..spec
            })
        );
    }
}
