//! Between the API's messages and the domain's types. Every mistake of a request is reported, each with its field.

use crate::progress::{RunSnapshot, RunState};
use sightline_core::run::Columns;
use sightline_core::{
    CollectionName, DatasetName, DatasetSpec, Fingerprint, IndexKind, ItemOutcome, JobKind, ManifestFormat, ModelName,
    Outcome, RunSpec, Source, Timestamp, VectorField,
};
use sightline_proto::v1;
use std::collections::BTreeMap;
use std::fmt::Display;

const MAX_SHARD_ITEMS: i32 = 10_000;
const MAX_WINDOW_SHARDS: i32 = 100_000;

/// What is wrong with a request: field by field.
#[derive(Debug, Default)]
pub(crate) struct Violations(pub(crate) Vec<(String, String)>);

impl Violations {
    /// Notes a mistake.
    pub(crate) fn add(&mut self, field: &str, description: impl Display) {
        self.0.push((field.to_owned(), description.to_string()));
    }

    /// Takes a value, or notes why there is none.
    fn take<T, E: Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(field, error)).ok()
    }

    fn range(&mut self, field: &str, value: i32, default: u32, highest: i32) -> u32 {
        match u32::try_from(value) {
            Ok(0) => default,
            Ok(given) if value <= highest => given,
            _ => {
                self.add(field, format!("{value} is not in 1 to {highest}"));
                default
            }
        }
    }
}

/// A specification as the domain has it.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn run_spec(spec: Option<&v1::RunSpec>) -> Result<RunSpec, Violations> {
    let mut wrong = Violations::default();
    let Some(spec) = spec else {
        wrong.add("spec", "is required");
        return Err(wrong);
    };
    let kind = job_kind(spec, &mut wrong);
    let dataset = dataset(spec.dataset.as_ref(), &mut wrong);
    let collection = collection_name(&spec.collection)
        .map_err(|error| wrong.add("spec.collection", error))
        .ok();
    let model = match spec.model.as_str() {
        "" => None,
        name => wrong.take("spec.model", ModelName::new(name)),
    };
    if kind == Some(JobKind::Embed) && spec.model.is_empty() {
        wrong.add("spec.model", "is required for runs of kind EMBED");
    }
    let fields = spec
        .fields
        .iter()
        .filter_map(|name| vector_field(name, "spec.fields", &mut wrong))
        .collect();
    let mut fingerprints = BTreeMap::new();
    for (name, fingerprint) in &spec.fingerprints {
        let field = vector_field(name, "spec.fingerprints", &mut wrong);
        let fingerprint = wrong.take("spec.fingerprints", Fingerprint::new(fingerprint.clone()));
        fingerprints.extend(field.zip(fingerprint));
    }
    let index = spec.index.as_ref().and_then(|index| index_kind(index, &mut wrong));
    let shard_items = wrong.range(
        "spec.shard_items",
        spec.shard_items,
        RunSpec::DEFAULT_SHARD_ITEMS,
        MAX_SHARD_ITEMS,
    );
    let window_shards = wrong.range(
        "spec.window_shards",
        spec.window_shards,
        RunSpec::DEFAULT_WINDOW_SHARDS,
        MAX_WINDOW_SHARDS,
    );
    let max_failures = wrong.take(
        "spec.max_failures",
        u64::try_from(spec.max_failures).map_err(|_| "is negative"),
    );
    match (kind, dataset, collection, max_failures) {
        (Some(kind), Some(dataset), Some(collection), Some(max_failures)) if wrong.0.is_empty() => Ok(RunSpec {
            kind,
            dataset,
            collection,
            model,
            fingerprints,
            fields,
            index,
            shard_items,
            window_shards,
            max_failures: (max_failures > 0).then_some(max_failures),
        }),
        _ => Err(wrong),
    }
}

