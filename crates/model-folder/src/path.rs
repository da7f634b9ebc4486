//! Reading small files, and paths that stay inside the folder.

use crate::error::FolderError;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

/// A configuration is some kilobytes; a file of this many bytes is something else.
const MAX_JSON_BYTES: u64 = 4 << 20;
const MAX_LISTED: usize = 20;

/// Reads a JSON file, or `None` where there is no such file.
pub(crate) fn read_json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FolderError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FolderError::read(path, error)),
    };
    let mut text = Vec::new();
    file.take(MAX_JSON_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|error| FolderError::read(path, error))?;
    if text.len() as u64 > MAX_JSON_BYTES {
        let error = std::io::Error::other("it is larger than 4 MiB, so it is no configuration");
        return Err(FolderError::read(path, error));
    }
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(value)),
        Err(source) => Err(FolderError::Json {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads a JSON file that has to be there.
pub(crate) fn read_json<T: DeserializeOwned>(
    folder: &Path,
    file: &str,
    remedy: &'static str,
) -> Result<T, FolderError> {
    read_json_if_there(&folder.join(file))?.ok_or_else(|| FolderError::missing(folder, file, remedy))
}

/// A path that a configuration names, which may not leave the folder.
pub(crate) fn inside(folder: &Path, config: &Path, key: &str, name: &str) -> Result<PathBuf, FolderError> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain {
        return Err(FolderError::setting(
            config,
            key,
            format!("is {name:?}, which leads out of the model's folder"),
            "name something inside it",
        ));
    }
    Ok(folder.join(path))
}

/// The names in a folder, for error messages.
pub(crate) fn listing(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else {
        return "nothing that can be listed".to_owned();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().escape_debug().to_string())
        .collect();
    names.sort();
    let more = names.len().saturating_sub(MAX_LISTED);
    names.truncate(MAX_LISTED);
    match (names.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

/// The files that hold a side's weights: one `model.safetensors`, or the parts that an index lists.
pub(crate) fn weights(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    const WHOLE: &str = "model.safetensors";
    const INDEX: &str = "model.safetensors.index.json";
    let whole = folder.join(WHOLE);
    if whole.is_file() {
        return Ok(vec![whole]);
    }
    let path = folder.join(INDEX);
    let Some(index) = read_json_if_there::<Index>(&path)? else {
        let remedy = "convert the model's weights to safetensors (pickles such as pytorch_model.bin are not read, since they run code)";
        return Err(FolderError::missing(folder, WHOLE, remedy));
    };
    let names: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
    let mut parts = Vec::with_capacity(names.len());
    for name in names {
        let part = inside(folder, &path, "weight_map", &name)?;
        if !part.is_file() {
            return Err(FolderError::missing(
                folder,
                &name,
                "copy all parts that the index lists",
            ));
        }
        parts.push(part);
    }
    if parts.is_empty() {
        return Err(FolderError::setting(
            &path,
            "weight_map",
            "lists no parts",
            "copy the model again",
        ));
    }
    Ok(parts)
}
