//! Which files a model's tokenizer is made of, and how they are read.

use crate::error::FolderError;
use crate::path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CONFIG: &str = "tokenizer_config.json";
const WHOLE: &str = "tokenizer.json";
const REMEDY: &str = "without it texts cannot be cut into the model's tokens: copy it from the model's page (a SentencePiece model, vocab.txt, or vocab.json and merges.txt will do, too)";

/// A tokenizer's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// How they are read.
    pub form: TokenizerForm,
    /// The vocabulary, with all else where there is but one file.
    pub vocabulary: PathBuf,
    /// The merges, where they are a file of their own.
    pub merges: Option<PathBuf>,
    /// Tokens that other files add to it, in the order of their ids; it may hold them already.
    pub added: Vec<MoreToken>,
}

/// A token that `tokenizer_config.json` (`added_tokens_decoder`) or, where that says nothing of any, `added_tokens.json` adds to a
/// vocabulary. As JSON it is part of a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoreToken {
    /// As it stands in a text.
    pub content: String,
    /// Takes the spaces before it.
    #[serde(default)]
    pub lstrip: bool,
    /// Is looked for in the normalised text.
    #[serde(default)]
    pub normalized: bool,
    /// Takes the spaces behind it.
    #[serde(default)]
    pub rstrip: bool,
    /// Is found as a whole word alone.
    #[serde(default)]
    pub single_word: bool,
    /// Marks something, and is no part of a text.
    #[serde(default)]
    pub special: bool,
}

/// How a tokenizer's files are read. As JSON it is part of a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerForm {
    /// `tokenizer.json`, which says everything itself.
    Whole,
    /// `tokenizer.json` of BERT's own class, whose settings go before those of the file.
    WholeWordPiece {
        /// Texts become lower case.
        lowercase: bool,
        /// Chinese characters are words of their own.
        split_chinese: bool,
        /// Accents are dropped; none does so where texts become lower case.
        strip_accents: Option<bool>,
    },
    /// BERT's `vocab.txt`.
    WordPiece {
        /// Texts become lower case.
        lowercase: bool,
        /// Chinese characters are words of their own.
        split_chinese: bool,
        /// Accents are dropped; none does so where texts become lower case.
        strip_accents: Option<bool>,
    },
    /// CLIP's `vocab.json` and `merges.txt`.
    Clip,
    /// RoBERTa's `vocab.json` and `merges.txt`.
    Roberta {
        /// A text's first word is read as if a space came before it.
        add_prefix_space: bool,
    },
    /// XLM-RoBERTa's SentencePiece model, whose own first three pieces give way to four.
    XlmRoberta,
    /// SigLIP's SentencePiece model: texts lose their punctuation.
    Siglip {
        /// Texts become lower case.
        lowercase: bool,
    },
    /// Gemma's SentencePiece model.
    Gemma {
        /// Texts become lower case (SigLIP 2).
        lowercase: bool,
        /// A first token is put before a text.
        begin: bool,
        /// A last token is put behind it.
        end: bool,
    },
}

/// `tokenizer_config.json`, as far as it counts.
#[derive(Deserialize, Default)]
pub(crate) struct TokenizerConfig {
    pub(crate) model_max_length: Option<f64>,
    pad_token: Option<SpecialToken>,
    tokenizer_class: Option<String>,
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    add_prefix_space: Option<bool>,
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    added_tokens_decoder: Option<BTreeMap<u32, MoreToken>>,
    pub(crate) padding_side: Option<String>,
    pub(crate) truncation_side: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Plain(String),
    Added { content: String },
}

impl TokenizerConfig {
    pub(crate) fn read(folder: &Path) -> Result<Self, FolderError> {
        Ok(path::read_json_if_there(&folder.join(CONFIG))?.unwrap_or_default())
    }

    pub(crate) fn padding_token(&self) -> Option<String> {
        self.pad_token.as_ref().map(|token| match token {
            SpecialToken::Plain(content) | SpecialToken::Added { content } => content.clone(),
        })
    }

    /// The class without `Fast`, which names the same tokenizer in another implementation.
    fn class(&self) -> Option<&str> {
        let class = self.tokenizer_class.as_deref()?;
        Some(class.strip_suffix("Fast").unwrap_or(class))
    }
}

/// Files that a class of tokenizers is made of, where there is no `tokenizer.json`: class, vocabulary, merges.
const CLASSES: &[(&str, &str, Option<&str>)] = &[
    ("XLMRobertaTokenizer", "sentencepiece.bpe.model", None),
    ("SiglipTokenizer", "spiece.model", None),
    ("GemmaTokenizer", "tokenizer.model", None),
    ("BertTokenizer", "vocab.txt", None),
    ("CLIPTokenizer", "vocab.json", Some("merges.txt")),
    ("RobertaTokenizer", "vocab.json", Some("merges.txt")),
];

