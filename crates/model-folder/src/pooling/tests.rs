use super::*;
use crate::test_folder::TestFolder;
use crate::{DigestCache, ModelFolder, TextSide};
use serde_json::{Value, json};

fn open(folder: &TestFolder) -> Result<TextSide, FolderError> {
    ModelFolder::open(&folder.path().join("text"), &DigestCache::new()).map(|model| model.text.unwrap())
}

fn modules(folder: &TestFolder, names: &[&str]) {
    let path = |number: usize, name: &str| match name {
        "Transformer" => String::new(),
        _ => format!("{number}_{name}"),
    };
    let modules: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(number, name)| json!({"type": format!("sentence_transformers.models.{name}"), "path": path(number, name)}))
        .collect();
    folder.write_json("text/modules.json", &json!(modules));
}

fn dense(folder: &TestFolder, number: usize, inputs: u32, outputs: u32) {
    let activation = "torch.nn.modules.linear.Identity";
    let config =
        json!({"in_features": inputs, "out_features": outputs, "bias": false, "activation_function": activation});
    folder.write_json(&format!("text/{number}_Dense/config.json"), &config);
    folder.write(&format!("text/{number}_Dense/model.safetensors"), b"dense");
}

#[test]
fn every_pooling_of_sentence_transformers_is_read_in_both_forms() {
    for (key, word, pooling) in [
        ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
        ("pooling_mode_cls_token", "cls", Pooling::Cls),
        ("pooling_mode_max_tokens", "max", Pooling::Max),
        ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
        (
            "pooling_mode_mean_sqrt_len_tokens",
            "mean_sqrt_len_tokens",
            Pooling::MeanSqrtLength,
        ),
    ] {
        let folder = TestFolder::pair();
        for config in [
            json!({ key: true }),
            json!({"pooling_mode": word, "include_prompt": true}),
        ] {
            folder.write_json("text/1_Pooling/config.json", &config);
            assert_eq!(open(&folder).unwrap().pooling, pooling, "{config}");
        }
    }
}

#[test]
fn maps_after_the_pooling_decide_the_length_and_have_to_fit_each_other() {
    let folder = TestFolder::pair();
    modules(&folder, &["Transformer", "Pooling", "Dense", "Dense", "Normalize"]);
    dense(&folder, 2, 8, 12);
    dense(&folder, 3, 12, 5);
    assert_eq!(open(&folder).unwrap().dimension(), 5);
    dense(&folder, 3, 11, 5);
    let error = open(&folder).unwrap_err().to_string();
    assert!(
        error.contains("`in_features` is 11") && error.contains("3_Dense"),
        "{error}"
    );
}

#[test]
fn modules_that_are_not_implemented_or_come_in_another_order_are_named() {
    for (names, named) in [
        (vec!["Transformer", "Pooling", "LayerNorm"], "LayerNorm"),
        (vec!["Transformer", "WordWeights", "Pooling"], "WordWeights"),
        (vec!["Transformer", "Pooling", "Normalize", "Dense"], "Dense"),
        (vec!["Transformer", "Normalize"], "no Pooling"),
    ] {
        let folder = TestFolder::pair();
        for number in 2..4 {
            dense(&folder, number, 8, 8);
        }
        modules(&folder, &names);
        let error = open(&folder).unwrap_err().to_string();
        assert!(
            error.contains("modules.json") && error.contains(named),
            "{names:?}: {error}"
        );
    }
}

#[test]
fn prompts_that_the_pooling_leaves_out_are_refused_and_without_prompts_it_makes_no_difference() {
    let folder = TestFolder::pair();
    let pooling = json!({"pooling_mode_mean_tokens": true, "include_prompt": false});
    folder.write_json("text/1_Pooling/config.json", &pooling);
    assert!(open(&folder).is_ok());
    folder.write_json(
        "text/config_sentence_transformers.json",
        &json!({"prompts": {"query": "query: "}}),
    );
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.contains("`include_prompt`"), "{error}");
}

#[test]
fn a_network_may_lie_below_the_folder_of_its_modules() {
    let folder = TestFolder::pair();
    let whole = open(&folder).unwrap();
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "sentence_bert_config.json",
    ] {
        let bytes = std::fs::read(folder.path().join("text").join(file)).unwrap();
        folder.write(&format!("text/0_Transformer/{file}"), &bytes);
        folder.remove(&format!("text/{file}"));
    }
    let module = |name: &str, path: &str| json!({"type": format!("sentence_transformers.models.{name}"), "path": path});
    let modules = json!([module("Transformer", "0_Transformer"), module("Pooling", "1_Pooling")]);
    folder.write_json("text/modules.json", &modules);
    folder.write_json(
        "text/config_sentence_transformers.json",
        &json!({"prompts": {"query": "query: "}}),
    );
    let found = open(&folder).unwrap();
    assert_eq!((found.pooling, found.max_tokens), (whole.pooling, whole.max_tokens));
    assert_eq!(found.query_prefix, "query: ");
}

#[test]
fn a_list_of_one_mode_is_that_mode_a_word_goes_before_flags_and_several_are_refused() {
    let folder = TestFolder::pair();
    let read = |config: &Value| {
        folder.write_json("text/1_Pooling/config.json", config);
        open(&folder).map(|side| side.pooling)
    };
    assert_eq!(read(&json!({"pooling_mode": ["cls"]})).unwrap(), Pooling::Cls);
    let both = json!({"pooling_mode": "lasttoken", "pooling_mode_mean_tokens": true});
    assert_eq!(read(&both).unwrap(), Pooling::Last);
    assert_eq!(read(&json!({"pooling_mode_cls_token": false})).unwrap(), Pooling::Mean);
    for config in [
        json!({"pooling_mode": ["cls", "mean"]}),
        json!({"pooling_mode": "weightedmean"}),
    ] {
        let error = read(&config).unwrap_err().to_string();
        assert!(error.contains("`pooling_mode`"), "{error}");
    }
}

#[test]
fn modules_that_work_on_tokens_or_add_their_input_are_refused_by_key() {
    for (file, key, value) in [
        ("2_Dense", "module_input_name", json!("token_embeddings")),
        ("2_Dense", "use_residual", json!(true)),
        ("3_Normalize", "module_output_name", json!("token_embeddings")),
    ] {
        let folder = TestFolder::pair();
        modules(&folder, &["Transformer", "Pooling", "Dense", "Normalize"]);
        dense(&folder, 2, 8, 8);
        let usual = json!({"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"});
        folder.write_json("text/3_Normalize/config.json", &usual);
        open(&folder).unwrap();
        folder.set(&format!("text/{file}/config.json"), &format!("/{key}"), value);
        let error = open(&folder).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}`")) && error.contains(file), "{error}");
    }
}