fn job_kind(spec: &v1::RunSpec, wrong: &mut Violations) -> Option<JobKind> {
    match spec.kind() {
        v1::JobKind::Embed => Some(JobKind::Embed),
        other @ (v1::JobKind::Import | v1::JobKind::Caption | v1::JobKind::Regions) => {
            wrong.add(
                "spec.kind",
                format!("{} is not served yet: use EMBED", other.as_str_name()),
            );
            None
        }
        v1::JobKind::Unspecified => {
            wrong.add("spec.kind", "is required: use EMBED");
            None
        }
    }
}

/// The name in `collections/{collection}`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn collection_name(resource: &str) -> Result<CollectionName, String> {
    let name = resource
        .strip_prefix("collections/")
        .ok_or(format!("{resource:?} is not of the form collections/NAME"));
    name.and_then(|name| CollectionName::new(name).map_err(|error| error.to_string()))
}

fn vector_field(name: &str, field: &str, wrong: &mut Violations) -> Option<VectorField> {
    let found = VectorField::ALL.into_iter().find(|field| field.as_str() == name);
    if found.is_none() {
        wrong.add(
            field,
            format!("{name:?} is no vector field: use image_embedding or text_embedding"),
        );
    }
    found
}

fn index_kind(index: &v1::IndexSpec, wrong: &mut Violations) -> Option<IndexKind> {
    let mut positive = |field: &str, value: i32, default: u32| match u32::try_from(value) {
        Ok(0) => default,
        Ok(value) => value,
        Err(_) => {
            wrong.add(field, format!("{value} is negative"));
            default
        }
    };
    let nlist = positive("spec.index.nlist", index.nlist, 128);
    let ef_construction = positive("spec.index.ef_construction", index.ef_construction, 200);
    let m = positive("spec.index.m", index.m, if index.r#type == "IVF_PQ" { 8 } else { 16 });
    Some(match index.r#type.as_str() {
        "FLAT" => IndexKind::Flat,
        "IVF_FLAT" => IndexKind::IvfFlat { nlist },
        "IVF_SQ8" => IndexKind::IvfSq8 { nlist },
        "IVF_PQ" => IndexKind::IvfPq { nlist, m },
        "HNSW" => IndexKind::Hnsw { m, ef_construction },
        "DISKANN" => IndexKind::Diskann,
        other => {
            wrong.add(
                "spec.index.type",
                format!("{other:?} is none of FLAT, IVF_FLAT, IVF_SQ8, IVF_PQ, HNSW, DISKANN"),
            );
            return None;
        }
    })
}

fn dataset(dataset: Option<&v1::Dataset>, wrong: &mut Violations) -> Option<DatasetSpec> {
    let Some(dataset) = dataset else {
        wrong.add("spec.dataset", "is required");
        return None;
    };
    let name = wrong.take("spec.dataset.name", DatasetName::new(dataset.name.clone()));
    if dataset.root.is_empty() {
        wrong.add(
            "spec.dataset.root",
            "is required: s3://bucket/prefix, or file:///folder",
        );
    }
    let source = source(dataset.source.as_ref(), wrong);
    Some(DatasetSpec {
        name: name?,
        root: dataset.root.clone(),
        source: source?,
    })
}

fn source(source: Option<&v1::dataset::Source>, wrong: &mut Violations) -> Option<Source> {
    use v1::dataset::Source as Api;
    match source {
        None => {
            wrong.add("spec.dataset.source", "is required: one of prefix, nih_boxes, manifest");
            None
        }
        Some(Api::Prefix(v1::PrefixSource {})) => Some(Source::Prefix {}),
        Some(Api::NihBoxes(nih)) => {
            if nih.boxes.is_empty() {
                wrong.add(
                    "spec.dataset.nih_boxes.boxes",
                    "is required: the path of BBox_List_2017.csv",
                );
            }
            let descriptions = nih.descriptions.clone().into_iter().collect();
            Some(Source::NihBoxes {
                boxes: nih.boxes.clone(),
                images: nih.images.clone(),
                descriptions,
            })
        }
        Some(Api::Manifest(manifest)) => {
            let format = manifest_format(manifest, wrong)?;
            let columns = manifest.columns.as_ref().map(columns).unwrap_or_default();
            Some(Source::Manifest {
                path: manifest.path.clone(),
                format,
                columns,
            })
        }
    }
}

