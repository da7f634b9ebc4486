use super::*;

const CLIP: &str = r#"{"do_resize":true,"size":{"shortest_edge":256},"resample":3,"do_center_crop":true,
    "crop_size":{"height":224,"width":200},"do_rescale":true,"rescale_factor":0.00392156862745098,
    "do_normalize":true,"image_mean":[0.5,0.4,0.3],"image_std":[0.1,0.2,0.3]}"#;

fn resolve(text: &str) -> Result<ImagePreprocessing, FolderError> {
    ImagePreprocessing::resolve(
        &serde_json::from_str(text).unwrap(),
        Path::new("m/preprocessor_config.json"),
    )
}

fn changed(key: &str, value: serde_json::Value) -> String {
    let mut config: serde_json::Value = serde_json::from_str(CLIP).unwrap();
    config[key] = value;
    config.to_string()
}

#[test]
fn the_canonical_text_is_frozen() {
    assert_eq!(
        resolve(CLIP).unwrap().canonical().unwrap(),
        concat!(
            r#"{"crop":[224,200],"mean":[0.5,0.4,0.3],"resample":"bicubic","rescale":0.00392156862745098,"#,
            r#""resize":{"shortest_edge":256},"std":[0.1,0.2,0.3]}"#
        )
    );
}

#[test]
fn an_older_configuration_that_gives_edges_as_numbers_means_the_same() {
    let text = CLIP
        .replace(r#"{"shortest_edge":256}"#, "256")
        .replace(r#"{"height":224,"width":200}"#, "224");
    let read = resolve(&text).unwrap();
    assert_eq!((read.resize, read.crop), (Resize::ShortestEdge(256), [224, 224]));
}

#[test]
fn an_exact_size_needs_no_crop() {
    let text = r#"{"size":{"height":64,"width":96},"resample":2,"image_mean":[0,0,0],"image_std":[1,1,1]}"#;
    let read = resolve(text).unwrap();
    assert_eq!(read.resize, Resize::Exact([64, 96]));
    assert_eq!(read.crop, [64, 96]);
    assert!((read.rescale - 1.0 / 255.0).abs() < f64::EPSILON);
}

#[test]
fn what_is_not_implemented_is_named_by_its_key() {
    for (key, value) in [
        ("do_pad", true.into()),
        ("do_flip_channel_order", true.into()),
        ("crop_pct", 0.9.into()),
        ("do_resize", false.into()),
        ("do_center_crop", false.into()),
        ("resample", 0.into()),
        ("size", 5000.into()),
        ("crop_size", 257.into()),
        ("rescale_factor", 0.into()),
        ("image_mean", serde_json::json!([0.5])),
        ("image_std", serde_json::json!([0.5, 0.0, 0.5])),
        ("resample", serde_json::Value::Null),
        ("size", serde_json::Value::Null),
    ] {
        let error = resolve(&changed(key, value.clone())).expect_err(key).to_string();
        assert!(error.contains(&format!("`{key}`")), "{key} = {value}: {error}");
        assert!(error.contains("preprocessor_config.json"), "{error}");
    }
}