impl TokenizerFiles {
    /// Finds a folder's tokenizer: `tokenizer.json`, but for SigLIP's where its SentencePiece model is there; else the files
    /// of the class that `tokenizer_config.json` names; else, where it names none, those that are there and can only be of one class.
    pub(crate) fn find(folder: &Path, config: &TokenizerConfig) -> Result<Self, FolderError> {
        let whole = folder.join(WHOLE);
        // transformers has no reader of SigLIP's tokenizer.json: its SentencePiece model is the original.
        let original = config.class() == Some("SiglipTokenizer") && folder.join("spiece.model").is_file();
        if whole.is_file() && !original {
            let form = match config.class() {
                Some("BertTokenizer") => TokenizerForm::WholeWordPiece {
                    lowercase: config.do_lower_case.unwrap_or(true),
                    split_chinese: config.tokenize_chinese_chars.unwrap_or(true),
                    strip_accents: config.strip_accents,
                },
                _ => TokenizerForm::Whole,
            };
            return Ok(Self {
                form,
                vocabulary: whole,
                merges: None,
                added: more_tokens(folder, config)?,
            });
        }
        let there = |vocabulary: &str, merges: Option<&str>| {
            folder.join(vocabulary).is_file() && merges.is_none_or(|merges| folder.join(merges).is_file())
        };
        let of_class = match config.class() {
            None | Some("PreTrainedTokenizer" | "TokenizersBackend") => CLASSES
                .iter()
                .find(|(class, vocabulary, merges)| *class != "RobertaTokenizer" && there(vocabulary, *merges))
                .map(|(class, vocabulary, merges)| (roberta_or(folder, class), vocabulary, merges)),
            Some(named) => {
                let found = CLASSES.iter().find(|(class, ..)| *class == named).ok_or_else(|| {
                    let known: Vec<&str> = CLASSES.iter().map(|(class, ..)| *class).collect();
                    let problem = format!("is {named:?}, which is not implemented, and there is no {WHOLE}");
                    let remedy = format!(
                        "save it by `AutoTokenizer.from_pretrained(…).save_pretrained(…)`, which writes {WHOLE} (without it, these are read: {})",
                        known.join(", ")
                    );
                    FolderError::setting(&folder.join(CONFIG), "tokenizer_class", problem, remedy)
                })?;
                let (class, vocabulary, merges) = found;
                there(vocabulary, *merges).then_some((*class, vocabulary, merges))
            }
        };
        let Some((class, vocabulary, merges)) = of_class else {
            return Err(FolderError::missing(folder, WHOLE, REMEDY));
        };
        Ok(Self {
            form: form(class, config),
            vocabulary: folder.join(vocabulary),
            merges: merges.map(|merges| folder.join(merges)),
            // SigLIP's reads none: its texts lose what marks are made of.
            added: match class {
                "SiglipTokenizer" => Vec::new(),
                _ => more_tokens(folder, config)?,
            },
        })
    }

    /// Every file.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.vocabulary.as_path()).chain(self.merges.as_deref())
    }
}

fn more_tokens(folder: &Path, config: &TokenizerConfig) -> Result<Vec<MoreToken>, FolderError> {
    if let Some(tokens) = &config.added_tokens_decoder {
        return Ok(tokens.values().cloned().collect());
    }
    let ids: BTreeMap<String, u32> = path::read_json_if_there(&folder.join("added_tokens.json"))?.unwrap_or_default();
    let mut tokens: Vec<(u32, String)> = ids.into_iter().map(|(content, id)| (id, content)).collect();
    tokens.sort();
    let token = |(_, content)| MoreToken {
        content,
        lstrip: false,
        normalized: true,
        rstrip: false,
        single_word: false,
        special: false,
    };
    Ok(tokens.into_iter().map(token).collect())
}

