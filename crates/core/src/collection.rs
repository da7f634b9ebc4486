//! A collection: its vector fields, the model behind each, and how they are indexed.

use crate::document::Document;
use crate::fingerprint::{Canary, Fingerprint, VectorSpace};
use crate::ids::{CollectionName, ModelName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// A vector field of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorField {
    /// `image_embedding`
    #[serde(rename = "image_embedding")]
    Image,
    /// `text_embedding`
    #[serde(rename = "text_embedding")]
    Text,
}

impl VectorField {
    /// Both, in the order they are written.
    pub const ALL: [Self; 2] = [Self::Image, Self::Text];

    /// The field's name in the index and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image_embedding",
            Self::Text => "text_embedding",
        }
    }
}

impl fmt::Display for VectorField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How vectors are indexed. The embedded index is always exact and takes note of it only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum IndexKind {
    /// Exact: every vector is looked at.
    Flat,
    /// Inverted lists.
    IvfFlat {
        /// Number of lists.
        nlist: u32,
    },
    /// Inverted lists, values in 8 bits.
    IvfSq8 {
        /// Number of lists.
        nlist: u32,
    },
    /// Inverted lists, product quantisation.
    IvfPq {
        /// Number of lists.
        nlist: u32,
        /// Parts of a vector; divides the dimension.
        m: u32,
    },
    /// A navigable graph.
    Hnsw {
        /// Links a node.
        m: u32,
        /// Candidates while building.
        ef_construction: u32,
    },
    /// A graph on disk.
    Diskann,
}

impl IndexKind {
    /// IVF_FLAT by size, as users of these collections expect: nlist 128 under 100,000 rows, 1024 under 1,000,000,
    /// 4096 above.
    #[must_use]
    pub fn by_size(rows: u64) -> Self {
        let nlist = match rows {
            0..100_000 => 128,
            100_000..1_000_000 => 1024,
            _ => 4096,
        };
        Self::IvfFlat { nlist }
    }

    /// Whether vectors of this length can be indexed so.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn check_dimension(self, dimension: u32) -> Result<(), String> {
        match self {
            Self::IvfPq { m, .. } if m == 0 || !dimension.is_multiple_of(m) => Err(format!(
                "IVF_PQ cuts each vector into m parts of one length, and {dimension} values cannot be cut into {m}: \
                 give an m that divides {dimension}"
            )),
            _ => Ok(()),
        }
    }
}

/// An index as a caller names it; numbers that are not given are the usual ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexChoice<'a> {
    /// `FLAT`, `IVF_FLAT`, `IVF_SQ8`, `IVF_PQ`, `HNSW` or `DISKANN`.
    pub kind: &'a str,
    /// Lists of the IVF kinds, 1 to 65,536; 128.
    pub nlist: Option<i32>,
    /// Links a node of HNSW, 2 to 2048 (16), or parts of a vector of IVF_PQ, 1 to 65,536 (8).
    pub m: Option<i32>,
    /// Candidates while building HNSW, 1 to 65,535; 200.
    pub ef_construction: Option<i32>,
}

impl IndexChoice<'_> {
    /// The index, in the ranges that Milvus takes.
    ///
    /// # Errors
    /// Each wrong field, and what is wrong with it.
    pub fn check(self) -> Result<IndexKind, Vec<(&'static str, String)>> {
        let of_kind: &[&str] = match self.kind {
            "FLAT" | "DISKANN" => &[],
            "IVF_FLAT" | "IVF_SQ8" => &["nlist"],
            "IVF_PQ" => &["nlist", "m"],
            "HNSW" => &["m", "ef_construction"],
            // It is the kind that is wrong.
            _ => &["nlist", "m", "ef_construction"],
        };
        let mut wrong = Vec::new();
        let mut within = |field: &'static str, given: Option<i32>, usual: u32, range: RangeInclusive<u32>| {
            let Some(given) = given else { return usual };
            if !of_kind.contains(&field) {
                wrong.push((field, format!("is nothing that {} has: leave it out", self.kind)));
                return usual;
            }
            match u32::try_from(given) {
                Ok(value) if range.contains(&value) => value,
                _ => {
                    wrong.push((field, format!("{given} is not in {} to {}", range.start(), range.end())));
                    usual
                }
            }
        };
        let nlist = within("nlist", self.nlist, 128, 1..=65_536);
        let ef_construction = within("ef_construction", self.ef_construction, 200, 1..=65_535);
        let (usual, range) = match self.kind {
            "IVF_PQ" => (8, 1..=65_536),
            // One link a node is no graph.
            _ => (16, 2..=2048),
        };
        let m = within("m", self.m, usual, range);
        let kind = match self.kind {
            "FLAT" => IndexKind::Flat,
            "IVF_FLAT" => IndexKind::IvfFlat { nlist },
            "IVF_SQ8" => IndexKind::IvfSq8 { nlist },
            "IVF_PQ" => IndexKind::IvfPq { nlist, m },
            "HNSW" => IndexKind::Hnsw { m, ef_construction },
            "DISKANN" => IndexKind::Diskann,
            other => {
                let message = format!("{other:?} is none of FLAT, IVF_FLAT, IVF_SQ8, IVF_PQ, HNSW, DISKANN");
                wrong.push(("type", message));
                IndexKind::Flat
            }
        };
        if wrong.is_empty() { Ok(kind) } else { Err(wrong) }
    }
}

