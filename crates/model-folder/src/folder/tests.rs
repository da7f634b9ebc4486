use super::*;
use crate::pooling::Pooling;
use crate::test_folder::TestFolder;
use serde_json::{Value, json};

fn open(folder: &TestFolder) -> Result<ModelFolder, FolderError> {
    ModelFolder::open_as(folder.path(), ModelName::new("tiny").unwrap(), &DigestCache::new())
}

fn fingerprints(folder: &TestFolder) -> [String; 2] {
    let spaces = open(folder).unwrap().spaces;
    [VectorField::Image, VectorField::Text].map(|field| spaces[&field].fingerprint().to_string())
}

#[test]
fn a_pair_fills_both_fields_with_vectors_of_one_length() {
    let model = open(&TestFolder::pair()).unwrap();
    let image = &model.spaces[&VectorField::Image];
    assert_eq!(
        (image.dimension, image.decode.as_str(), image.normalized),
        (8, "exact", true)
    );
    assert_eq!(image.pooling, "class_mixture(top_classes=3,temperature=2.0)");
    let text = &model.spaces[&VectorField::Text];
    assert_eq!(
        (text.dimension, text.decode.as_str(), text.pooling.as_str()),
        (8, "", "mean")
    );
    assert_eq!(text.preprocessing, r#"{"lowercase":false,"max_tokens":32}"#);
}

/// Collections hold these digests: a change here makes every existing collection refuse its own model.
#[test]
fn the_fingerprints_of_a_folder_are_frozen() {
    assert_eq!(
        fingerprints(&TestFolder::pair()),
        [
            "aa62cf89caf6efaa97fd5d638b7e9fecde379ead1d360ec68ebd6788251227b4",
            "3f485ed4946f29f87d418ca5d993cd88c1ea436539ef25a484444c5183bd19f4"
        ]
    );
}

#[test]
fn a_change_of_one_side_changes_the_fingerprint_of_that_side_alone() {
    let before = fingerprints(&TestFolder::pair());
    let image: &[fn(&TestFolder)] = &[
        |f| drop(f.write("image/model.safetensors", b"other weights")),
        |f| drop(f.write("image/projection.safetensors", b"other embeddings")),
        |f| f.set("image/config.json", "/batch_norm_eps", json!(0.002)),
        |f| f.set("image/config.json", "/projection/top_classes", json!(4)),
        |f| f.set("image/config.json", "/projection/temperature", json!(1.0)),
        |f| f.set("image/preprocessor_config.json", "/resample", json!(2)),
    ];
    for (number, change) in image.iter().enumerate() {
        let folder = TestFolder::pair();
        change(&folder);
        let after = fingerprints(&folder);
        assert_ne!(after[0], before[0], "change {number}");
        assert_eq!(after[1], before[1], "change {number}");
    }
    let text: &[fn(&TestFolder)] = &[
        |f| drop(f.write("text/model.safetensors", b"other weights")),
        |f| drop(f.write("text/tokenizer.json", b"{ }")),
        |f| f.set("text/config.json", "/hidden_act", json!("relu")),
        |f| f.set("text/sentence_bert_config.json", "/max_seq_length", json!(16)),
        |f| f.set("text/sentence_bert_config.json", "/do_lower_case", json!(true)),
        |f| f.write_json("text/1_Pooling/config.json", &json!({"pooling_mode_cls_token": true})),
        |f| {
            let prompts = json!({"prompts": {"query": "q: "}, "default_prompt_name": "query"});
            f.write_json("text/config_sentence_transformers.json", &prompts);
        },
    ];
    for (number, change) in text.iter().enumerate() {
        let folder = TestFolder::pair();
        change(&folder);
        let after = fingerprints(&folder);
        assert_eq!(after[0], before[0], "change {number}");
        assert_ne!(after[1], before[1], "change {number}");
    }
}

#[test]
fn keys_that_change_no_vector_leave_the_fingerprints_alone() {
    let folder = TestFolder::pair();
    let before = fingerprints(&folder);
    folder.set("text/config.json", "/transformers_version", json!("9"));
    folder.set("image/config.json", "/dropout_rate", json!(0.5));
    assert_eq!(fingerprints(&folder), before);
}

#[test]
fn one_side_alone_is_a_model_of_one_field() {
    let folder = TestFolder::pair();
    let open = |name| ModelFolder::open(&folder.path().join(name), &DigestCache::new()).unwrap();
    let text = open("text");
    assert_eq!(text.name.as_str(), "text");
    assert_eq!(text.spaces.keys().collect::<Vec<_>>(), [&VectorField::Text]);
    assert_eq!(open("image").spaces.keys().collect::<Vec<_>>(), [&VectorField::Image]);
    folder.set("image/config.json", "/projection", Value::Null);
    let features = &open("image").spaces[&VectorField::Image];
    assert_eq!((features.dimension, features.pooling.as_str()), (16, "mean"));
}

#[test]
fn a_plain_bert_pools_by_the_mean_and_takes_the_tokenizers_limit() {
    let folder = TestFolder::pair();
    folder.remove("text/modules.json");
    folder.remove("text/sentence_bert_config.json");
    folder.write_json("text/tokenizer_config.json", &json!({"model_max_length": 48}));
    let text = open(&folder).unwrap().text.unwrap();
    assert_eq!((text.pooling, text.max_tokens), (Pooling::Mean, 48));
    folder.write_json("text/tokenizer_config.json", &json!({"model_max_length": 1e30}));
    assert_eq!(open(&folder).unwrap().text.unwrap().max_tokens, 64);
}

#[test]
fn the_side_that_long_texts_lose_is_the_tokenizers_and_part_of_the_fingerprint() {
    let folder = TestFolder::pair();
    let before = fingerprints(&folder);
    folder.write_json(
        "text/tokenizer_config.json",
        &json!({"truncation_side": "left", "padding_side": "left"}),
    );
    assert!(open(&folder).unwrap().text.unwrap().cut_left);
    assert_ne!(fingerprints(&folder)[1], before[1]);
    folder.write_json("text/tokenizer_config.json", &json!({"truncation_side": "middle"}));
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.contains("`truncation_side` is \"middle\""), "{error}");
}

