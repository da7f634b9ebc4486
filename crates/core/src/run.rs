//! A run: one pass over one dataset into one collection by one kind of job.

use crate::clock::Timestamp;
use crate::collection::{IndexKind, VectorField};
use crate::dicom::DicomSpec;
use crate::document::Document;
use crate::fingerprint::Fingerprint;
use crate::ids::{CollectionName, DatasetName, ModelName, RunId};
use crate::preview::PreviewSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is done with the items. All kinds share plan, queue, shard, result, retry and verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Vectors are made by a model.
    Embed,
    /// Vectors were made elsewhere and are loaded.
    Import,
    /// Captions are made by a model. Not served yet: coordinators refuse such runs.
    Caption,
    /// Regions of pictures are found and embedded. Not served yet: coordinators refuse such runs.
    Regions,
}

impl JobKind {
    /// Whether a worker needs the run's model for it. Any worker can do the others.
    #[must_use]
    pub fn needs_model(self) -> bool {
        match self {
            Self::Embed | Self::Caption | Self::Regions => true,
            Self::Import => false,
        }
    }

    /// The kind as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Import => "import",
            Self::Caption => "caption",
            Self::Regions => "regions",
        }
    }
}

/// How a manifest file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestFormat {
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// Which columns of a manifest mean what. A column that is not named here and not listed in `attributes` is left out,
/// unless `attributes` is empty: then every other column is an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// The item's key; the image's path where this is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Path of the picture below the dataset's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Report or caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The user's name for the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// The user's name for study or patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Labels: a list, or one text split at `|`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Columns kept as attributes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
}

/// Where a dataset's items come from. Paths are keys below the dataset's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Every picture below the root.
    Prefix {},
    /// NIH ChestX-ray14: pictures, and their findings' boxes in `BBox_List_2017.csv`.
    NihBoxes {
        /// Path of the boxes file.
        boxes: String,
        /// Path of the folder with the pictures, "" for the root itself.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        images: String,
        /// A description per label, in any language: label → template, where `{label}` stands for the label.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        descriptions: BTreeMap<String, String>,
    },
    /// A table with a row an item.
    Manifest {
        /// Path of the manifest.
        path: String,
        /// How it is written.
        format: ManifestFormat,
        /// Which column means what.
        #[serde(default)]
        columns: Columns,
    },
    /// A table with a row an item, and vectors that were made elsewhere. For imports.
    Embeddings {
        /// Path of the table; with a slash at its end, of a folder of Parquet tables (`./` is the root).
        path: String,
        /// How it is written.
        format: ManifestFormat,
        /// Which column means what.
        #[serde(default)]
        columns: Columns,
        /// Where the vectors lie: one side or both.
        vectors: BTreeMap<VectorField, VectorsAt>,
        /// Whether vectors of any length are scaled to length 1; else one of another length fails.
        #[serde(default)]
        normalize: bool,
    },
    /// What clip-retrieval writes: `metadata/metadata_N.parquet`, `img_emb/img_emb_N.npy`, `text_emb/text_emb_N.npy`. For
    /// imports.
    ClipRetrieval {
        /// Path of the folder with these three, "" for the root itself.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        folder: String,
        /// Which of the sides are loaded.
        fields: Vec<VectorField>,
        /// As above.
        #[serde(default)]
        normalize: bool,
    },
    /// WebDataset: tars whose files, as far as their names are the same up to the first dot, are a sample.
    Webdataset {
        /// What the keys of the tars start with, "" for all below the root.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
    },
}

impl Source {
    /// Whether what is left of it can be cut into ranges of keys that are planned side by side.
    #[must_use]
    pub fn has_ranges(&self) -> bool {
        matches!(self, Self::Prefix {} | Self::Webdataset { .. })
    }

    /// Whether its items bring vectors that were made elsewhere.
    #[must_use]
    pub fn has_vectors(&self) -> bool {
        matches!(self, Self::Embeddings { .. } | Self::ClipRetrieval { .. })
    }
}

/// Where the vectors of a side lie beside a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum VectorsAt {
    /// A numpy array with as many rows as the table, in its order.
    Array {
        /// Path of the `.npy` file.
        path: String,
    },
    /// A column of lists of numbers.
    Column {
        /// Its name.
        name: String,
    },
}

