//! From the domain to the API's answers.

use crate::progress::{RunSnapshot, RunState};
use sightline_core::dicom::{DicomSpec, FrameChoice};
use sightline_core::run::Columns;
use sightline_core::{
    DatasetSpec, IndexKind, ItemOutcome, JobKind, ManifestFormat, Outcome, PreviewFormat, PreviewSpec, RunSpec,
    SelectedOutcome, Share, Source, Timestamp, VectorField, VectorsAt,
};
use sightline_proto::v1;
use std::collections::BTreeMap;
use std::time::Duration;

/// A run as the API has it. `waiting` is what it waits for, where nothing moves.
pub(crate) fn run(snapshot: &RunSnapshot, waiting: Option<String>) -> v1::Run {
    use v1::run::State;
    let state = match snapshot.state {
        RunState::Planning | RunState::Running if waiting.is_some() => State::Waiting,
        RunState::Planning => State::Planning,
        RunState::Running => State::Running,
        RunState::Succeeded => State::Succeeded,
        RunState::PartiallySucceeded => State::PartiallySucceeded,
        RunState::Failed => State::Failed,
        RunState::Cancelled => State::Cancelled,
    };
    let stopped = snapshot.stop.as_ref().map(|stop| stop.message.clone());
    let empty = (snapshot.state == RunState::Succeeded && snapshot.planned_items == 0).then(|| {
        match snapshot
            .document
            .spec
            .selection
            .as_ref()
            .map(|selection| selection.outcome)
        {
            None => "the dataset holds no items: is its root or manifest the one that was meant?",
            Some(SelectedOutcome::Failed) => "of the items that failed none was left to try again",
            Some(SelectedOutcome::Unverified) => "an audit found nothing to repair",
        }
        .to_owned()
    });
    let mirroring = snapshot
        .is_mirroring()
        .then(|| "rows whose items the dataset holds no more are being deleted".to_owned());
    let ended = snapshot.counts.total();
    v1::Run {
        name: format!("runs/{}", snapshot.document.run),
        spec: Some(api_spec(&snapshot.document.spec)),
        state: state.into(),
        state_message: stopped.or(waiting).or(mirroring).or(empty).unwrap_or_default(),
        create_time: Some(timestamp(snapshot.document.created_at)),
        end_time: snapshot.ended_at.map(timestamp),
        plan_complete: snapshot.plan_complete,
        planned_items: int(snapshot.planned_items),
        planned_shards: int(snapshot.planned_shards),
        done_shards: int(snapshot.done_shards),
        counts: Some(v1::run::Counts {
            indexed: int(snapshot.counts.indexed),
            unchanged: int(snapshot.counts.unchanged),
            skipped: int(snapshot.counts.skipped),
            failed: int(snapshot.counts.failed),
            stale: int(snapshot.counts.stale),
        }),
        failures: snapshot
            .failures
            .iter()
            .map(|(reason, count)| reason_count(reason.as_str(), *count))
            .collect(),
        skips: snapshot
            .skips
            .iter()
            .map(|(reason, count)| reason_count(reason.as_str(), *count))
            .collect(),
        items_per_second: snapshot.items_per_second,
        unprocessed_items: if snapshot.stop.is_some() {
            int(snapshot.planned_items.saturating_sub(ended))
        } else {
            0
        },
        time_left: time_left(snapshot),
        deleted_rows: snapshot.mirrored.as_ref().map_or(0, |done| int(done.rows)),
    }
}

/// How long the rest takes at the present rate; none while that cannot be said.
fn time_left(snapshot: &RunSnapshot) -> Option<prost_types::Duration> {
    let left = snapshot.planned_items.saturating_sub(snapshot.counts.total());
    if !snapshot.plan_complete || left == 0 || snapshot.items_per_second <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    let seconds = (left as f64 / snapshot.items_per_second).ceil();
    prost_types::Duration::try_from(Duration::try_from_secs_f64(seconds).ok()?).ok()
}

