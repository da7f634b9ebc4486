//! The file of a run.

use crate::error::CliError;
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde::Deserialize;
use serde_json::Value;
use sightline_core::digest::sha256_hex;
use sightline_proto::{FILE_DESCRIPTOR_SET, v1};
use std::io::Read;
use std::path::Path;

/// What a file begins with, and the schema demands.
pub(super) const API_VERSION: &str = "sightline.dev/v1";
/// The only kind of file there is.
pub(super) const KIND: &str = "Run";
/// The message that `spec` is.
const SPEC: &str = "sightline.v1.RunSpec";
/// More than any specification needs; a file that is taken for one by mistake is refused unread.
const MAX_BYTES: u64 = 4 << 20;

/// A run as a file describes it.
#[derive(Debug)]
pub(super) struct RunFile {
    /// The file's own name for the request; else a digest of the specification, so that the same file is the same run.
    pub(super) request_id: String,
    /// What to do.
    pub(super) spec: v1::RunSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct Document {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    request_id: Option<String>,
    spec: Value,
}

impl RunFile {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, by the names of its fields.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let wrong = |why: String| CliError::Usage(format!("cannot apply {}: {why}", path.display()));
        let text = text_of(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: Document = serde_saphyr::from_str(text).map_err(|error| {
            format!("{error}; it has to be YAML with apiVersion, kind and spec (see `sightline apply --schema`)")
        })?;
        if (document.api_version.as_str(), document.kind.as_str()) != (API_VERSION, KIND) {
            return Err(format!(
                "it is a {} of {}, and this program knows {KIND} of {API_VERSION} alone",
                document.kind, document.api_version
            ));
        }
        let spec = spec_of(document.spec).map_err(|error| {
            format!("spec.{error}; its fields are those of RunSpec in the API (see `sightline apply --schema`)")
        })?;
        let request_id = document
            .request_id
            .unwrap_or_else(|| sha256_hex(&spec.encode_to_vec())[..32].to_owned());
        Ok(Self { request_id, spec })
    }
}

/// The descriptor of a specification.
///
/// # Errors
/// Where the program's own descriptors lack it.
pub(super) fn descriptor() -> Result<MessageDescriptor, String> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|error| error.to_string())?;
    pool.get_message_by_name(SPEC)
        .ok_or(format!("{SPEC} is not in the descriptors"))
}

fn spec_of(value: Value) -> Result<v1::RunSpec, String> {
    let descriptor = descriptor()?;
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let message = DynamicMessage::deserialize_with_options(descriptor, tracked, &options)
        .map_err(|error| format!("{}: {error}", track.path()))?;
    v1::RunSpec::decode(message.encode_to_vec().as_slice()).map_err(|error| error.to_string())
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX_BYTES + 1).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?
            .take(MAX_BYTES + 1)
            .read_to_string(&mut text)?;
    }
    if text.len() as u64 > MAX_BYTES {
        let why = format!("it is larger than {MAX_BYTES} bytes, and no specification of a run is");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: sightline.dev/v1
kind: Run
spec:
  kind: EMBED
  dataset:
    name: stamps
    root: s3://bucket/stamps
    manifest:
      path: captions.jsonl
      columns: {image: path, attributes: [age]}
  collection: collections/stamps
  model: sightline-demo
  shard_items: 64
  max_failures: 10
";

    #[test]
    fn a_file_becomes_the_specification_that_the_api_takes() {
        let RunFile { spec, .. } = RunFile::parse(FILE).unwrap();
        assert_eq!(spec.kind(), v1::JobKind::Embed);
        assert_eq!((spec.shard_items, spec.max_failures), (64, 10));
        let dataset = spec.dataset.unwrap();
        let Some(v1::dataset::Source::Manifest(manifest)) = dataset.source else {
            panic!("not a manifest: {:?}", dataset.source);
        };
        assert_eq!(manifest.columns.unwrap().attributes, ["age"]);
    }

    #[test]
    fn the_same_specification_is_the_same_request_however_it_is_written() {
        let first = RunFile::parse(FILE).unwrap();
        let json = r#"{"kind": "Run", "apiVersion": "sightline.dev/v1", "spec": {"model": "sightline-demo",
            "collection": "collections/stamps", "shardItems": 64, "max_failures": 10, "kind": "EMBED", "dataset":
            {"root": "s3://bucket/stamps", "name": "stamps", "manifest": {"path": "captions.jsonl", "columns":
            {"attributes": ["age"], "image": "path"}}}}}"#;
        assert_eq!(first.request_id, RunFile::parse(json).unwrap().request_id);
        let other = RunFile::parse(&FILE.replace("64", "65")).unwrap();
        assert_ne!(first.request_id, other.request_id);
        let named = RunFile::parse(&format!("{FILE}request_id: nightly\n")).unwrap();
        assert_eq!(named.request_id, "nightly");
    }

    #[test]
    fn a_mistake_is_named() {
        for (from, to, says) in [
            ("shard_items", "shard_item", "shard_item"),
            ("EMBED", "EMBEDD", "spec.kind: "),
            ("kind: Run", "kind: Job", "Job"),
            ("sightline.dev/v1", "sightline.dev/v9", "sightline.dev/v9"),
            ("spec:", "specs:", "specs"),
            ("64", "many", "spec.shard_items: "),
            ("apiVersion", "\tapiVersion", "YAML"),
        ] {
            let error = RunFile::parse(&FILE.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(says), "{from} → {to}: {error}");
        }
    }
}
