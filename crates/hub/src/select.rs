//! Which files of a repository make a model folder. Pickles never do: reading one runs its code.

use crate::listing::{Listing, RemoteFile};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const MODULES: &str = "modules.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Endings of files that are pickles, or archives of them.
const PICKLES: [&str; 6] = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"];
/// Names of files that are listed in a message.
const SHOWN: usize = 8;

/// What is read of a folder beside weights.
const NAMES: [&str; 24] = [
    CONFIG,
    MODULES,
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "README.md",
    "LICENSE",
];

/// Why a folder of a repository cannot be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// There are weights, but only these, which are pickles.
    OnlyPickles(String),
    /// This file is missing.
    Missing(String),
    /// An index of weights cannot be read.
    Index(String),
}

/// A folder of a repository that belongs to the model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Folder {
    /// Empty for the repository's own; otherwise without a `/` at the end.
    pub(crate) path: String,
    /// Whether the model cannot be without weights there.
    pub(crate) needs_weights: bool,
}

#[derive(Deserialize)]
struct Module {
    r#type: String,
    path: String,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Folder {
    fn file<'a>(&self, listing: &'a Listing, name: &str) -> Option<&'a RemoteFile> {
        listing.files.get(&self.join(name))
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.path)
        }
    }

    /// Everything but weights; their index is no weight.
    pub(crate) fn descriptions<'a>(&self, listing: &'a Listing) -> Vec<&'a RemoteFile> {
        let mut found: Vec<_> = NAMES.iter().filter_map(|name| self.file(listing, name)).collect();
        found.extend(self.index(listing));
        found
    }

    /// The index of weights in parts, where they are not in one file.
    pub(crate) fn index<'a>(&self, listing: &'a Listing) -> Option<&'a RemoteFile> {
        match self.file(listing, WEIGHTS) {
            Some(_) => None,
            None => self.file(listing, INDEX),
        }
    }

    /// Refuses a folder whose weights are not there, or are pickles.
    pub(crate) fn check(&self, listing: &Listing) -> Result<(), Unfit> {
        if self.file(listing, WEIGHTS).is_some() || self.file(listing, INDEX).is_some() {
            return Ok(());
        }
        let here = |path: &&String| match path.rsplit_once('/') {
            Some((folder, _)) => folder == self.path,
            None => self.path.is_empty(),
        };
        let pickle = |path: &&String| PICKLES.iter().any(|ending| path.ends_with(ending));
        let pickles: Vec<&str> = listing
            .files
            .keys()
            .filter(here)
            .filter(pickle)
            .map(String::as_str)
            .collect();
        if !pickles.is_empty() {
            return Err(Unfit::OnlyPickles(some_of(&pickles)));
        }
        if self.needs_weights {
            return Err(Unfit::Missing(self.join(WEIGHTS)));
        }
        Ok(())
    }

    /// The weights, in one file or in the parts that the index names.
    pub(crate) fn weights<'a>(&self, listing: &'a Listing, index: Option<&[u8]>) -> Result<Vec<&'a RemoteFile>, Unfit> {
        if let Some(whole) = self.file(listing, WEIGHTS) {
            return Ok(vec![whole]);
        }
        let Some(index) = index else {
            return Ok(Vec::new());
        };
        let index: Index = serde_json::from_slice(index)
            .map_err(|error| Unfit::Index(format!("{} cannot be read: {error}", self.join(INDEX))))?;
        let parts: BTreeSet<String> = index.weight_map.into_values().collect();
        let named = |part: String| match self.file(listing, &part) {
            Some(file) if part.ends_with(".safetensors") => Ok(file),
            Some(_) => Err(Unfit::OnlyPickles(self.join(&part))),
            None => Err(Unfit::Missing(self.join(&part))),
        };
        parts.into_iter().map(named).collect()
    }
}