fn reason_count(reason: &str, count: u64) -> v1::run::ReasonCount {
    v1::run::ReasonCount {
        reason: reason.to_owned(),
        count: int(count),
    }
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.0 % 1000 * 1_000_000).unwrap_or(0);
    prost_types::Timestamp {
        seconds: int(at.0 / 1000),
        nanos,
    }
}

/// What is waited for, and since when: RFC 3339, to the second.
pub(crate) fn since(what: &str, since: Timestamp) -> String {
    format!("{what} since {}", timestamp(Timestamp(since.0 / 1000 * 1000)))
}

/// A specification as the API has it.
pub(crate) fn api_spec(spec: &RunSpec) -> v1::RunSpec {
    v1::RunSpec {
        kind: match spec.kind {
            JobKind::Embed => v1::JobKind::Embed,
            JobKind::Import => v1::JobKind::Import,
            JobKind::Caption => v1::JobKind::Caption,
            JobKind::Regions => v1::JobKind::Regions,
        }
        .into(),
        dataset: Some(api_dataset(&spec.dataset)),
        collection: format!("collections/{}", spec.collection),
        model: spec.model.as_ref().map(ToString::to_string).unwrap_or_default(),
        fingerprints: spec
            .fingerprints
            .iter()
            .map(|(field, print)| (field.to_string(), print.to_string()))
            .collect(),
        fields: spec.fields.iter().map(ToString::to_string).collect(),
        index: spec.index.map(api_index),
        shard_items: int32(spec.shard_items),
        window_shards: int32(spec.window_shards),
        max_failures: int(spec.max_failures.unwrap_or(0)),
        max_failure_share: spec.max_failure_share.map_or(0.0, Share::as_f64),
        mirror: spec.mirror.as_ref().map(|mirror| v1::run_spec::Mirror {
            max_share: mirror.max_share.as_f64(),
        }),
        previews: spec.previews.as_ref().map(api_previews),
        parent_run: spec
            .selection
            .as_ref()
            .map(|selection| format!("runs/{}", selection.run))
            .unwrap_or_default(),
    }
}

fn api_previews(previews: &PreviewSpec) -> v1::run_spec::Previews {
    use v1::run_spec::previews::Format;
    let (format, quality) = match previews.format {
        PreviewFormat::Jpeg { quality } => (Format::Jpeg, i32::from(quality)),
        PreviewFormat::Png => (Format::Png, 0),
    };
    v1::run_spec::Previews {
        width: int32(previews.width),
        height: int32(previews.height),
        format: format.into(),
        quality,
        root: previews.root.clone().unwrap_or_default(),
    }
}

