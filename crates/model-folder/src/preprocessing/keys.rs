//! The keys of the file. `null` is as good as absent.

use crate::error::FolderError;
use serde_json::{Map, Value};
use std::path::Path;

/// What is understood.
const KNOWN: [&str; 19] = [
    "crop_pct",
    "crop_size",
    "do_center_crop",
    "do_convert_rgb",
    "do_flip_channel_order",
    "do_normalize",
    "do_pad",
    "do_rescale",
    "do_resize",
    "feature_extractor_type",
    "image_mean",
    "image_processor_type",
    "image_std",
    "pad_size",
    "resample",
    "rescale_factor",
    "rescale_offset",
    "size",
    "default_to_square",
];

/// What changes no pixel.
const HARMLESS: [&str; 14] = [
    "_valid_processor_keys",
    "auto_map",
    "data_format",
    "device",
    "disable_grouping",
    "do_reduce_labels",
    "image_processor_class",
    "image_seq_length",
    "input_data_format",
    "num_channels",
    "processor_class",
    "reduce_labels",
    "return_tensors",
    "transformers_version",
];

pub(super) struct Keys<'a> {
    raw: &'a Map<String, Value>,
    file: &'a Path,
}

impl<'a> Keys<'a> {
    pub(super) fn new(raw: &'a Map<String, Value>, file: &'a Path) -> Self {
        Self { raw, file }
    }

    pub(super) fn wrong(&self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> FolderError {
        FolderError::setting(self.file, key, problem, remedy)
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.raw.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(Value::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, FolderError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(key, format!("is {other}"), "give true or false")),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, FolderError> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(key, format!("is {value}"), "give a number")),
            },
        }
    }

    /// A number for each channel, or one for all.
    pub(super) fn three(&self, key: &str, usual: Option<[f64; 3]>) -> Result<[f64; 3], FolderError> {
        const REMEDY: &str = "give three numbers: red, green, blue";
        let Some(value) = self.value(key) else {
            return usual.ok_or_else(|| self.wrong(key, "is not there", REMEDY));
        };
        let values = match value {
            Value::Array(values) => values.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>(),
            other => other.as_f64().map(|number| vec![number; 3]),
        };
        values
            .and_then(|values| <[f64; 3]>::try_from(values).ok())
            .filter(|values| values.iter().all(|value| value.is_finite()))
            .ok_or_else(|| self.wrong(key, format!("is {value}"), REMEDY))
    }

    /// An unknown key may change pixels, unless it is switched off.
    pub(super) fn refuse_unknown(&self) -> Result<(), FolderError> {
        for (key, value) in self.raw {
            let known = KNOWN.contains(&key.as_str()) || HARMLESS.contains(&key.as_str());
            let off = value.is_null() || *value == Value::Bool(false);
            if !known && !off {
                let remedy = "remove it if it changes no pixel, else use another model";
                return Err(self.wrong(key, format!("is {value}, which is not implemented"), remedy));
            }
        }
        Ok(())
    }
}