/// The folders of a model, by its `config.json` and `modules.json`, where they are there.
pub(crate) fn folders(config: Option<&[u8]>, modules: Option<&[u8]>) -> Result<Vec<Folder>, Unfit> {
    let mut found = BTreeMap::new();
    let mut pair = false;
    if let Some(config) = config {
        let config: serde_json::Value = serde_json::from_slice(config)
            .map_err(|error| Unfit::Index(format!("config.json cannot be read: {error}")))?;
        pair = config.get("model_type").is_some_and(|kind| kind == "sightline_pair");
        if pair {
            for side in ["image", "text"] {
                let path = config.get(side).and_then(serde_json::Value::as_str).unwrap_or_default();
                found.insert(path.trim_end_matches('/').to_owned(), true);
            }
        }
    }
    let modules: Vec<Module> = match modules {
        Some(text) => serde_json::from_slice(text)
            .map_err(|error| Unfit::Index(format!("modules.json cannot be read: {error}")))?,
        None => Vec::new(),
    };
    // A network of the repository's own folder comes first, whatever modules.json says of it.
    let mut needs_network = config.is_none();
    for module in modules {
        let network = needs_network
            && [".Transformer", ".CLIPModel"]
                .iter()
                .any(|kind| module.r#type.ends_with(kind));
        needs_network &= !network;
        let weights = network || module.r#type.ends_with(".Dense");
        *found
            .entry(module.path.trim_end_matches('/').to_owned())
            .or_insert(false) |= weights;
    }
    if needs_network {
        return Err(Unfit::Missing(CONFIG.to_owned()));
    }
    *found.entry(String::new()).or_insert(false) |= config.is_some() && !pair;
    let folder = |(path, needs_weights)| Folder { path, needs_weights };
    Ok(found.into_iter().map(folder).collect())
}

/// Some names, for a message.
pub(crate) fn some_of(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "no files".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::FileDigest;

    fn listing(paths: &[&str]) -> Listing {
        let file = |path: &&str| RemoteFile {
            path: (*path).to_owned(),
            bytes: 1,
            digest: FileDigest::Git("0".repeat(40)),
        };
        Listing {
            commit: "0".repeat(40),
            files: paths.iter().map(|path| ((*path).to_owned(), file(path))).collect(),
        }
    }

    fn root() -> Folder {
        folders(Some(b"{}"), None).unwrap().remove(0)
    }

    #[test]
    fn only_what_a_model_folder_is_read_from_is_chosen() {
        let listing = listing(&[
            "README.md",
            "config.json",
            "model.safetensors",
            "open_clip_model.safetensors",
            "model.fp16.safetensors",
            "pytorch_model.bin",
            "onnx/model.onnx",
            "tokenizer.json",
            "modeling_x.py",
            "tf_model.h5",
            "vocab.txt",
        ]);
        let names: Vec<&str> = root()
            .descriptions(&listing)
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(names, ["config.json", "tokenizer.json", "vocab.txt", "README.md"]);
        assert_eq!(root().check(&listing), Ok(()));
        let weights = root().weights(&listing, None).unwrap();
        assert_eq!(weights[0].path, "model.safetensors");
        assert_eq!(weights.len(), 1);
    }

    #[test]
    fn weights_in_parts_are_those_that_their_index_names() {
        let listing = listing(&[
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "other.safetensors",
            "model-00001-of-00002.bin",
        ]);
        assert!(root().descriptions(&listing).iter().any(|file| file.path == INDEX));
        let index =
            br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors",
                         "c": "model-00001-of-00002.safetensors"}}"#;
        let parts: Vec<&str> = root()
            .weights(&listing, Some(index))
            .unwrap()
            .iter()
            .map(|f| f.path.as_str())
            .collect();
        assert_eq!(
            parts,
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        );
        for (part, problem) in [
            (
                "model-00003-of-00003.safetensors",
                Unfit::Missing("model-00003-of-00003.safetensors".into()),
            ),
            (
                "model-00001-of-00002.bin",
                Unfit::OnlyPickles("model-00001-of-00002.bin".into()),
            ),
            ("../x.safetensors", Unfit::Missing("../x.safetensors".into())),
        ] {
            let index = format!(r#"{{"weight_map": {{"a": "{part}"}}}}"#);
            assert_eq!(root().weights(&listing, Some(index.as_bytes())), Err(problem));
        }
    }

    #[test]
    fn pickles_are_refused_wherever_weights_are_needed() {
        let found = root().check(&listing(&["config.json", "pytorch_model.bin", "rust_model.ot"]));
        assert_eq!(found, Err(Unfit::OnlyPickles("pytorch_model.bin".into())));
        let found = root().check(&listing(&["config.json", "tf_model.h5"]));
        assert_eq!(found, Err(Unfit::Missing("model.safetensors".into())));
        let dense = Folder {
            path: "2_Dense".into(),
            needs_weights: true,
        };
        let found = dense.check(&listing(&[
            "config.json",
            "model.safetensors",
            "2_Dense/pytorch_model.bin",
        ]));
        assert_eq!(found, Err(Unfit::OnlyPickles("2_Dense/pytorch_model.bin".into())));
    }

    #[test]
    fn modules_of_sentence_transformers_lie_in_folders_of_their_own() {
        let modules = br#"[{"type": "sentence_transformers.models.Transformer", "path": "0_Transformer"},
            {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
            {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]"#;
        let found = |config| folders(config, Some(modules)).unwrap();
        let of = |folders: Vec<Folder>| {
            folders
                .into_iter()
                .map(|f| (f.path, f.needs_weights))
                .collect::<Vec<_>>()
        };
        let below = [
            ("", false),
            ("0_Transformer", true),
            ("1_Pooling", false),
            ("2_Dense", true),
        ];
        assert_eq!(of(found(None)), below.map(|(path, needs)| (path.to_owned(), needs)));
        let own = [
            ("", true),
            ("0_Transformer", false),
            ("1_Pooling", false),
            ("2_Dense", true),
        ];
        assert_eq!(
            of(found(Some(b"{}"))),
            own.map(|(path, needs)| (path.to_owned(), needs))
        );
        assert_eq!(folders(None, None), Err(Unfit::Missing("config.json".into())));
    }

    #[test]
    fn a_pair_has_two_folders_with_weights() {
        let config = br#"{"model_type": "sightline_pair", "image": "image", "text": "text"}"#;
        let found = folders(Some(config), None).unwrap();
        let needs: Vec<_> = found.iter().map(|f| (f.path.as_str(), f.needs_weights)).collect();
        assert_eq!(needs, [("", false), ("image", true), ("text", true)]);
    }
}
