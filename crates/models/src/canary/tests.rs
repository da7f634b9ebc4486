use super::*;
use crate::encoder::{LoadOptions, load};
use crate::testing::TinyModel;
use sightline_core::{CollectionName, FieldDescription, IndexKind};

fn tiny() -> LoadedModel {
    load(TinyModel::new().open().unwrap(), &LoadOptions::default()).unwrap()
}

fn description(model: &LoadedModel) -> CollectionDescription {
    let mut canaries = canaries(model).unwrap();
    let fields = model.folder.spaces.iter().map(|(field, space)| {
        let canaries = canaries.remove(field).unwrap();
        (*field, FieldDescription::new(space.clone(), canaries))
    });
    CollectionDescription {
        name: CollectionName::new("chest").unwrap(),
        fields: fields.collect(),
        index: IndexKind::Flat,
    }
}

#[test]
fn a_model_that_made_a_collection_may_serve_it() {
    let model = tiny();
    let description = description(&model);
    for field in VectorField::ALL {
        assert_eq!(description.fields[&field].canaries.len(), 2, "{field}");
    }
    check(&description, &model).unwrap();
    check(&description, &tiny()).unwrap();
}

#[test]
fn a_process_that_computes_another_space_is_refused_with_field_and_cosine() {
    let mut other = TinyModel::new();
    for (_, values) in other.text.values_mut() {
        values.reverse();
    }
    other.write_weights();
    let other = load(other.open().unwrap(), &LoadOptions::default()).unwrap();
    let error = check(&description(&tiny()), &other).unwrap_err();
    assert!(
        matches!(
            error,
            CanaryError::OtherSpace {
                field: VectorField::Text,
                ..
            }
        ),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        ["chest", "tiny", "text_embedding", "cosine"]
            .iter()
            .all(|part| text.contains(part)),
        "{text}"
    );
}

#[test]
fn a_canary_of_another_length_of_nan_or_unknown_is_refused() {
    let model = tiny();
    let with = |change: fn(&mut Canary)| {
        let mut description = description(&model);
        change(&mut description.fields.get_mut(&VectorField::Image).unwrap().canaries[0]);
        check(&description, &model).unwrap_err()
    };
    assert!(matches!(
        with(|canary| canary.vector.truncate(3)),
        CanaryError::OtherSpace { .. }
    ));
    assert!(matches!(
        with(|canary| canary.vector[0] = f32::NAN),
        CanaryError::OtherSpace { .. }
    ));
    assert!(matches!(
        with(|canary| canary.input.push('x')),
        CanaryError::UnknownInput { .. }
    ));
}

#[test]
fn imported_vectors_have_no_canary_to_check() {
    let model = tiny();
    let mut description = description(&model);
    description.fields.values_mut().for_each(|field| field.canaries.clear());
    check(&description, &model).unwrap();
}

/// Collections keep vectors of these very pixels.
#[test]
fn the_built_in_pictures_are_frozen() {
    let digests: Vec<String> = PICTURES
        .iter()
        .map(|(_, pixel)| sightline_core::digest::sha256_hex(&generate(*pixel).unwrap().rgb()))
        .collect();
    assert_eq!(
        digests,
        [
            "d1340362b19609b7d045acd60857e78ecfd829deb90d95f54b1b5e829f3bfd77",
            "130d6f1b0a56f47c7a1ac590d1df4738367dc8920491ebd5173e55facac39ac3"
        ]
    );
}