/// One vector field of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldDescription {
    /// The space its vectors lie in.
    pub space: VectorSpace,
    /// The space's digest.
    pub fingerprint: Fingerprint,
    /// Vectors of built-in inputs; none where vectors were imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<Canary>,
}

impl FieldDescription {
    /// A field for a space.
    #[must_use]
    pub fn new(space: VectorSpace, canaries: Vec<Canary>) -> Self {
        Self {
            fingerprint: space.fingerprint(),
            space,
            canaries,
        }
    }

    /// A field for vectors that were made elsewhere: what is known of their space is the model's name, their length and,
    /// where the caller declares it, the fingerprint. They have no canaries.
    #[must_use]
    pub fn imported(model: ModelName, dimension: u32, declared: Option<Fingerprint>) -> Self {
        let unknown = || "imported".to_owned();
        // Nothing else tells the models of imports apart.
        let weights = format!("imported as {model}");
        let space = VectorSpace {
            model,
            weights,
            preprocessing: unknown(),
            decode: unknown(),
            pooling: unknown(),
            prefix: String::new(),
            dimension,
            normalized: true,
        };
        Self {
            fingerprint: declared.unwrap_or_else(|| space.fingerprint()),
            space,
            canaries: Vec::new(),
        }
    }
}

/// What identifies how the inputs of some fields become vectors, for [`crate::Item::source_digest`]: whoever asks
/// whether an item is unchanged has to say the same as the worker that wrote its row.
#[must_use]
pub fn preprocessing(described: &BTreeMap<VectorField, FieldDescription>, filled: &[VectorField]) -> String {
    let known = VectorField::ALL.iter().filter(|field| filled.contains(field));
    let part = |field: &VectorField| Some(format!("{field}={}\n", described.get(field)?.fingerprint));
    known.filter_map(part).collect()
}

/// What a collection is, stored with it when it is created and never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionDescription {
    /// Its name.
    pub name: CollectionName,
    /// Its vector fields: one or two.
    pub fields: BTreeMap<VectorField, FieldDescription>,
    /// How they are indexed.
    pub index: IndexKind,
}

impl Document for CollectionDescription {
    const FORMAT: &'static str = "sightline.collection";
}

/// A field of a collection that holds, or lacks, what a model would write or ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceMismatch {
    /// The collection has no such field.
    #[error("collection {collection} has no field {field}: it cannot take vectors of model {model}")]
    MissingField {
        /// The collection.
        collection: CollectionName,
        /// The field.
        field: VectorField,
        /// The model that would use it.
        model: String,
    },
    /// The field holds vectors of another model.
    #[error(
        "field {field} of collection {collection} holds vectors of model {theirs} ({their_fingerprint}, {their_dimension}-d), not of {ours} ({our_fingerprint}, {our_dimension}-d): use that model, or another collection"
    )]
    OtherSpace {
        /// The collection.
        collection: CollectionName,
        /// The field.
        field: VectorField,
        /// Name of the model that the field belongs to.
        theirs: String,
        /// Its fingerprint, short.
        their_fingerprint: String,
        /// Its dimension.
        their_dimension: u32,
        /// Name of the model that would use it.
        ours: String,
        /// Its fingerprint, short.
        our_fingerprint: String,
        /// Its dimension.
        our_dimension: u32,
    },
}

