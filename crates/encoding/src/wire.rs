//! Descriptions of models as messages.

use crate::encoder::ModelDescription;
use sightline_core::{Canary, FieldDescription, IdError, ModelName, VectorField, VectorSpace};
use sightline_proto::v1;
use std::collections::BTreeMap;

/// Before the name of every model.
const MODELS: &str = "models/";
/// Whichever model is served.
pub(crate) const ANY_MODEL: &str = "models/-";

/// A description that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// A name is none.
    #[error(transparent)]
    Name(#[from] IdError),
    /// A field is none that this version knows.
    #[error("it has a side {0:?}, which this version does not know")]
    UnknownField(String),
    /// A dimension is no dimension.
    #[error("{field} has {dimension} dimensions")]
    Dimension { field: VectorField, dimension: i32 },
    /// The fingerprint is not that of the rest.
    #[error("the fingerprint of {0} is not that of what it says of itself: its version is another than ours")]
    Fingerprint(VectorField),
}

/// The model's name as a resource.
pub(crate) fn resource_name(model: &ModelName) -> String {
    format!("{MODELS}{model}")
}

pub(crate) fn to_message(description: &ModelDescription) -> v1::Model {
    let side = |(field, of): (&VectorField, &FieldDescription)| v1::model::Side {
        field: field.to_string(),
        fingerprint: of.fingerprint.to_string(),
        weights: of.space.weights.clone(),
        preprocessing: of.space.preprocessing.clone(),
        decode: of.space.decode.clone(),
        pooling: of.space.pooling.clone(),
        prefix: of.space.prefix.clone(),
        dimension: i32::try_from(of.space.dimension).unwrap_or(i32::MAX),
        normalized: of.space.normalized,
        canaries: of.canaries.iter().map(canary).collect(),
    };
    v1::Model {
        name: resource_name(&description.model),
        sides: description.fields.iter().map(side).collect(),
        shared_space: description.shared_space,
    }
}

fn canary(canary: &Canary) -> v1::model::Canary {
    v1::model::Canary {
        input: canary.input.clone(),
        vector: Some(v1::Vector {
            values: canary.vector.clone(),
        }),
    }
}

pub(crate) fn from_message(message: v1::Model) -> Result<ModelDescription, WireError> {
    let model = ModelName::new(message.name.strip_prefix(MODELS).unwrap_or_default())?;
    let sides = message.sides.into_iter().map(|side| self::side(side, &model));
    let fields = sides.collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(ModelDescription {
        model,
        fields,
        shared_space: message.shared_space,
    })
}

fn side(side: v1::model::Side, model: &ModelName) -> Result<(VectorField, FieldDescription), WireError> {
    let known = VectorField::ALL.into_iter().find(|field| field.as_str() == side.field);
    let field = known.ok_or(WireError::UnknownField(side.field))?;
    let dimension = u32::try_from(side.dimension).map_err(|_| WireError::Dimension {
        field,
        dimension: side.dimension,
    })?;
    let canaries = side.canaries.into_iter().map(|canary| Canary {
        input: canary.input,
        vector: canary.vector.unwrap_or_default().values,
    });
    let space = VectorSpace {
        model: model.clone(),
        weights: side.weights,
        preprocessing: side.preprocessing,
        decode: side.decode,
        pooling: side.pooling,
        prefix: side.prefix,
        dimension,
        normalized: side.normalized,
    };
    let description = FieldDescription::new(space, canaries.collect());
    if description.fingerprint.as_str() != side.fingerprint {
        return Err(WireError::Fingerprint(field));
    }
    Ok((field, description))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::described;

    #[test]
    fn a_description_is_the_same_after_the_wire() {
        let description = described("clip-vit", 8);
        assert_eq!(from_message(to_message(&description)).unwrap(), *description);
    }

    #[test]
    fn a_fingerprint_that_is_not_that_of_the_space_and_an_unknown_side_are_refused() {
        let mut message = to_message(&described("m", 8));
        message.sides[0].pooling = "other".into();
        assert!(matches!(
            from_message(message),
            Err(WireError::Fingerprint(VectorField::Image))
        ));
        let mut message = to_message(&described("m", 8));
        message.sides[1].field = "sound_embedding".into();
        assert!(matches!(from_message(message), Err(WireError::UnknownField(_))));
        let mut message = to_message(&described("m", 8));
        message.name = "clip".into();
        assert!(matches!(from_message(message), Err(WireError::Name(_))));
    }
}