/// A dataset: a name, where its objects lie and where its items come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSpec {
    /// Its name, part of every primary key.
    pub name: DatasetName,
    /// Root of its objects: `s3://bucket/prefix` or `file:///folder`.
    pub root: String,
    /// Where items come from.
    pub source: Source,
    /// What is taken from DICOM files; the usual where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dicom: Option<DicomSpec>,
}

impl DatasetSpec {
    /// What is taken from DICOM files.
    #[must_use]
    pub fn dicom(&self) -> DicomSpec {
        self.dicom.clone().unwrap_or_default()
    }
}

/// Which outcomes of another run are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectedOutcome {
    /// Items that failed.
    Failed,
    /// Items without outcome, and those that should have a row and have none, or a wrong one.
    Unverified,
}

/// Items that a run takes from another one, instead of all that its dataset holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemSelection {
    /// The run whose items they are. It has ended.
    pub run: RunId,
    /// Which of them.
    pub outcome: SelectedOutcome,
}

/// A share of a whole, kept as parts of a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(u32);

impl Share {
    const WHOLE: u32 = 1_000_000;

    /// The share closest to a number above 0 and at most 1; none for another number.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        let parts = (share * f64::from(Self::WHOLE)).round();
        if !(1.0..=f64::from(Self::WHOLE)).contains(&parts) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a whole number from 1 to a million"
        )]
        Some(Self(parts as u32))
    }

    /// The share as a number above 0 and at most 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }

    /// Whether a part of a whole is more than this.
    #[must_use]
    pub fn is_exceeded(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(Self::WHOLE) > u128::from(whole) * u128::from(self.0)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

/// That the collection is to hold no more rows of the dataset than the dataset has items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorSpec {
    /// Where more than this share of the dataset's rows would be deleted, none is.
    pub max_share: Share,
}

/// What a caller asks for. Two requests with equal specifications are the same request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// What is done.
    pub kind: JobKind,
    /// With which items.
    pub dataset: DatasetSpec,
    /// Where the rows go.
    pub collection: CollectionName,
    /// The model; none for kinds without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// What the caller knows the model's vector spaces to be. A worker whose own differ refuses the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fingerprints: BTreeMap<VectorField, Fingerprint>,
    /// Vector fields that are filled; the model's all where this is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<VectorField>,
    /// Index of a collection that this run creates; that of few rows ([`IndexKind::by_size`]) where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexKind>,
    /// Items in a shard, 1 to 10,000.
    pub shard_items: u32,
    /// Shards of this run that may be in the queue at once; or four for each worker, or twice what it takes into its hands, where
    /// that is more.
    pub window_shards: u32,
    /// Failed items that the run allows: with more, it stops itself. No limit where this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<u64>,
    /// Share of failed items that the run allows: with more, it stops itself. No limit where this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failure_share: Option<Share>,
    /// Whether rows of the dataset that it holds no more are deleted at the end; they stay where this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorSpec>,
    /// Previews that are written of the pictures; none where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previews: Option<PreviewSpec>,
    /// Takes only some items of an earlier run over the same dataset; all of the dataset where this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<ItemSelection>,
}

impl RunSpec {
    /// Items in a shard unless the caller says otherwise.
    pub const DEFAULT_SHARD_ITEMS: u32 = 256;
    /// Outstanding shards unless the caller says otherwise: less than a tenth of a run of 50,000 items, so that a small
    /// run behind such a one does not wait for more.
    pub const DEFAULT_WINDOW_SHARDS: u32 = 16;

    /// What of the specification decides what an item's row looks like, beside the item itself and the models: part of
    /// its [`crate::Item::source_digest`].
    #[must_use]
    pub fn reading(&self) -> String {
        let previews = self.previews.as_ref().map(PreviewSpec::identity);
        // A row names its picture below the root.
        let root = format!("root={}\n", self.dataset.root.trim_end_matches('/'));
        self.dataset.dicom().identity() + &previews.unwrap_or_default() + &root
    }

    /// Whether a run has something to be looked at after its planning: limits, and the deleting of rows.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.mirror.is_some() || self.max_failures.is_some() || self.max_failure_share.is_some()
    }
}

