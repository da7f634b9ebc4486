//! Shorter vectors: the first values alone, of models that were trained so that they do without the others.

use crate::error::FolderError;
use crate::folder::{CONFIG, ModelFolder};
use crate::image::ImageSide;
use crate::text::TextSide;
use sightline_core::VectorField;

/// Shorter lengths that `config.json` names, as jina's and nomic's do.
pub(crate) fn dimensions(config: &serde_json::Value) -> Vec<u32> {
    let parts = [Some(config), config.get("text_config")];
    let lists = parts
        .into_iter()
        .flatten()
        .filter_map(|part| part.get("matryoshka_dimensions")?.as_array());
    let lengths = lists.flatten().filter_map(serde_json::Value::as_u64);
    lengths.filter_map(|length| u32::try_from(length).ok()).collect()
}

impl ModelFolder {
    /// Keeps the first `dimension` values of each vector alone, before vectors are brought to length 1: for models
    /// whose first values were trained to do without the others (Matryoshka representation learning). It is another
    /// space. None changes nothing: what sentence-transformers' configuration says (`truncate_dim`) stays.
    ///
    /// # Errors
    /// When vectors are shorter, or the configuration names the lengths that the model was trained for and this is none
    /// of them.
    pub fn truncated(mut self, dimension: Option<u32>) -> Result<Self, FolderError> {
        let Some(dimension) = dimension else { return Ok(self) };
        let wrong = |problem: String, remedy: String| {
            FolderError::setting(&self.root.join(CONFIG), "truncate_dim", problem, remedy)
        };
        for field in self.spaces.keys() {
            let whole = self.whole_dimension(*field);
            if !(1..=whole).contains(&dimension) {
                let problem = format!("is {dimension}, but vectors have {whole} values");
                return Err(wrong(problem, format!("give 1 to {whole}")));
            }
            if dimension < whole && !self.matryoshka.is_empty() && !self.matryoshka.contains(&dimension) {
                let lengths: Vec<String> = self.matryoshka.iter().map(u32::to_string).collect();
                let problem = format!("is {dimension}, which the model was not trained for");
                return Err(wrong(problem, format!("give one of {}", lengths.join(", "))));
            }
        }
        for space in self.spaces.values_mut() {
            space.dimension = dimension;
        }
        Ok(self)
    }

    /// Length of a field's vectors before anything is left out.
    fn whole_dimension(&self, field: VectorField) -> u32 {
        let length = match field {
            VectorField::Image => self.image.as_ref().map(ImageSide::dimension),
            VectorField::Text => self.text.as_ref().map(TextSide::dimension),
        };
        length.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DigestCache;
    use crate::test_folder::TestFolder;
    use serde_json::json;
    use sightline_core::ModelName;

    fn open(folder: &TestFolder) -> ModelFolder {
        ModelFolder::open_as(folder.path(), ModelName::new("tiny").unwrap(), &DigestCache::new()).unwrap()
    }

    #[test]
    fn what_sentence_transformers_keeps_is_kept_unless_another_length_is_asked_for() {
        let folder = TestFolder::pair();
        folder.write_json("text/config_sentence_transformers.json", &json!({"truncate_dim": 3}));
        let lengths = |model: ModelFolder| model.spaces.values().map(|space| space.dimension).collect::<Vec<_>>();
        assert_eq!(lengths(open(&folder)), [3, 3], "both lie in one space");
        assert_eq!(lengths(open(&folder).truncated(None).unwrap()), [3, 3]);
        assert_eq!(lengths(open(&folder).truncated(Some(5)).unwrap()), [5, 5]);
        folder.write_json("text/config_sentence_transformers.json", &json!({"truncate_dim": 0}));
        let name = ModelName::new("tiny").unwrap();
        let error = ModelFolder::open_as(folder.path(), name, &DigestCache::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("`truncate_dim` is 0"), "{error}");
    }

    #[test]
    fn shorter_vectors_are_another_space_and_only_of_a_length_that_the_model_knows() {
        let folder = TestFolder::pair();
        let whole = open(&folder);
        let short = whole.clone().truncated(Some(4)).unwrap();
        for (field, space) in &short.spaces {
            assert_eq!(space.dimension, 4);
            assert_ne!(space.fingerprint(), whole.spaces[field].fingerprint());
        }
        assert_eq!(whole.clone().truncated(None).unwrap(), whole);
        assert_eq!(whole.clone().truncated(Some(8)).unwrap(), whole);
        for wrong in [0, 9] {
            let error = whole.clone().truncated(Some(wrong)).unwrap_err().to_string();
            assert!(error.contains("`truncate_dim`") && error.contains("1 to 8"), "{error}");
        }
        folder.set("config.json", "/matryoshka_dimensions", json!([2, 4, 8]));
        let trained = open(&folder);
        assert!(trained.clone().truncated(Some(2)).is_ok());
        let error = trained.truncated(Some(3)).unwrap_err().to_string();
        assert!(error.contains("2, 4, 8"), "{error}");
    }
}
