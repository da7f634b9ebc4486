use super::*;
use crate::testing::{TinyModel, demo_fixture, demo_model};
use serde_json::Value;
use sightline_model_folder::{TokenizerFiles, TokenizerForm};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tokenizers")
        .join(name)
}

fn files(form: TokenizerForm, vocabulary: &str) -> TokenizerFiles {
    let vocabulary = fixture(vocabulary);
    let merges = vocabulary
        .ends_with("vocab.json")
        .then(|| vocabulary.with_file_name("merges.txt"));
    TokenizerFiles {
        form,
        vocabulary,
        merges,
        added: Vec::new(),
    }
}

fn word_piece(lowercase: bool) -> TokenizerForm {
    TokenizerForm::WordPiece {
        lowercase,
        split_chinese: true,
        strip_accents: None,
    }
}

#[test]
fn tokenizers_of_before_tokenizer_json_give_the_ids_of_transformers() {
    let (begin, end, lowercase) = (true, true, false);
    let gemma = TokenizerForm::Gemma { lowercase, begin, end };
    let roberta = TokenizerForm::Roberta {
        add_prefix_space: false,
    };
    let kinds = [
        ("bert", files(word_piece(true), "vocab.txt")),
        ("bert_cased", files(word_piece(false), "vocab.txt")),
        ("clip", files(TokenizerForm::Clip, "clip/vocab.json")),
        ("roberta", files(roberta, "roberta/vocab.json")),
        (
            "xlm_roberta",
            files(TokenizerForm::XlmRoberta, "sentencepiece.bpe.model"),
        ),
        (
            "siglip",
            files(TokenizerForm::Siglip { lowercase: true }, "sentencepiece.bpe.model"),
        ),
        ("gemma", files(gemma, "tokenizer.model")),
    ];
    let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    assert!(rows.len() > 30);
    let mut side = TinyModel::new().open().unwrap().text.unwrap();
    side.max_tokens = 4096;
    let mut different = Vec::new();
    for (kind, files) in kinds {
        side.tokenizer = files;
        let tokenizer = TextTokenizer::open(&side, 10_000).unwrap();
        for row in &rows {
            let text = row["text"].as_str().unwrap();
            let ids = serde_json::json!(tokenizer.ids(text, TextRole::Document).unwrap());
            if ids != row[kind] {
                different.push(format!("{kind} {text:?}: {ids} instead of {}", row[kind]));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn a_long_text_is_cut_before_its_last_mark() {
    let mut side = TinyModel::new().open().unwrap().text.unwrap();
    side.tokenizer = files(TokenizerForm::XlmRoberta, "sentencepiece.bpe.model");
    side.max_tokens = 8;
    let tokenizer = TextTokenizer::open(&side, 10_000).unwrap();
    let ids = tokenizer.ids(&"apple ".repeat(50), TextRole::Document).unwrap();
    assert_eq!((ids.len(), ids[0], ids[7]), (8, 0, 2));
}

#[test]
fn damaged_tokenizers_are_refused_with_the_reason() {
    let mut side = TinyModel::new().open().unwrap().text.unwrap();
    let whole = std::fs::read(fixture("sentencepiece.bpe.model")).unwrap();
    let folder = TinyModel::new();
    let cut = folder.path("cut.model");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let wrong_file = TokenizerFiles {
        form: TokenizerForm::XlmRoberta,
        vocabulary: cut,
        merges: None,
        added: Vec::new(),
    };
    let (begin, end, lowercase) = (true, true, false);
    for (files, vocab_size, reason) in [
        (wrong_file, 10_000, "no SentencePiece model"),
        (
            files(TokenizerForm::XlmRoberta, "tokenizer.model"),
            10_000,
            "SentencePiece's Bpe",
        ),
        (
            files(
                TokenizerForm::Gemma { lowercase, begin, end },
                "sentencepiece.bpe.model",
            ),
            10_000,
            "SentencePiece's Unigram",
        ),
        (files(word_piece(true), "clip/merges.txt"), 10_000, "[CLS]"),
        (
            files(TokenizerForm::Clip, "roberta/vocab.json"),
            10_000,
            "<|startoftext|>",
        ),
        (files(word_piece(true), "vocab.txt"), 50, "vocab_size is 50"),
    ] {
        side.tokenizer = files;
        let error = TextTokenizer::open(&side, vocab_size).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn marks_of_a_family_that_the_model_has_no_embeddings_for_are_left_out_of_texts() {
    let tiny = TinyModel::new();
    let side = tiny.open().unwrap().text.unwrap();
    let path = &side.tokenizer.vocabulary;
    let mut whole: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mark = serde_json::json!({"id": 11, "content": "<picture>", "special": true, "single_word": false,
                                  "lstrip": false, "rstrip": false, "normalized": false});
    whole["added_tokens"].as_array_mut().unwrap().push(mark);
    std::fs::write(path, whole.to_string()).unwrap();
    let tokenizer = TextTokenizer::open(&side, 11).unwrap();
    let ids = tokenizer.ids("a <picture> red apple", TextRole::Document).unwrap();
    assert_eq!(ids, [2, 4, 5, 6, 3]);
    let last = whole["added_tokens"].as_array_mut().unwrap().last_mut().unwrap();
    last["special"] = Value::Bool(false);
    std::fs::write(path, whole.to_string()).unwrap();
    let error = TextTokenizer::open(&side, 11).unwrap_err().to_string();
    assert!(error.contains("up to 11"), "{error}");
}

#[test]
fn the_demos_texts_become_the_ids_of_the_original_program() {
    let tokenizer = TextTokenizer::open(&demo_model().text.unwrap(), 30_522).unwrap();
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&demo_fixture("texts.json")).unwrap();
    assert!(entries.len() > 20);
    for entry in entries {
        let text = entry["text"].as_str().unwrap();
        assert_eq!(
            serde_json::json!(tokenizer.ids(text, TextRole::Document).unwrap()),
            entry["token_ids"],
            "{text:?}"
        );
    }
}

#[test]
fn the_prefix_comes_first_and_lower_case_is_applied_before_the_tokenizer() {
    let tiny = TinyModel::new();
    let mut side = tiny.open().unwrap().text.unwrap();
    let ids = |side: &TextSide, text: &str| {
        TextTokenizer::open(side, 12)
            .unwrap()
            .ids(text, TextRole::Document)
            .unwrap()
    };
    // [CLS] a red apple [SEP]
    assert_eq!(ids(&side, "a red apple"), [2, 4, 5, 6, 3]);
    side.prefix = "A RED ".to_owned();
    side.lowercase = true;
    assert_eq!(ids(&side, "Apple"), [2, 4, 5, 6, 3]);
    side.query_prefix = "tree ".to_owned();
    let queries = TextTokenizer::open(&side, 12).unwrap();
    assert_eq!(queries.ids("apple", TextRole::Query).unwrap(), [2, 7, 6, 3]);
    side.max_tokens = 4;
    assert_eq!(ids(&side, "apple"), [2, 4, 5, 3]);
}

#[test]
fn the_settings_of_berts_own_class_go_before_those_of_its_tokenizer_json() {
    let tiny = TinyModel::new();
    let mut side = tiny.open().unwrap().text.unwrap();
    let ids = |side: &sightline_model_folder::TextSide| {
        let tokenizer = TextTokenizer::open(side, 12).unwrap();
        tokenizer.ids("Red", TextRole::Document).unwrap()
    };
    // The file has lower case.
    assert_eq!(ids(&side), [2, 5, 3]);
    side.tokenizer.form = TokenizerForm::WholeWordPiece {
        lowercase: false,
        split_chinese: true,
        strip_accents: None,
    };
    assert_eq!(ids(&side), [2, 1, 3]);
}

#[test]
fn a_token_beside_the_vocabulary_is_found_in_texts() {
    let tiny = TinyModel::new();
    let mut side = tiny.open().unwrap().text.unwrap();
    let ids = |side: &sightline_model_folder::TextSide| {
        let tokenizer = TextTokenizer::open(side, 12).unwrap();
        tokenizer.ids("a house", TextRole::Document).unwrap()
    };
    assert_eq!(ids(&side), [2, 4, 8, 3]);
    std::fs::write(tiny.path("text/added_tokens.json"), r#"{"a house": 11}"#).unwrap();
    side.tokenizer.added = tiny.open().unwrap().text.unwrap().tokenizer.added;
    assert_eq!(ids(&side), [2, 11, 3]);
}