/// `run.json`: what was asked, by whom. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunDocument {
    /// The run.
    pub run: RunId,
    /// Who asked.
    pub caller: String,
    /// The caller's name for the request.
    pub request_id: String,
    /// What was asked.
    pub spec: RunSpec,
    /// Rows that the collection had of the dataset then, where what is gone is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_before: Option<u64>,
    /// When.
    pub created_at: Timestamp,
    /// Trace context of the request, so that one trace spans the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Document for RunDocument {
    const FORMAT: &'static str = "sightline.run";
}

/// Why a run was stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A caller cancelled it.
    Cancelled,
    /// The collection, or the caller, expects another model than the worker's.
    ModelMismatch,
    /// The collection cannot take the rows (dimension, missing field).
    CollectionMismatch,
    /// More items failed than the run allows.
    TooManyFailures,
    /// The dataset cannot be read (its manifest is gone or is no manifest).
    DatasetUnreadable,
    /// Every item ended, and deleting the rows that the dataset holds no more would have been dangerous.
    MirrorRefused,
    /// Previews can never be written where the run wants them (a bucket that is not there, no right to write).
    PreviewsUnwritable,
}

impl StopReason {
    /// The reason as it is written, in metrics, too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::ModelMismatch => "model_mismatch",
            Self::CollectionMismatch => "collection_mismatch",
            Self::TooManyFailures => "too_many_failures",
            Self::DatasetUnreadable => "dataset_unreadable",
            Self::MirrorRefused => "mirror_refused",
            Self::PreviewsUnwritable => "previews_unwritable",
        }
    }
}

/// `stop.json`: once it is there, no shard of the run is started any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopDocument {
    /// The run.
    pub run: RunId,
    /// Why.
    pub reason: StopReason,
    /// In words that a person can act on.
    pub message: String,
    /// When.
    pub stopped_at: Timestamp,
}

impl Document for StopDocument {
    const FORMAT: &'static str = "sightline.stop";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_to_stop_is_named_as_it_is_stored() {
        for name in [
            "cancelled",
            "model_mismatch",
            "collection_mismatch",
            "too_many_failures",
            "dataset_unreadable",
            "mirror_refused",
            "previews_unwritable",
        ] {
            let reason: StopReason = serde_json::from_value(name.into()).unwrap();
            assert_eq!(reason.as_str(), name);
        }
    }

    #[test]
    fn what_a_run_takes_from_dicoms_is_frozen() {
        let frozen = include_bytes!("../tests/frozen/run-v1-dicom.json");
        let document = RunDocument::from_bytes(frozen).unwrap();
        let dicom = DicomSpec::of_words(["Modality", "PatientID"], crate::FrameChoice::Middle);
        assert_eq!(document.spec.dataset.dicom, dicom.ok());
        assert_eq!(document.to_bytes(), frozen);
    }

    #[test]
    fn what_a_run_writes_of_previews_is_frozen() {
        let frozen = include_bytes!("../tests/frozen/run-v1-previews.json");
        let document = RunDocument::from_bytes(frozen).unwrap();
        let previews = PreviewSpec {
            width: 960,
            height: 540,
            format: crate::PreviewFormat::Jpeg { quality: 85 },
            root: Some("s3://pages/previews".into()),
        };
        assert_eq!(document.spec.previews, Some(previews));
        assert_eq!(document.to_bytes(), frozen);
        let reading = format!(
            "previews=960x540-q85:s3://pages/previews\nroot={}\n",
            document.spec.dataset.root
        );
        assert_eq!(document.spec.reading(), reading);
        let mut elsewhere = document.spec.clone();
        elsewhere.dataset.root.push('/');
        assert_eq!(elsewhere.reading(), reading, "the same root");
        elsewhere.dataset.root = "s3://moved".into();
        assert_ne!(elsewhere.reading(), reading, "rows name pictures that are gone");
    }

    #[test]
    fn a_share_is_exceeded_by_more_than_it_and_not_by_as_much() {
        let share = Share::new(0.05).unwrap();
        assert_eq!((share.to_string().as_str(), share.as_f64()), ("5%", 0.05));
        assert!(!share.is_exceeded(5, 100));
        assert!(share.is_exceeded(6, 100));
        assert!(share.is_exceeded(1, 0));
        assert!(!share.is_exceeded(0, 0));
        assert!(!Share::new(1.0).unwrap().is_exceeded(u64::MAX, u64::MAX));
        for none in [0.0, -0.1, 1.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::new(none), None, "{none}");
        }
    }
}
