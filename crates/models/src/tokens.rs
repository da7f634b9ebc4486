//! From a text to the network's token ids.

mod build;
mod charsmap;
mod prepare;
mod sentencepiece;

use crate::encoder::TextRole;
use crate::error::ModelError;
use prepare::Prepare;
use sightline_model_folder::TextSide;
use tokenizers::{PostProcessor as _, Tokenizer, TruncationDirection, TruncationParams};

/// A model's tokenizer, with its limit.
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    prefix: String,
    query_prefix: String,
    lowercase: bool,
    prepare: Prepare,
    vocab_size: u32,
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextTokenizer(prefix {:?})", self.prefix)
    }
}

impl TextTokenizer {
    /// Reads the folder's tokenizer and proves that it fits `vocab_size`.
    pub(crate) fn open(side: &TextSide, vocab_size: u32) -> Result<Self, ModelError> {
        let wrong = |detail: String| ModelError::Tokenizer {
            path: side.tokenizer.vocabulary.clone(),
            detail,
        };
        let (mut tokenizer, prepare) = build::build(&side.tokenizer)?;
        check_vocabulary(&tokenizer, vocab_size).map_err(wrong)?;
        let framing = tokenizer
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(false));
        if framing >= side.max_tokens as usize {
            return Err(wrong(format!(
                "it puts {framing} tokens around each text, and the model's limit is {}",
                side.max_tokens
            )));
        }
        // The file's own limit and padding are those of the day it was written; the model's are in its configuration.
        tokenizer.with_padding(None);
        let truncation = TruncationParams {
            max_length: side.max_tokens as usize,
            direction: if side.cut_left {
                TruncationDirection::Left
            } else {
                TruncationDirection::Right
            },
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            tokenizer,
            prefix: side.prefix.clone(),
            query_prefix: side.query_prefix.clone(),
            lowercase: side.lowercase,
            prepare,
            vocab_size,
        })
    }

    /// The id of a token, by its text.
    pub(crate) fn id(&self, token: &str) -> Option<i64> {
        self.tokenizer.token_to_id(token).map(i64::from)
    }

    /// The ids of a text, special tokens included, cut to the model's limit.
    pub(crate) fn ids(&self, text: &str, role: TextRole) -> Result<Vec<i64>, ModelError> {
        let prefix = match role {
            TextRole::Document => &self.prefix,
            TextRole::Query => &self.query_prefix,
        };
        let mut text = format!("{prefix}{text}");
        if self.lowercase {
            text = text.to_lowercase();
        }
        let encoding = self
            .tokenizer
            .encode_fast(self.prepare.apply(text), true)
            .map_err(|error| ModelError::Tokenize(error.to_string()))?;
        let known = encoding.get_ids().iter().filter(|id| **id < self.vocab_size);
        Ok(known.map(|id| i64::from(*id)).collect())
    }
}

/// Each token has an embedding, but for marks that a text never holds by itself: a family's tokenizer has marks for
/// pictures which its text models lack (EmbeddingGemma). Those are left out of texts.
fn check_vocabulary(tokenizer: &Tokenizer, vocab_size: u32) -> Result<(), String> {
    let marks = tokenizer.get_added_tokens_decoder();
    let needed = |id: &u32| marks.get(id).is_none_or(|mark| !mark.special);
    let largest = tokenizer.get_vocab(true).into_values().filter(needed).max();
    let framed = tokenizer.encode_fast("", true).map_err(|error| error.to_string())?;
    let largest = largest.max(framed.get_ids().iter().max().copied()).unwrap_or(0);
    if largest >= vocab_size {
        return Err(format!(
            "it makes tokens up to {largest}, and config.json's vocab_size is {vocab_size}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