fn int32(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn api_index(index: IndexKind) -> v1::IndexSpec {
    let spec = |name: &str, nlist: Option<u32>, m: Option<u32>, ef_construction: Option<u32>| v1::IndexSpec {
        r#type: name.into(),
        nlist: nlist.map(int32),
        m: m.map(int32),
        ef_construction: ef_construction.map(int32),
    };
    match index {
        IndexKind::Flat => spec("FLAT", None, None, None),
        IndexKind::IvfFlat { nlist } => spec("IVF_FLAT", Some(nlist), None, None),
        IndexKind::IvfSq8 { nlist } => spec("IVF_SQ8", Some(nlist), None, None),
        IndexKind::IvfPq { nlist, m } => spec("IVF_PQ", Some(nlist), Some(m), None),
        IndexKind::Hnsw { m, ef_construction } => spec("HNSW", None, Some(m), Some(ef_construction)),
        IndexKind::Diskann => spec("DISKANN", None, None, None),
    }
}

fn api_format(format: ManifestFormat) -> v1::manifest_source::Format {
    match format {
        ManifestFormat::Csv => v1::manifest_source::Format::Csv,
        ManifestFormat::Jsonl => v1::manifest_source::Format::Jsonl,
        ManifestFormat::Parquet => v1::manifest_source::Format::Parquet,
    }
}

fn api_columns(columns: &Columns) -> v1::manifest_source::Columns {
    v1::manifest_source::Columns {
        key: columns.key.clone().unwrap_or_default(),
        image: columns.image.clone().unwrap_or_default(),
        text: columns.text.clone().unwrap_or_default(),
        image_id: columns.image_id.clone().unwrap_or_default(),
        uid: columns.uid.clone().unwrap_or_default(),
        labels: columns.labels.clone().unwrap_or_default(),
        attributes: columns.attributes.clone(),
    }
}

fn api_dataset(dataset: &DatasetSpec) -> v1::Dataset {
    use v1::dataset::Source as Api;
    let source = match &dataset.source {
        Source::Prefix {} => Api::Prefix(v1::PrefixSource {}),
        Source::NihBoxes {
            boxes,
            images,
            descriptions,
        } => Api::NihBoxes(v1::NihBoxesSource {
            boxes: boxes.clone(),
            images: images.clone(),
            descriptions: descriptions.clone().into_iter().collect(),
        }),
        Source::Manifest { path, format, columns } => Api::Manifest(v1::ManifestSource {
            path: path.clone(),
            format: api_format(*format).into(),
            columns: Some(api_columns(columns)),
        }),
        Source::Embeddings {
            path,
            format,
            columns,
            vectors,
            normalize,
        } => {
            let (mut arrays, mut lists) = (BTreeMap::new(), BTreeMap::new());
            for (field, at) in vectors {
                match at {
                    VectorsAt::Array { path } => arrays.insert(*field, path.clone()),
                    VectorsAt::Column { name } => lists.insert(*field, name.clone()),
                };
            }
            let given = |at: &BTreeMap<VectorField, String>, field| at.get(&field).cloned().unwrap_or_default();
            Api::Embeddings(v1::EmbeddingsSource {
                path: path.clone(),
                format: api_format(*format).into(),
                columns: Some(api_columns(columns)),
                image_array: given(&arrays, VectorField::Image),
                text_array: given(&arrays, VectorField::Text),
                image_column: given(&lists, VectorField::Image),
                text_column: given(&lists, VectorField::Text),
                normalize: *normalize,
            })
        }
        Source::ClipRetrieval { folder, normalize, .. } => Api::ClipRetrieval(v1::ClipRetrievalSource {
            folder: folder.clone(),
            normalize: *normalize,
        }),
        Source::Webdataset { prefix } => Api::Webdataset(v1::WebdatasetSource { prefix: prefix.clone() }),
    };
    v1::Dataset {
        name: dataset.name.to_string(),
        root: dataset.root.clone(),
        source: Some(source),
        dicom: dataset.dicom.as_ref().map(api_dicom),
    }
}

fn api_dicom(dicom: &DicomSpec) -> v1::dataset::Dicom {
    use v1::dataset::dicom::Frame;
    // No words would be the usual ones.
    let none = || vec!["none".to_owned()];
    v1::dataset::Dicom {
        tags: if dicom.tags.is_empty() {
            none()
        } else {
            dicom.tags.clone()
        },
        frame: match dicom.frame {
            FrameChoice::First => Frame::First,
            FrameChoice::Middle => Frame::Middle,
            FrameChoice::Reject => Frame::Reject,
        }
        .into(),
    }
}

/// A failed item as the API has it; none for an item that did not fail.
pub(crate) fn failure(item: ItemOutcome) -> Option<v1::Failure> {
    match item.outcome {
        Outcome::Failed { reason, message, stale } => Some(v1::Failure {
            key: item.key.to_string(),
            reason: reason.as_str().to_owned(),
            message,
            line: int(item.line.unwrap_or(0)),
            stale,
        }),
        Outcome::Indexed { .. } | Outcome::Unchanged { .. } | Outcome::Skipped { .. } => None,
    }
}
