//! Which vector space a vector field holds. One field, one space, for ever.

use crate::digest::PartsDigest;
use crate::ids::{IdError, ModelName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The digest of a [`VectorSpace`]'s identity: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Takes 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn new(value: impl Into<String>) -> Result<Self, IdError> {
        let value = value.into();
        if value.len() == 64 && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(value))
        } else {
            Err(IdError {
                kind: "fingerprint",
                value: value.chars().take(200).collect(),
                reason: "it has 64 lower-case hexadecimal digits",
            })
        }
    }

    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = IdError;
    fn try_from(value: String) -> Result<Self, IdError> {
        Self::new(value)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.0
    }
}

/// Everything that decides where a vector lies. Precision and device are provenance, not identity: they are not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorSpace {
    /// The model as people name it. Not part of the identity: a renamed folder is the same model.
    pub model: ModelName,
    /// SHA-256 over the weights (and the tokenizer, for texts).
    pub weights: String,
    /// How an input becomes a tensor: canonical JSON of sizes, resampling, normalisation.
    pub preprocessing: String,
    /// How pictures are decoded: `exact` or `fast`; "" for texts.
    pub decode: String,
    /// How the network's output becomes one vector: `mean`, `cls`, `head`, …
    pub pooling: String,
    /// Text put before every document; "" where there is none.
    pub prefix: String,
    /// Length of the vectors.
    pub dimension: u32,
    /// Whether vectors have length 1.
    pub normalized: bool,
}

impl VectorSpace {
    /// The digest of what decides where a vector lies.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = PartsDigest::new("sightline/space/v1")
            .part(self.weights.as_bytes())
            .part(self.preprocessing.as_bytes())
            .part(self.decode.as_bytes())
            .part(self.pooling.as_bytes())
            .part(self.prefix.as_bytes())
            .part(&self.dimension.to_le_bytes())
            .part(&[u8::from(self.normalized)]);
        Fingerprint(digest.hex())
    }
}

/// A built-in input and the vector that the collection's creator computed for it. A process whose own vector lies
/// below [`Canary::MIN_COSINE`] of it computes another space, whatever its fingerprint says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Which of the built-in inputs.
    pub input: String,
    /// Its vector, computed in f32.
    #[serde(serialize_with = "write_vector", deserialize_with = "read_vector")]
    pub vector: Vec<f32>,
}

impl Canary {
    /// bf16 against f32 stays above 0.999 for every model that was measured; another model lies near 0.
    pub const MIN_COSINE: f32 = 0.99;
}

fn write_vector<S: Serializer>(vector: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn read_vector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = BASE64.decode(text).map_err(serde::de::Error::custom)?;
    let (values, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(serde::de::Error::custom("a vector's bytes are no multiple of 4"));
    }
    Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> VectorSpace {
        VectorSpace {
            model: ModelName::new("m").unwrap(),
            weights: "w".into(),
            preprocessing: "{}".into(),
            decode: "exact".into(),
            pooling: "mean".into(),
            prefix: String::new(),
            dimension: 384,
            normalized: true,
        }
    }

    #[test]
    fn a_renamed_model_keeps_its_fingerprint_and_any_other_change_makes_a_new_one() {
        let renamed = VectorSpace {
            model: ModelName::new("n").unwrap(),
            ..space()
        };
        assert_eq!(renamed.fingerprint(), space().fingerprint());
        for changed in [
            VectorSpace {
                weights: "v".into(),
                ..space()
            },
            VectorSpace {
                preprocessing: "{\"a\":1}".into(),
                ..space()
            },
            VectorSpace {
                decode: "fast".into(),
                ..space()
            },
            VectorSpace {
                pooling: "cls".into(),
                ..space()
            },
            VectorSpace {
                prefix: "query: ".into(),
                ..space()
            },
            VectorSpace {
                dimension: 128,
                ..space()
            },
            VectorSpace {
                normalized: false,
                ..space()
            },
        ] {
            assert_ne!(changed.fingerprint(), space().fingerprint(), "{changed:?}");
        }
    }

    #[test]
    fn a_canary_reads_back_bit_for_bit() {
        let canary = Canary {
            input: "x".into(),
            vector: vec![0.1, -2.5e-30, f32::MAX],
        };
        let text = serde_json::to_string(&canary).unwrap();
        assert_eq!(serde_json::from_str::<Canary>(&text).unwrap(), canary);
    }
}
