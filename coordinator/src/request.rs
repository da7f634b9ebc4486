//! From the API's requests to the domain. Every mistake of a request is reported, each with its field.

use crate::import_request;
use sightline_core::collection::IndexChoice;
use sightline_core::dicom::{DicomSpec, FrameChoice};
use sightline_core::run::Columns;
use sightline_core::{
    CollectionName, DatasetName, DatasetSpec, Fingerprint, IndexKind, JobKind, ManifestFormat, MirrorSpec, ModelName,
    PreviewFormat, PreviewSpec, RunSpec, Share, Source, VectorField,
};
use sightline_proto::v1;
use std::collections::BTreeMap;
use std::fmt::Display;

const MAX_SHARD_ITEMS: i32 = 10_000;
const MAX_WINDOW_SHARDS: i32 = 100_000;
/// Where more than half of a dataset's rows would be deleted, its root is more likely a mistake.
const DEFAULT_MIRROR_SHARE: f64 = 0.5;

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
    let fields: Vec<VectorField> = spec
        .fields
        .iter()
        .filter_map(|name| vector_field(name, "spec.fields", &mut wrong))
        .collect();
    let dataset = dataset(spec.dataset.as_ref(), &fields, &mut wrong);
    if let (Some(kind), Some(dataset)) = (kind, &dataset) {
        import_request::check_kind(kind, &dataset.source, &mut wrong);
    }
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
    let max_failure_share = share("spec.max_failure_share", spec.max_failure_share, None, &mut wrong);
    let mirror = spec.mirror.as_ref().and_then(|mirror| {
        let field = "spec.mirror.max_share";
        let max_share = share(field, mirror.max_share, Share::new(DEFAULT_MIRROR_SHARE), &mut wrong)?;
        Some(MirrorSpec { max_share })
    });
    let previews = spec.previews.as_ref().and_then(|asked| previews(asked, &mut wrong));
    if previews.is_some() && kind == Some(JobKind::Import) {
        wrong.add(
            "spec.previews",
            "are not for runs of kind IMPORT, which read no pictures: leave them out",
        );
    }
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
            max_failure_share,
            mirror,
            previews,
            selection: None,
        }),
        _ => Err(wrong),
    }
}

fn previews(asked: &v1::run_spec::Previews, wrong: &mut Violations) -> Option<PreviewSpec> {
    use v1::run_spec::previews::Format;
    let (least, most) = PreviewSpec::SIDES.into_inner();
    let mut side = |field: &str, value: i32, usual: u32| match u32::try_from(value) {
        Ok(0) => Some(usual),
        Ok(side) if PreviewSpec::SIDES.contains(&side) => Some(side),
        _ => {
            wrong.add(field, format!("{value} is not in {least} to {most}"));
            None
        }
    };
    let width = side("spec.previews.width", asked.width, PreviewSpec::DEFAULT_WIDTH);
    let height = side("spec.previews.height", asked.height, PreviewSpec::DEFAULT_HEIGHT);
    let format = match (asked.format(), u8::try_from(asked.quality)) {
        (Format::Png, Ok(0)) => Some(PreviewFormat::Png),
        (Format::Png, _) => {
            wrong.add(
                "spec.previews.quality",
                "is for JPEGs: leave it out for PNG, which is lossless",
            );
            None
        }
        (Format::Unspecified | Format::Jpeg, Ok(0)) => Some(PreviewFormat::Jpeg {
            quality: PreviewSpec::DEFAULT_QUALITY,
        }),
        (Format::Unspecified | Format::Jpeg, Ok(quality)) if quality <= 100 => Some(PreviewFormat::Jpeg { quality }),
        (Format::Unspecified | Format::Jpeg, _) => {
            wrong.add("spec.previews.quality", format!("{} is not in 1 to 100", asked.quality));
            None
        }
    };
    let root = asked.root.trim_end_matches('/');
    Some(PreviewSpec {
        width: width?,
        height: height?,
        format: format?,
        root: (!root.is_empty()).then(|| root.to_owned()),
    })
}

/// A share of a whole; a default for 0.
fn share(field: &str, value: f64, default: Option<Share>, wrong: &mut Violations) -> Option<Share> {
    if value == 0.0 {
        return default;
    }
    let share = Share::new(value);
    if share.is_none() {
        wrong.add(
            field,
            format!("{value} is no share: give a number above 0 and at most 1"),
        );
    }
    share
}

