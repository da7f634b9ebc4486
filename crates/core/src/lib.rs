//! The domain of Sightline: identifiers, durable formats, messages, rules.
//!
//! Promises: no I/O, no clock, no randomness; every durable format carries a version, refuses what it does not know
//! by name and has a frozen sample under `tests/frozen`. Leaves to others: where objects lie (`sightline-objects`),
//! how messages travel (`sightline-queue`), how rows are searched (`sightline-index`) and how vectors are made
//! (`sightline-models`).

pub mod clock;
pub mod collection;
pub mod dicom;
pub mod digest;
pub mod document;
pub mod filter;
pub mod fingerprint;
pub mod ids;
pub mod item;
pub mod layout;
pub mod manifest;
pub mod message;
pub mod mirror;
pub mod outcome;
pub mod percent;
pub mod plan;
pub mod preview;
pub mod result;
pub mod rollup;
pub mod row;
pub mod run;
pub mod split;
pub mod tar_path;
pub mod vector;

pub use clock::{Clock, SystemClock, Timestamp};
pub use collection::{CollectionDescription, FieldDescription, IndexKind, VectorField};
pub use dicom::{DicomSpec, FrameChoice};
pub use document::DocumentError;
pub use fingerprint::{Canary, Fingerprint, VectorSpace};
pub use ids::{CollectionName, DatasetName, IdError, ItemKey, LinkId, ModelName, RowId, RunId, ShardId};
pub use item::{BoundingBox, Item, NumberType, ObjectRef, StoredVector, TarMember, ToldPicture};
pub use manifest::{Manifest, ManifestEntry};
pub use message::{DoneReport, MessageError, PlanMessage, ShardMessage, WorkerReport};
pub use mirror::{MirrorDone, MirrorPlan, MirroredRow, MirroredRows};
pub use outcome::{FailureReason, ItemOutcome, Outcome, OutcomeCounts, SkipReason};
pub use plan::{Link, PlanComplete, PlanNode, PlannedShard, Range};
pub use preview::{PreviewFormat, PreviewSpec};
pub use result::ShardResult;
pub use rollup::{RollUp, RollUpSums};
pub use row::Row;
pub use run::{
    DatasetSpec, ItemSelection, JobKind, ManifestFormat, MirrorSpec, RunDocument, RunSpec, SelectedOutcome, Share,
    Source, StopDocument, StopReason, VectorsAt,
};
pub use split::ShardSplit;