/// Both classes have files of the same names; RoBERTa's vocabulary has its own first token.
fn roberta_or(folder: &Path, class: &'static str) -> &'static str {
    if class != "CLIPTokenizer" {
        return class;
    }
    let text = std::fs::read_to_string(folder.join("vocab.json")).unwrap_or_default();
    if text.contains("\"<|startoftext|>\"") {
        class
    } else {
        "RobertaTokenizer"
    }
}

fn form(class: &str, config: &TokenizerConfig) -> TokenizerForm {
    match class {
        "XLMRobertaTokenizer" => TokenizerForm::XlmRoberta,
        "SiglipTokenizer" => TokenizerForm::Siglip {
            lowercase: config.do_lower_case.unwrap_or(true),
        },
        "GemmaTokenizer" => TokenizerForm::Gemma {
            lowercase: config.do_lower_case.unwrap_or(false),
            begin: config.add_bos_token.unwrap_or(true),
            end: config.add_eos_token.unwrap_or(false),
        },
        "CLIPTokenizer" => TokenizerForm::Clip,
        "RobertaTokenizer" => TokenizerForm::Roberta {
            add_prefix_space: config.add_prefix_space.unwrap_or(false),
        },
        _ => TokenizerForm::WordPiece {
            lowercase: config.do_lower_case.unwrap_or(true),
            split_chinese: config.tokenize_chinese_chars.unwrap_or(true),
            strip_accents: config.strip_accents,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;
    use serde_json::json;

    fn find(folder: &TestFolder) -> Result<TokenizerFiles, FolderError> {
        TokenizerFiles::find(folder.path(), &TokenizerConfig::read(folder.path())?)
    }

    #[test]
    fn the_class_follows_from_the_files_where_the_configuration_names_none() {
        for (files, class) in [
            (vec!["sentencepiece.bpe.model"], "XlmRoberta"),
            (vec!["spiece.model"], "Siglip"),
            (vec!["tokenizer.model"], "Gemma"),
            (vec!["vocab.txt"], "WordPiece"),
            (vec!["vocab.json", "merges.txt"], "Roberta"),
            (vec!["tokenizer.json", "vocab.txt"], "Whole"),
        ] {
            let folder = TestFolder::new();
            for file in &files {
                folder.write(file, b"{}");
            }
            let found = find(&folder).unwrap();
            assert!(format!("{:?}", found.form).starts_with(class), "{found:?}");
            assert_eq!(found.vocabulary, folder.path().join(files[0]));
        }
        let folder = TestFolder::new();
        folder.write("vocab.json", br#"{"<|startoftext|>": 0}"#);
        assert!(find(&folder).is_err(), "merges.txt is not there");
        folder.write("merges.txt", b"");
        assert_eq!(find(&folder).unwrap().form, TokenizerForm::Clip);
    }

    #[test]
    fn a_class_that_is_not_implemented_is_named_where_there_is_no_whole_tokenizer() {
        let folder = TestFolder::new();
        folder.write("spiece.model", b"");
        folder.write_json("tokenizer_config.json", &json!({"tokenizer_class": "T5TokenizerFast"}));
        let error = find(&folder).unwrap_err().to_string();
        assert!(
            error.contains("\"T5Tokenizer\"") && error.contains("save_pretrained"),
            "{error}"
        );
        folder.write("tokenizer.json", b"{}");
        assert_eq!(find(&folder).unwrap().form, TokenizerForm::Whole);
    }

    #[test]
    fn berts_own_class_has_settings_that_go_before_the_files() {
        let folder = TestFolder::new();
        folder.write("tokenizer.json", b"{}");
        let config = json!({"tokenizer_class": "BertTokenizerFast", "do_lower_case": false, "strip_accents": true});
        folder.write_json("tokenizer_config.json", &config);
        let expected = TokenizerForm::WholeWordPiece {
            lowercase: false,
            split_chinese: true,
            strip_accents: Some(true),
        };
        assert_eq!(find(&folder).unwrap().form, expected);
    }

    #[test]
    fn tokens_beside_the_vocabulary_are_the_configurations_or_else_a_file_of_their_own() {
        let folder = TestFolder::new();
        folder.write("tokenizer.json", b"{}");
        folder.write_json("added_tokens.json", &json!({"later": 9, "first": 8}));
        let contents = |found: TokenizerFiles| found.added.into_iter().map(|token| token.content).collect::<Vec<_>>();
        assert_eq!(contents(find(&folder).unwrap()), ["first", "later"]);
        let tokens = json!({"10": {"content": "ten", "special": true}, "9": {"content": "nine", "lstrip": true}});
        folder.write_json("tokenizer_config.json", &json!({ "added_tokens_decoder": tokens }));
        assert_eq!(contents(find(&folder).unwrap()), ["nine", "ten"]);
    }

    #[test]
    fn siglips_sentencepiece_model_comes_before_its_tokenizer_json() {
        let folder = TestFolder::new();
        folder.write("tokenizer.json", b"{}");
        folder.write_json("tokenizer_config.json", &json!({"tokenizer_class": "SiglipTokenizer"}));
        assert_eq!(find(&folder).unwrap().form, TokenizerForm::Whole);
        folder.write("spiece.model", b"");
        assert_eq!(find(&folder).unwrap().form, TokenizerForm::Siglip { lowercase: true });
    }

    #[test]
    fn settings_of_the_class_come_from_the_configuration() {
        let folder = TestFolder::new();
        folder.write("tokenizer.model", b"");
        let config = json!({"tokenizer_class": "GemmaTokenizer", "add_eos_token": true, "do_lower_case": true});
        folder.write_json("tokenizer_config.json", &config);
        let expected = TokenizerForm::Gemma {
            lowercase: true,
            begin: true,
            end: true,
        };
        assert_eq!(find(&folder).unwrap().form, expected);
    }
}
