//! Reading `config.json`: values with their defaults, each checked, each mistake with its key.

use crate::error::FolderError;
use crate::network::Activation;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub(super) const COPY: &str = "copy config.json from the model again";

/// No width, number of classes or tokens of a network that fits in memory is above this.
pub(super) const MAX_SIZE: u32 = 1 << 22;

pub(super) fn in_range(file: &Path, key: &str, value: u32, max: u32) -> Result<(), FolderError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(FolderError::setting(
        file,
        key,
        format!("is {value}, not 1 to {max}"),
        COPY,
    ))
}

pub(super) fn above_zero(file: &Path, key: &str, value: f64) -> Result<(), FolderError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(FolderError::setting(file, key, format!("is {value}"), COPY))
}

pub(super) fn only(file: &Path, config: &serde_json::Value, key: &str, allowed: &str) -> Result<(), FolderError> {
    match config.get(key) {
        None => Ok(()),
        Some(serde_json::Value::String(value)) if value == allowed => Ok(()),
        Some(other) => {
            let problem = format!("is {other}, which is not implemented");
            Err(FolderError::setting(
                file,
                key,
                problem,
                format!("use a model with \"{allowed}\""),
            ))
        }
    }
}

pub(super) fn parse<T: DeserializeOwned>(file: &Path, config: &serde_json::Value) -> Result<T, FolderError> {
    T::deserialize(config).map_err(|source| FolderError::Json {
        path: file.to_owned(),
        source,
    })
}

/// One object of `config.json`: the whole, or a part such as `vision_config`. A key that is not there has the value
/// that transformers gives it, since published files leave out what is usual.
pub(crate) struct Keys<'a> {
    file: PathBuf,
    part: &'static str,
    value: &'a Value,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(folder: &Path, value: &'a Value) -> Self {
        Self {
            file: folder.join("config.json"),
            part: "",
            value,
        }
    }

    /// A nested object; an empty one where it is not there.
    pub(super) fn part(&self, part: &'static str) -> Self {
        Self {
            file: self.file.clone(),
            part,
            value: self.value.get(part).unwrap_or(&Value::Null),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn wrong(&self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> FolderError {
        let key = if self.part.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.part)
        };
        FolderError::setting(&self.file, key, problem, remedy)
    }

    /// A whole number of 1 to `max`.
    pub(super) fn count(&self, key: &str, default: u32, max: u32) -> Result<u32, FolderError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| (1..=max).contains(number)) {
            Some(number) => Ok(number),
            None => Err(self.wrong(key, format!("is {value}, not 1 to {max}"), COPY)),
        }
    }

    /// A whole number that may be 0.
    pub(super) fn number(&self, key: &str, default: u32) -> Result<u32, FolderError> {
        match self.get(key) {
            Some(value) if value.as_u64() == Some(0) => Ok(0),
            _ => self.count(key, default, u32::MAX),
        }
    }

    /// A number above 0.
    pub(super) fn positive(&self, key: &str, default: f64) -> Result<f64, FolderError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        match value.as_f64().filter(|number| number.is_finite() && *number > 0.0) {
            Some(number) => Ok(number),
            None => Err(self.wrong(key, format!("is {value}, not a number above 0"), COPY)),
        }
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, FolderError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value
            .as_bool()
            .ok_or_else(|| self.wrong(key, format!("is {value}, not true or false"), COPY))
    }

    /// One edge, or height and width.
    pub(super) fn size(&self, key: &str, default: u32) -> Result<[u32; 2], FolderError> {
        let edge = |value: &Value| {
            value
                .as_u64()
                .and_then(|edge| u32::try_from(edge).ok())
                .filter(|edge| (1..=8192).contains(edge))
        };
        let size = match self.get(key) {
            None => Some([default; 2]),
            Some(Value::Array(both)) => match both.as_slice() {
                [height, width] => edge(height).zip(edge(width)).map(|(height, width)| [height, width]),
                _ => None,
            },
            Some(one) => edge(one).map(|edge| [edge; 2]),
        };
        let shown = self.get(key).map(Value::to_string).unwrap_or_default();
        size.ok_or_else(|| self.wrong(key, format!("is {shown}, not an edge of 1 to 8192 pixels or two"), COPY))
    }

    pub(super) fn activation(&self, key: &str, default: &str) -> Result<Activation, FolderError> {
        let name = match self.get(key) {
            None => default,
            Some(value) => value.as_str().unwrap_or_default(),
        };
        Activation::of(name).ok_or_else(|| {
            let problem = format!("is {name:?}, which is not implemented");
            self.wrong(key, problem, format!("use a model with one of {}", Activation::names()))
        })
    }

    /// Refuses any value but one: what another would mean is not implemented.
    pub(super) fn only(&self, key: &str, allowed: &Value) -> Result<(), FolderError> {
        match self.get(key) {
            Some(other) if other != allowed => {
                let problem = format!("is {other}, which is not implemented");
                Err(self.wrong(key, problem, format!("use a model with {allowed}")))
            }
            _ => Ok(()),
        }
    }

    /// Heads, which divide the width.
    pub(super) fn heads(&self, default: u32, width: u32) -> Result<u32, FolderError> {
        const KEY: &str = "num_attention_heads";
        let heads = self.count(KEY, default, 1024)?;
        if width.is_multiple_of(heads) {
            return Ok(heads);
        }
        Err(self.wrong(
            KEY,
            format!("is {heads}, which does not divide hidden_size {width}"),
            COPY,
        ))
    }
}