fn job_kind(spec: &v1::RunSpec, wrong: &mut Violations) -> Option<JobKind> {
    match spec.kind() {
        v1::JobKind::Embed => Some(JobKind::Embed),
        v1::JobKind::Import => Some(JobKind::Import),
        other @ (v1::JobKind::Caption | v1::JobKind::Regions) => {
            wrong.add(
                "spec.kind",
                format!("{} is not served yet: use EMBED or IMPORT", other.as_str_name()),
            );
            None
        }
        v1::JobKind::Unspecified => {
            wrong.add("spec.kind", "is required: use EMBED or IMPORT");
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

pub(crate) fn vector_field(name: &str, field: &str, wrong: &mut Violations) -> Option<VectorField> {
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
    let choice = IndexChoice {
        kind: &index.r#type,
        nlist: index.nlist,
        m: index.m,
        ef_construction: index.ef_construction,
    };
    let found = choice.check();
    found
        .map_err(|mistakes| {
            for (field, message) in mistakes {
                wrong.add(&format!("spec.index.{field}"), message);
            }
        })
        .ok()
}

fn dataset(dataset: Option<&v1::Dataset>, fields: &[VectorField], wrong: &mut Violations) -> Option<DatasetSpec> {
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
    let source = source(dataset.source.as_ref(), fields, wrong);
    let dicom = dataset.dicom.as_ref().and_then(|spec| dicom(spec, wrong));
    if dicom.is_some() && source.as_ref().is_some_and(Source::has_vectors) {
        wrong.add(
            "spec.dataset.dicom",
            "is not for runs of kind IMPORT, which read no pictures: leave it out",
        );
    }
    Some(DatasetSpec {
        name: name?,
        root: dataset.root.clone(),
        source: source?,
        dicom: dicom.filter(|dicom| *dicom != DicomSpec::default()),
    })
}

fn dicom(dicom: &v1::dataset::Dicom, wrong: &mut Violations) -> Option<DicomSpec> {
    use v1::dataset::dicom::Frame;
    let frame = match dicom.frame() {
        Frame::Unspecified | Frame::First => FrameChoice::First,
        Frame::Middle => FrameChoice::Middle,
        Frame::Reject => FrameChoice::Reject,
    };
    let words = dicom.tags.iter().map(String::as_str);
    wrong.take("spec.dataset.dicom.tags", DicomSpec::of_words(words, frame))
}

fn source(source: Option<&v1::dataset::Source>, fields: &[VectorField], wrong: &mut Violations) -> Option<Source> {
    use v1::dataset::Source as Api;
    match source {
        None => {
            wrong.add(
                "spec.dataset.source",
                "is required: one of prefix, nih_boxes, manifest, embeddings, clip_retrieval, webdataset",
            );
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
            check_path("spec.dataset.nih_boxes.boxes", &nih.boxes, wrong);
            check_path("spec.dataset.nih_boxes.images", &nih.images, wrong);
            let descriptions = nih.descriptions.clone().into_iter().collect();
            Some(Source::NihBoxes {
                boxes: nih.boxes.clone(),
                images: nih.images.clone(),
                descriptions,
            })
        }
        Some(Api::Embeddings(embeddings)) => import_request::embeddings(embeddings, fields, wrong),
        Some(Api::ClipRetrieval(clip)) => Some(import_request::clip_retrieval(clip, fields, wrong)),
        Some(Api::Webdataset(tars)) => {
            check_path("spec.dataset.webdataset.prefix", &tars.prefix, wrong);
            Some(Source::Webdataset {
                prefix: tars.prefix.clone(),
            })
        }
        Some(Api::Manifest(manifest)) => {
            let field = "spec.dataset.manifest";
            check_path("spec.dataset.manifest.path", &manifest.path, wrong);
            let format = manifest_format(field, &manifest.path, manifest.format(), wrong)?;
            let named = manifest.columns.as_ref();
            Some(Source::Manifest {
                path: manifest.path.clone(),
                format,
                columns: named.map(|named| columns(field, named, wrong)).unwrap_or_default(),
            })
        }
    }
}

/// Paths stay below the dataset's root.
pub(crate) fn check_path(field: &str, path: &str, wrong: &mut Violations) {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        wrong.add(field, "leads out of the dataset's root: give a path below it");
    }
}

/// How a table is written, as it says or by its path's ending. `field` is the message that names the table.
pub(crate) fn manifest_format(
    field: &str,
    path: &str,
    format: v1::manifest_source::Format,
    wrong: &mut Violations,
) -> Option<ManifestFormat> {
    use v1::manifest_source::Format;
    if path.is_empty() {
        wrong.add(&format!("{field}.path"), "is required");
        return None;
    }
    let ending = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match (format, ending.as_str()) {
        (Format::Csv, _) | (Format::Unspecified, "csv") => Some(ManifestFormat::Csv),
        (Format::Jsonl, _) | (Format::Unspecified, "jsonl" | "ndjson") => Some(ManifestFormat::Jsonl),
        (Format::Parquet, _) | (Format::Unspecified, "parquet") => Some(ManifestFormat::Parquet),
        (Format::Unspecified, _) => {
            wrong.add(
                &format!("{field}.format"),
                format!("cannot be told from {path:?}: name CSV, JSONL or PARQUET"),
            );
            None
        }
    }
}

/// Which column means what. `field` is the message that names the table.
pub(crate) fn columns(field: &str, columns: &v1::manifest_source::Columns, wrong: &mut Violations) -> Columns {
    if columns.attributes.iter().any(String::is_empty) {
        wrong.add(
            &format!("{field}.columns.attributes"),
            "has an empty name: no filter could ask for such an attribute; name a column, or leave it out",
        );
    }
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