#[test]
fn a_joint_processors_file_goes_before_the_one_of_pictures_alone() {
    let folder = TestFolder::pair();
    let of_pictures = json!({"image_processor_type": "CLIPImageProcessor", "size": 40, "crop_size": 32});
    folder.write_json("image/processor_config.json", &json!({"image_processor": of_pictures}));
    let joint = open(&folder).unwrap().image.unwrap().preprocessing;
    assert_eq!(joint.resize, crate::Resize::ShortestEdge(40));
    folder.write_json(
        "image/processor_config.json",
        &json!({"processor_class": "CLIPProcessor"}),
    );
    let alone = open(&folder).unwrap().image.unwrap().preprocessing;
    assert_eq!(alone.resize, crate::Resize::ShortestEdge(36));
}

#[test]
fn weights_in_parts_are_found_by_their_index() {
    let folder = TestFolder::pair();
    folder.remove("text/model.safetensors");
    let index =
        json!({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}});
    folder.write_json("text/model.safetensors.index.json", &index);
    folder.write("text/model-1.safetensors", b"1");
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.contains("model-2.safetensors"), "{error}");
    folder.write("text/model-2.safetensors", b"2");
    assert_eq!(open(&folder).unwrap().text.unwrap().weights.len(), 2);
}

#[test]
fn an_unknown_architecture_is_named_beside_those_that_exist_and_what_the_folder_holds() {
    let folder = TestFolder::pair();
    folder.set("text/config.json", "/model_type", json!("swin"));
    let error = open(&folder).unwrap_err().to_string();
    for part in [
        "`swin`",
        "TorchScript",
        "bert",
        "efficientnet_lite",
        "tokenizer.json",
        "text/config.json",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn what_is_missing_is_named_with_what_is_there() {
    for file in [
        "config.json",
        "image/config.json",
        "image/model.safetensors",
        "image/preprocessor_config.json",
        "image/projection.safetensors",
        "text/tokenizer.json",
        "text/model.safetensors",
        "text/1_Pooling/config.json",
    ] {
        let folder = TestFolder::pair();
        folder.remove(file);
        let error = open(&folder).expect_err(file);
        assert!(matches!(error, FolderError::Missing { .. }), "{file}: {error:?}");
        let name = file.rsplit('/').next().unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_pickle_is_not_read_and_the_error_says_why() {
    let folder = TestFolder::pair();
    folder.remove("text/model.safetensors");
    folder.write("text/pytorch_model.bin", b"pickle");
    let error = open(&folder).unwrap_err().to_string();
    assert!(
        error.contains("pytorch_model.bin") && error.contains("convert"),
        "{error}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_an_error_of_reading() {
    let error = ModelFolder::open(std::path::Path::new("/no/such/model"), &DigestCache::new()).unwrap_err();
    assert!(matches!(error, FolderError::Read { .. }), "{error:?}");
}

#[test]
fn settings_that_contradict_each_other_or_are_not_implemented_name_their_key() {
    for (file, pointer, value, key) in [
        ("config.json", "/image", json!("../elsewhere"), "image"),
        ("config.json", "/image", json!("/etc"), "image"),
        ("config.json", "/image", json!("text"), "image"),
        ("config.json", "/embedding_dim", json!(9), "image"),
        ("image/config.json", "/image_size", json!(30), "image_size"),
        ("image/config.json", "/hidden_act", json!("swish"), "hidden_act"),
        ("image/config.json", "/padding", json!("valid"), "padding"),
        ("image/config.json", "/num_channels", json!(1), "num_channels"),
        ("image/config.json", "/stem_channels", json!(5), "stages[0].in_channels"),
        (
            "image/config.json",
            "/projection/type",
            json!("linear"),
            "projection.type",
        ),
        (
            "image/config.json",
            "/projection/file",
            json!("../x"),
            "projection.file",
        ),
        (
            "image/config.json",
            "/projection/top_classes",
            json!(11),
            "projection.top_classes",
        ),
        (
            "image/config.json",
            "/projection/temperature",
            json!(0),
            "projection.temperature",
        ),
        (
            "text/config.json",
            "/num_attention_heads",
            json!(3),
            "num_attention_heads",
        ),
        (
            "text/config.json",
            "/position_embedding_type",
            json!("relative_key"),
            "position_embedding_type",
        ),
        ("text/config.json", "/vocab_size", json!(0), "vocab_size"),
        (
            "text/sentence_bert_config.json",
            "/max_seq_length",
            json!(2),
            "max_seq_length",
        ),
        (
            "text/1_Pooling/config.json",
            "/pooling_mode_max_tokens",
            json!(true),
            "pooling_mode",
        ),
    ] {
        let folder = TestFolder::pair();
        folder.set(file, pointer, value.clone());
        let error = open(&folder).expect_err(pointer).to_string();
        assert!(error.contains(&format!("`{key}`")), "{pointer} = {value}: {error}");
    }
}

#[test]
fn a_module_beyond_pooling_is_refused_by_name() {
    let folder = TestFolder::pair();
    let modules = json!([{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]);
    folder.write_json("text/modules.json", &modules);
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.contains("Dense"), "{error}");
}

#[test]
fn a_pair_shares_a_space_only_where_it_names_one_length_for_both() {
    let folder = TestFolder::pair();
    assert!(open(&folder).unwrap().shared_space);
    folder.set("config.json", "/embedding_dim", Value::Null);
    folder.set("image/config.json", "/projection", Value::Null);
    let unrelated = open(&folder).unwrap();
    assert!(!unrelated.shared_space);
    let dimensions = [VectorField::Image, VectorField::Text].map(|field| unrelated.spaces[&field].dimension);
    assert_eq!(dimensions, [16, 8]);
}
