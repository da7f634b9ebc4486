//! What sentence-transformers puts before texts.

use crate::error::FolderError;
use crate::path;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize, Default)]
struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
    truncate_dim: Option<u32>,
}

/// What is put before texts.
#[derive(Default)]
pub(crate) struct TextPrompts {
    pub(crate) document: String,
    pub(crate) query: String,
    /// How many of a vector's first values are kept.
    pub(crate) truncate_dim: Option<u32>,
}

impl TextPrompts {
    pub(crate) fn are_empty(&self) -> bool {
        self.document.is_empty() && self.query.is_empty()
    }

    /// From sentence-transformers' prompts: those called `query` and `document` (or `passage`, `corpus`), else the default one for
    /// both.
    pub(crate) fn read(folder: &Path) -> Result<Self, FolderError> {
        const FILE: &str = "config_sentence_transformers.json";
        let Prompts {
            prompts,
            default_prompt_name,
            truncate_dim,
        } = path::read_json_if_there(&folder.join(FILE))?.unwrap_or_default();
        if truncate_dim == Some(0) {
            let file = folder.join(FILE);
            return Err(FolderError::setting(
                &file,
                "truncate_dim",
                "is 0",
                "give 1 or more, or leave it out",
            ));
        }
        let prompt = |text: &Option<String>| text.clone().unwrap_or_default();
        let usual = match default_prompt_name {
            None => String::new(),
            Some(name) => prompts.get(&name).map(prompt).ok_or_else(|| {
                let problem = format!("is {name:?}, which `prompts` does not hold");
                let file = folder.join(FILE);
                FolderError::setting(&file, "default_prompt_name", problem, "copy the model again")
            })?,
        };
        let named = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| prompts.get(*name))
                .map_or_else(|| usual.clone(), prompt)
        };
        Ok(Self {
            document: named(&["document", "passage", "corpus"]),
            query: named(&["query"]),
            truncate_dim,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;
    use serde_json::{Value, json};

    fn read(config: &Value) -> Result<[String; 2], FolderError> {
        let folder = TestFolder::new();
        folder.write_json("config_sentence_transformers.json", config);
        TextPrompts::read(folder.path()).map(|prompts| [prompts.document, prompts.query])
    }

    #[test]
    fn documents_and_queries_have_the_prompts_of_their_names_or_else_the_default_one() {
        for (config, document, query) in [
            (json!({}), "", ""),
            (
                json!({"prompts": {"query": "query: ", "passage": "passage: "}}),
                "passage: ",
                "query: ",
            ),
            (
                json!({"prompts": {"query": "task: search result | query: ", "document": "title: none | text: ", "STS": "x"}}),
                "title: none | text: ",
                "task: search result | query: ",
            ),
            (
                json!({"prompts": {"query": "Represent: ", "document": null}, "default_prompt_name": null}),
                "",
                "Represent: ",
            ),
            (
                json!({"prompts": {"all": "a: "}, "default_prompt_name": "all"}),
                "a: ",
                "a: ",
            ),
        ] {
            assert_eq!(read(&config).unwrap(), [document, query], "{config}");
        }
    }

    #[test]
    fn a_default_prompt_that_is_not_there_is_named() {
        let error = read(&json!({"default_prompt_name": "s2p"})).unwrap_err().to_string();
        assert!(
            error.contains("`default_prompt_name`") && error.contains("s2p"),
            "{error}"
        );
    }
}
