//! The model of a run: a name, or a folder that says its fingerprints.

use crate::error::CliError;
use sightline_hub::{HubConfig, HubError, ModelPlace, pulled};
use sightline_model_folder::{Decode, DigestCache, FolderError, ModelFolder};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What a run is told of its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    /// As the workers name it.
    pub(crate) name: String,
    /// Vector field → fingerprint; empty where only the name is known.
    pub(crate) fingerprints: HashMap<String, String>,
    /// Vector field → length of its vectors; as empty.
    pub(crate) dimensions: HashMap<String, i32>,
}

impl Model {
    /// Reads the folder, where there is one of that name, or where `hf:…` was pulled on this machine; else it is a name.
    /// Nothing is pulled: the workers have the model.
    pub(crate) async fn of(given: &str, truncate_dim: Option<u32>, decode: Option<Decode>) -> Result<Self, CliError> {
        if let ModelPlace::Hub(model) = ModelPlace::of(Path::new(given)).map_err(HubError::from)? {
            let options = HubConfig::default().options_of_process()?;
            return match pulled(&model, &options)? {
                Some(folder) => Self::read(folder, truncate_dim, decode).await,
                None => Self::named(model.name(), truncate_dim, decode),
            };
        }
        let folder = Path::new(given);
        if folder.join("config.json").is_file() {
            return Self::read(folder.to_owned(), truncate_dim, decode).await;
        }
        // No model's name begins so: a mistyped folder is not looked for among the workers.
        if given.starts_with(['.', '/', '~']) {
            return Err(CliError::Usage(format!(
                "cannot read the model {given:?}: there is no config.json in it; name a model's folder, or a model by \
                 the name that the workers have"
            )));
        }
        Self::named(given, truncate_dim, decode)
    }

    fn named(given: &str, truncate_dim: Option<u32>, decode: Option<Decode>) -> Result<Self, CliError> {
        let of_a_folder = [
            ("--truncate-dim", "model.truncate_dim", truncate_dim.is_some()),
            ("--decode", "model.decode", decode.is_some()),
        ];
        if let Some((flag, key, _)) = of_a_folder.into_iter().find(|(_, _, given)| *given) {
            return Err(CliError::Usage(format!(
                "{flag} goes with a model's folder, and {given:?} is a name: workers of that name have their own {key}"
            )));
        }
        Ok(Self {
            name: given.to_owned(),
            fingerprints: HashMap::new(),
            dimensions: HashMap::new(),
        })
    }

    async fn read(folder: PathBuf, truncate_dim: Option<u32>, decode: Option<Decode>) -> Result<Self, CliError> {
        // All weights are read: it takes a moment.
        let open = move || {
            let folder = ModelFolder::open(&folder, &DigestCache::new())?.truncated(truncate_dim)?;
            Ok::<_, FolderError>(folder.decoding(decode.unwrap_or_default()))
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let opened = opened.map_err(|error| CliError::Failed(format!("cannot read the model: {error}")))?;
        let model = opened.map_err(|error| CliError::Usage(format!("cannot read the model: {error}")))?;
        let fingerprints = model
            .spaces
            .iter()
            .map(|(field, space)| (field.as_str().to_owned(), space.fingerprint().to_string()))
            .collect();
        let dimension = |length: u32| i32::try_from(length).unwrap_or(i32::MAX);
        let dimensions = model
            .spaces
            .iter()
            .map(|(field, space)| (field.as_str().to_owned(), dimension(space.dimension)))
            .collect();
        Ok(Self {
            name: model.name.to_string(),
            fingerprints,
            dimensions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_taken_as_it_is_and_a_folder_that_is_not_there_is_refused() {
        let name = "siglip-base-patch16-224";
        let model = Model::of(name, None, None).await.unwrap();
        let nameless = Model {
            name: name.into(),
            fingerprints: HashMap::new(),
            dimensions: HashMap::new(),
        };
        assert_eq!(model, nameless);
        let of_the_hub = Model::of("hf:google/siglip-base-patch16-224@never-pulled", None, None)
            .await
            .unwrap();
        assert_eq!(of_the_hub, model, "the workers name it so");
        let error = Model::of("./no/such/model", None, None).await.unwrap_err();
        assert!(error.to_string().contains("no config.json"), "{error}");
        let error = Model::of(name, Some(64), None).await.unwrap_err();
        assert!(error.to_string().contains("--truncate-dim"), "{error}");
        let error = Model::of(name, None, Some(Decode::Fast)).await.unwrap_err();
        assert!(error.to_string().contains("model.decode"), "{error}");
    }
}
