use super::*;

fn args(root: &str) -> DatasetArgs {
    DatasetArgs {
        root: root.into(),
        name: None,
        manifest: None,
        columns: None,
        nih_boxes: None,
        images: None,
        descriptions: None,
        webdataset: None,
        dicom_tags: Vec::new(),
        dicom_frame: None,
    }
}

#[test]
fn what_is_taken_from_dicoms_is_sent_only_where_it_is_asked_for() {
    assert_eq!(args("s3://bucket/a").to_api().unwrap().dicom, None);
    let asked = DatasetArgs {
        dicom_tags: vec!["usual".into(), "PatientID".into()],
        dicom_frame: Some(FrameArg::Middle),
        ..args("s3://bucket/a")
    };
    let dicom = asked.to_api().unwrap().dicom.unwrap();
    assert_eq!(dicom.tags, ["usual", "PatientID"]);
    assert_eq!(dicom.frame(), v1::dataset::dicom::Frame::Middle);
}

#[test]
fn a_folder_becomes_the_url_of_its_absolute_path_and_names_the_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("X rays #1");
    std::fs::create_dir(&folder).unwrap();
    let dataset = args(folder.to_str().unwrap()).to_api().unwrap();
    assert!(
        dataset.root.starts_with("file:///") && dataset.root.ends_with("/X%20rays%20%231"),
        "{}",
        dataset.root
    );
    assert_eq!(
        Url::parse(&dataset.root).unwrap().to_file_path().unwrap(),
        folder.canonicalize().unwrap()
    );
    assert_eq!(dataset.name, "x-rays--1");
    assert_eq!(dataset.source, Some(v1::dataset::Source::Prefix(v1::PrefixSource {})));
}

#[test]
fn a_url_stays_as_it_is_and_a_root_without_a_name_asks_for_one() {
    let dataset = args("s3://bucket/Chest_X-rays/").to_api().unwrap();
    assert_eq!(
        (dataset.root.as_str(), dataset.name.as_str()),
        ("s3://bucket/Chest_X-rays", "chest_x-rays")
    );
    let error = args("s3://").to_api().unwrap_err();
    assert!(error.to_string().contains("--dataset"), "{error}");
}

#[test]
fn a_manifest_is_found_by_its_path_below_the_root_and_by_its_path_from_here() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("list.csv"), "image\n").unwrap();
    std::fs::write(dir.path().join("outside.csv"), "image\n").unwrap();
    let path_of = |manifest: &str| {
        let given = DatasetArgs {
            manifest: Some(manifest.into()),
            ..args(root.to_str().unwrap())
        };
        given.to_api().map(|dataset| match dataset.source.unwrap() {
            v1::dataset::Source::Manifest(manifest) => manifest.path,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(path_of("list.csv").unwrap(), "list.csv");
    assert_eq!(path_of(root.join("list.csv").to_str().unwrap()).unwrap(), "list.csv");
    let outside = path_of(dir.path().join("outside.csv").to_str().unwrap()).unwrap_err();
    assert!(outside.to_string().contains("does not lie below the root"), "{outside}");
    let missing = path_of("missing.csv").unwrap_err();
    assert!(missing.to_string().contains("--manifest"), "{missing}");
}

#[test]
fn columns_are_named_by_meaning_and_a_mistake_is_refused() {
    let named = columns("image=path, text=report,labels=findings,attributes=age;sex").unwrap();
    assert_eq!(
        (named.image.as_str(), named.text.as_str(), named.labels.as_str()),
        ("path", "report", "findings")
    );
    assert_eq!(named.attributes, ["age", "sex"]);
    for (wrong, word) in [
        ("picture=path", "none of"),
        ("image", "MEANING=COLUMN"),
        ("image=a,image=b", "twice"),
    ] {
        let error = columns(wrong).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn descriptions_are_read_from_toml_and_from_json_in_any_language() {
    let dir = tempfile::tempdir().unwrap();
    let toml = dir.path().join("d.toml");
    std::fs::write(
        &toml,
        "Mass = \"폐에 종괴가 있다.\"\n\"Pleural Effusion\" = \"{label}\"\n",
    )
    .unwrap();
    let read = read_descriptions(&toml).unwrap();
    assert_eq!(
        (read["Mass"].as_str(), read["Pleural Effusion"].as_str()),
        ("폐에 종괴가 있다.", "{label}")
    );
    let json = dir.path().join("d.json");
    std::fs::write(&json, "{\"Mass\": \"A mass.\"}").unwrap();
    assert_eq!(read_descriptions(&json).unwrap()["Mass"], "A mass.");
    std::fs::write(&json, "[1]").unwrap();
    assert!(
        read_descriptions(&json)
            .unwrap_err()
            .to_string()
            .contains("table of texts")
    );
}

#[test]
fn tars_are_those_that_start_with_a_prefix_and_a_dot_means_all() {
    for (given, prefix) in [(".", ""), ("./train/", "train/"), ("train/0000", "train/0000")] {
        let dataset = DatasetArgs {
            webdataset: Some(given.into()),
            ..args("s3://bucket/d")
        };
        let source = dataset.to_api().unwrap().source.unwrap();
        let expected = v1::WebdatasetSource { prefix: prefix.into() };
        assert_eq!(source, v1::dataset::Source::Webdataset(expected), "{given}");
    }
}
