//! Reads SentencePiece's model files (`sentencepiece_model.proto`, of which the fields are that count here).

use prost::Message as _;

/// How texts are cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Unigram,
    Bpe,
}

/// What a piece is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Part of texts.
    Text,
    /// A mark that no text holds.
    Control,
    /// Always cut out whole.
    UserDefined,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f64,
    pub(super) role: Role,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SentencePiece {
    pub(super) algorithm: Algorithm,
    pub(super) pieces: Vec<Piece>,
    /// Place of the piece that stands for what no piece covers.
    pub(super) unknown: usize,
    pub(super) charsmap: Vec<u8>,
    /// Spaces at the ends are dropped, and several are one.
    pub(super) collapse_spaces: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerProto>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PieceProto {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TrainerProto {
    #[prost(int32, optional, tag = "3")]
    algorithm: Option<i32>,
    #[prost(int32, optional, tag = "40")]
    unknown: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NormalizerProto {
    #[prost(bytes = "vec", optional, tag = "2")]
    charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "4")]
    collapse_spaces: Option<bool>,
}

impl SentencePiece {
    /// Reads a model file's bytes; the error says what is wrong with them.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let raw = ModelProto::decode(bytes).map_err(|error| format!("it is no SentencePiece model: {error}"))?;
        let trainer = raw.trainer.unwrap_or_default();
        let algorithm = match trainer.algorithm.unwrap_or(1) {
            1 => Algorithm::Unigram,
            2 => Algorithm::Bpe,
            other => {
                return Err(format!(
                    "its SentencePiece algorithm is number {other}: only unigram (1) and BPE (2) are implemented"
                ));
            }
        };
        let unknown = trainer.unknown.unwrap_or(0);
        let unknown = usize::try_from(unknown)
            .ok()
            .filter(|unknown| *unknown < raw.pieces.len())
            .ok_or_else(|| format!("its unknown piece is number {unknown} of {}", raw.pieces.len()))?;
        let normalizer = raw.normalizer.unwrap_or_default();
        let piece = |piece: PieceProto| Piece {
            text: piece.piece.unwrap_or_default(),
            score: f64::from(piece.score.unwrap_or(0.0)),
            role: match piece.kind {
                Some(3) => Role::Control,
                Some(4) => Role::UserDefined,
                _ => Role::Text,
            },
        };
        Ok(Self {
            algorithm,
            pieces: raw.pieces.into_iter().map(piece).collect(),
            unknown,
            charsmap: normalizer.charsmap.unwrap_or_default(),
            collapse_spaces: normalizer.collapse_spaces.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_that_are_no_model_are_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(model) = SentencePiece::read(&bytes) {
                prop_assert!(model.unknown < model.pieces.len());
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_model_is_said() {
        let trainer = |algorithm, unknown| {
            let piece = PieceProto {
                piece: Some("a".to_owned()),
                ..PieceProto::default()
            };
            ModelProto {
                pieces: vec![piece],
                trainer: Some(TrainerProto { algorithm, unknown }),
                normalizer: None,
            }
            .encode_to_vec()
        };
        assert!(SentencePiece::read(&trainer(None, None)).is_ok());
        assert!(
            SentencePiece::read(&trainer(Some(4), None))
                .unwrap_err()
                .contains("number 4")
        );
        assert!(
            SentencePiece::read(&trainer(None, Some(7)))
                .unwrap_err()
                .contains("7 of 1")
        );
        assert!(SentencePiece::read(&trainer(None, Some(-1))).is_err());
        assert!(
            SentencePiece::read(b"not protobuf")
                .unwrap_err()
                .contains("no SentencePiece model")
        );
    }
}
