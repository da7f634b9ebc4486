//! What a run says of how its dataset's files are read.

use crate::fixture::{Fixture, id};
use sightline_proto::v1;
use sightline_proto::v1::dataset::Dicom;
use sightline_proto::v1::dataset::dicom::Frame;
use sightline_proto::v1::run_spec::{Previews, previews::Format};

fn with_dicom(fixture: &Fixture, tags: &[&str], frame: Frame) -> v1::RunSpec {
    let mut spec = fixture.spec();
    if let Some(dataset) = &mut spec.dataset {
        dataset.dicom = Some(Dicom {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            frame: frame.into(),
        });
    }
    spec
}

#[tokio::test]
async fn what_is_taken_from_dicoms_is_kept_by_the_tags_that_it_meant() {
    let fixture = Fixture::new(1).await;
    let spec = with_dicom(&fixture, &["none", "StudyInstanceUID", "Modality"], Frame::Middle);
    let run = fixture.create("r", spec).await.unwrap();
    let id = id(&run);
    let told = run.spec.unwrap().dataset.unwrap().dicom.unwrap();
    assert_eq!(told.tags, ["Modality", "StudyInstanceUID"]);
    assert_eq!(told.frame(), Frame::Middle);
    let stored = fixture.state.run(&id).await.unwrap().unwrap().spec.dataset;
    assert_eq!(stored.dicom().tags, told.tags);
}

#[tokio::test]
async fn the_usual_choice_is_the_same_request_as_none() {
    let fixture = Fixture::new(1).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let usual = with_dicom(&fixture, &["usual"], Frame::First);
    assert_eq!(fixture.create("r", usual).await.unwrap().name, run.name);
    let no_tags = v1::RunSpec {
        collection: "collections/other".into(),
        ..with_dicom(&fixture, &["none"], Frame::First)
    };
    let run = fixture.create("other", no_tags.clone()).await.unwrap();
    assert_eq!(run.spec.unwrap().dataset.unwrap().dicom.unwrap().tags, ["none"]);
    fixture.create("other", no_tags).await.unwrap();
}

#[tokio::test]
async fn a_tag_that_is_none_is_named() {
    let fixture = Fixture::new(1).await;
    let wrong = with_dicom(&fixture, &["usual", "PatientId"], Frame::First);
    let refused = fixture.create("r", wrong).await.unwrap_err();
    assert!(refused.message().contains("spec.dataset.dicom.tags"), "{refused}");
    assert!(refused.message().contains("PatientId"), "{refused}");
}

#[tokio::test]
async fn previews_are_kept_with_their_usual_settings_and_none_are_none() {
    let fixture = Fixture::new(1).await;
    let run = fixture.create("none", fixture.spec()).await.unwrap();
    assert_eq!(run.spec.unwrap().previews, None);
    let spec = v1::RunSpec {
        collection: "collections/others".into(),
        previews: Some(Previews::default()),
        ..fixture.spec()
    };
    let told = fixture.create("r", spec).await.unwrap().spec.unwrap().previews.unwrap();
    assert_eq!((told.width, told.height, told.quality), (960, 540, 85));
    assert_eq!(told.format(), Format::Jpeg);
    assert!(told.root.is_empty());
}

#[tokio::test]
async fn previews_that_cannot_be_are_refused_field_by_field() {
    let fixture = Fixture::new(1).await;
    let refused = |previews: Previews| {
        let spec = v1::RunSpec {
            previews: Some(previews),
            ..fixture.spec()
        };
        async { fixture.create("r", spec).await.unwrap_err().message().to_owned() }
    };
    let wrong = refused(Previews {
        width: 5000,
        height: -1,
        format: Format::Png.into(),
        quality: 50,
        root: String::new(),
    });
    let wrong = wrong.await;
    for field in ["spec.previews.width", "spec.previews.height", "spec.previews.quality"] {
        assert!(wrong.contains(field), "{wrong}");
    }
    let wrong = refused(Previews {
        root: "ftp://pages".into(),
        ..Previews::default()
    });
    let wrong = wrong.await;
    assert!(wrong.contains("spec.previews.root"), "{wrong}");
}

#[tokio::test]
async fn a_root_that_can_never_hold_previews_is_refused_with_its_name() {
    let fixture = Fixture::new(1).await;
    let root = fixture.folder.path().join("pages");
    std::fs::create_dir(&root).unwrap();
    let spec = v1::RunSpec {
        previews: Some(Previews {
            root: format!("file://{}", root.display()),
            ..Previews::default()
        }),
        ..fixture.spec()
    };
    std::os::unix::fs::symlink("previews", root.join("previews")).unwrap();
    let refused = fixture.create("r", spec.clone()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let told = refused.message();
    assert!(
        told.contains("spec.previews.root") && told.contains("/pages") && told.contains("circle"),
        "{told}"
    );
    std::fs::remove_file(root.join("previews")).unwrap();
    fixture.create("r", spec).await.unwrap();
}
