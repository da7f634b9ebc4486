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
        ("crop_pct", 1.5.into()),
        ("do_center_crop", false.into()),
        ("do_center_crop", "yes".into()),
        ("resample", 6.into()),
        ("size", 5000.into()),
        ("size", serde_json::json!({"shortest_edge": 224, "width": 3})),
        ("size", serde_json::json!({"min_pixels": 224, "max_pixels": 3000})),
        ("crop_size", serde_json::json!({"longest_edge": 224})),
        ("do_thumbnail", true.into()),
        ("patch_size", 16.into()),
        ("image_processor_type", "Siglip2ImageProcessor".into()),
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

/// A processor's own values, with some of the file's.
fn of(processor: &str, more: serde_json::Value) -> ImagePreprocessing {
    let mut config = more;
    config["image_processor_type"] = processor.into();
    resolve(&config.to_string()).unwrap()
}

#[test]
fn a_number_alone_is_an_edge_or_a_square_as_the_processor_takes_it() {
    let size = serde_json::json!({"size": 96});
    assert_eq!(
        of("CLIPFeatureExtractor", size.clone()).resize,
        Resize::ShortestEdge(96)
    );
    assert_eq!(
        of("ViTImageProcessorFast", size.clone()).resize,
        Resize::Exact([96, 96])
    );
    let deit = of("DeiTImageProcessor", size);
    assert_eq!((deit.resize, deit.crop), (Resize::Exact([96, 96]), [224, 224]));
}

#[test]
fn what_a_file_leaves_out_is_the_processors() {
    let clip = of("CLIPImageProcessor", serde_json::json!({}));
    assert_eq!((clip.resize, clip.crop), (Resize::ShortestEdge(224), [224, 224]));
    assert!((clip.mean[0] - 0.481_454_66).abs() < 1e-12 && (clip.std[2] - 0.275_777_11).abs() < 1e-12);
    assert_eq!(
        of("ViTImageProcessor", serde_json::json!({"crop_size": 5})).crop,
        [224, 224]
    );
    assert_eq!(
        of("ViTImageProcessor", serde_json::json!({})).resample,
        Resample::Bilinear
    );
}

#[test]
fn convnext_cuts_a_share_of_small_pictures_and_warps_large_ones() {
    let small = of(
        "ConvNextImageProcessor",
        serde_json::json!({"size": {"shortest_edge": 224}}),
    );
    assert_eq!((small.resize, small.crop), (Resize::ShortestEdge(256), [224, 224]));
    let odd = of(
        "ConvNextImageProcessor",
        serde_json::json!({"size": 224, "crop_pct": 0.95}),
    );
    assert_eq!((odd.resize, odd.crop), (Resize::ShortestEdge(235), [224, 224]));
    let large = of("ConvNextFeatureExtractor", serde_json::json!({"size": 384}));
    assert_eq!((large.resize, large.crop), (Resize::Exact([384, 384]), [384, 384]));
}

#[test]
fn padding_needs_a_size_that_no_picture_exceeds() {
    let config = |size: serde_json::Value, pad: serde_json::Value| {
        let mut config: serde_json::Value = serde_json::from_str(CLIP).unwrap();
        for (key, value) in [
            ("size", size),
            ("pad_size", pad),
            ("do_pad", true.into()),
            ("do_center_crop", false.into()),
        ] {
            config[key] = value;
        }
        resolve(&config.to_string())
    };
    let longest = serde_json::json!({"longest_edge": 64});
    let padded = config(longest.clone(), serde_json::Value::Null).unwrap();
    assert_eq!(
        (padded.resize, padded.crop, padded.pad),
        (Resize::Within([64, 64]), [64, 64], true)
    );
    let wider = config(longest.clone(), serde_json::json!({"height": 64, "width": 80})).unwrap();
    assert_eq!((wider.crop, wider.pad), ([64, 80], true));
    let small = config(longest, serde_json::json!({"height": 63, "width": 80})).unwrap_err();
    assert!(small.to_string().contains("`pad_size`"), "{small}");
    let both = config(
        serde_json::json!({"shortest_edge": 30, "longest_edge": 64}),
        serde_json::Value::Null,
    )
    .unwrap();
    assert_eq!(
        both.resize,
        Resize::Bounded {
            longest: 64,
            shortest: 30
        }
    );
    assert!(config(serde_json::json!({"shortest_edge": 64}), serde_json::json!(64)).is_err());
}

#[test]
fn what_came_later_enters_the_canonical_text_where_it_is_used() {
    let mut config: serde_json::Value = serde_json::from_str(CLIP).unwrap();
    config["do_flip_channel_order"] = true.into();
    config["rescale_offset"] = true.into();
    let text = resolve(&config.to_string()).unwrap().canonical().unwrap();
    assert!(
        text.contains(r#""flip":true"#) && text.contains(r#""offset":1.0"#),
        "{text}"
    );
    config["do_flip_channel_order"] = false.into();
    config["rescale_offset"] = serde_json::Value::Null;
    assert_eq!(resolve(&config.to_string()).unwrap(), resolve(CLIP).unwrap());
}