fn manifest_format(manifest: &v1::ManifestSource, wrong: &mut Violations) -> Option<ManifestFormat> {
    use v1::manifest_source::Format;
    if manifest.path.is_empty() {
        wrong.add("spec.dataset.manifest.path", "is required");
        return None;
    }
    let ending = manifest
        .path
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match (manifest.format(), ending.as_str()) {
        (Format::Csv, _) | (Format::Unspecified, "csv") => Some(ManifestFormat::Csv),
        (Format::Jsonl, _) | (Format::Unspecified, "jsonl" | "ndjson") => Some(ManifestFormat::Jsonl),
        (Format::Parquet, _) | (Format::Unspecified, "parquet") => Some(ManifestFormat::Parquet),
        (Format::Unspecified, _) => {
            let path = &manifest.path;
            wrong.add(
                "spec.dataset.manifest.format",
                format!("cannot be told from {path:?}: name CSV, JSONL or PARQUET"),
            );
            None
        }
    }
}

fn columns(columns: &v1::manifest_source::Columns) -> Columns {
    let given = |name: &String| (!name.is_empty()).then(|| name.clone());
    Columns {
        key: given(&columns.key),
        image: given(&columns.image),
        text: given(&columns.text),
        image_id: given(&columns.image_id),
        uid: given(&columns.uid),
        labels: given(&columns.labels),
        attributes: columns.attributes.clone(),
    }
}

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
    let ended = snapshot.counts.total();
    v1::Run {
        name: format!("runs/{}", snapshot.document.run),
        spec: Some(api_spec(&snapshot.document.spec)),
        state: state.into(),
        state_message: stopped.or(waiting).unwrap_or_default(),
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
    }
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
    }
}

fn int32(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn api_index(index: IndexKind) -> v1::IndexSpec {
    let spec = |name: &str, nlist, m, ef_construction| v1::IndexSpec {
        r#type: name.into(),
        nlist: int32(nlist),
        m: int32(m),
        ef_construction: int32(ef_construction),
    };
    match index {
        IndexKind::Flat => spec("FLAT", 0, 0, 0),
        IndexKind::IvfFlat { nlist } => spec("IVF_FLAT", nlist, 0, 0),
        IndexKind::IvfSq8 { nlist } => spec("IVF_SQ8", nlist, 0, 0),
        IndexKind::IvfPq { nlist, m } => spec("IVF_PQ", nlist, m, 0),
        IndexKind::Hnsw { m, ef_construction } => spec("HNSW", 0, m, ef_construction),
        IndexKind::Diskann => spec("DISKANN", 0, 0, 0),
    }
}

fn api_dataset(dataset: &DatasetSpec) -> v1::Dataset {
    use v1::dataset::Source as Api;
    use v1::manifest_source::Format;
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
            format: match format {
                ManifestFormat::Csv => Format::Csv,
                ManifestFormat::Jsonl => Format::Jsonl,
                ManifestFormat::Parquet => Format::Parquet,
            }
            .into(),
            columns: Some(v1::manifest_source::Columns {
                key: columns.key.clone().unwrap_or_default(),
                image: columns.image.clone().unwrap_or_default(),
                text: columns.text.clone().unwrap_or_default(),
                image_id: columns.image_id.clone().unwrap_or_default(),
                uid: columns.uid.clone().unwrap_or_default(),
                labels: columns.labels.clone().unwrap_or_default(),
                attributes: columns.attributes.clone(),
            }),
        }),
    };
    v1::Dataset {
        name: dataset.name.to_string(),
        root: dataset.root.clone(),
        source: Some(source),
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