impl CollectionDescription {
    /// Proves that a field holds a space.
    ///
    /// # Errors
    /// When there is no such field, or it holds another space.
    pub fn check_space(&self, field: VectorField, space: &VectorSpace) -> Result<(), SpaceMismatch> {
        let Some(theirs) = self.fields.get(&field) else {
            return Err(SpaceMismatch::MissingField {
                collection: self.name.clone(),
                field,
                model: space.model.to_string(),
            });
        };
        let ours = space.fingerprint();
        // A fingerprint can have been declared for vectors of another length.
        if theirs.fingerprint == ours && theirs.space.dimension == space.dimension {
            return Ok(());
        }
        Err(SpaceMismatch::OtherSpace {
            collection: self.name.clone(),
            field,
            theirs: theirs.space.model.to_string(),
            their_fingerprint: theirs.fingerprint.short().into(),
            their_dimension: theirs.space.dimension,
            ours: space.model.to_string(),
            our_fingerprint: ours.short().into(),
            our_dimension: space.dimension,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_chosen_in_the_ranges_that_an_engine_takes() {
        let choice = |kind, m| IndexChoice {
            kind,
            nlist: None,
            m,
            ef_construction: None,
        };
        for m in [2, 2048] {
            assert!(choice("HNSW", Some(m)).check().is_ok(), "{m}");
        }
        for (kind, m, told) in [
            ("HNSW", 0, "0 is not in 2 to 2048"),
            ("HNSW", 1, "1 is not in 2 to 2048"),
            ("HNSW", 2049, "2049 is not in 2 to 2048"),
            ("IVF_PQ", -1, "-1 is not in 1 to 65536"),
            ("FLAT", 8, "is nothing that FLAT has: leave it out"),
            ("FLAT", 0, "is nothing that FLAT has: leave it out"),
            ("IVF_FLAT", 8, "is nothing that IVF_FLAT has: leave it out"),
        ] {
            assert_eq!(choice(kind, Some(m)).check(), Err(vec![("m", told.to_owned())]));
        }
        let usual = IndexKind::Hnsw {
            m: 16,
            ef_construction: 200,
        };
        assert_eq!(choice("HNSW", None).check(), Ok(usual));
        let parts = IndexKind::IvfPq { nlist: 128, m: 1 };
        assert_eq!(choice("IVF_PQ", Some(1)).check(), Ok(parts));
    }

    #[test]
    fn every_number_of_an_index_that_is_out_of_its_range_is_named_with_the_range() {
        for number in [0, -1, i32::MAX] {
            let lists = IndexChoice {
                kind: "IVF_SQ8",
                nlist: Some(number),
                m: None,
                ef_construction: None,
            };
            let told = format!("{number} is not in 1 to 65536");
            assert_eq!(lists.check(), Err(vec![("nlist", told)]));
            let graph = IndexChoice {
                kind: "HNSW",
                nlist: None,
                m: Some(number),
                ef_construction: Some(number),
            };
            let wrong = graph.check().unwrap_err();
            let told = ["1 to 65535", "2 to 2048"].map(|range| format!("{number} is not in {range}"));
            let [ef_construction, m] = told;
            assert_eq!(wrong, [("ef_construction", ef_construction), ("m", m)]);
        }
    }

    #[test]
    fn parts_of_a_vector_have_one_length() {
        let index = |m| IndexKind::IvfPq { nlist: 128, m };
        assert!(
            [1, 4, 16]
                .map(|m| index(m).check_dimension(16))
                .iter()
                .all(Result::is_ok)
        );
        assert!(index(7).check_dimension(16).unwrap_err().contains("divides 16"));
        assert!(index(0).check_dimension(16).is_err());
        assert!(IndexKind::Flat.check_dimension(7).is_ok());
    }

    #[test]
    fn imports_that_name_different_models_are_of_different_spaces() {
        let print = |model: &str, dimension| {
            FieldDescription::imported(ModelName::new(model).unwrap(), dimension, None).fingerprint
        };
        assert_eq!(print("a", 16), print("a", 16));
        assert_ne!(print("a", 16), print("b", 16));
        assert_ne!(print("a", 16), print("a", 17));
    }

    #[test]
    fn the_number_of_lists_follows_the_number_of_rows() {
        let nlist = |rows| match IndexKind::by_size(rows) {
            IndexKind::IvfFlat { nlist } => nlist,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [
                nlist(0),
                nlist(99_999),
                nlist(100_000),
                nlist(999_999),
                nlist(1_000_000)
            ],
            [128, 128, 1024, 1024, 4096]
        );
    }
}
