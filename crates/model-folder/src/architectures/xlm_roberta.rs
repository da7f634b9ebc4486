//! RoBERTa and XLM-RoBERTa: BERT whose first position comes after the padding token's id.

use super::Sides;
use super::bert::network;
use super::config::{COPY, Keys};
use crate::error::FolderError;
use crate::pooling::{Padding, Pooling};
use crate::text::{TextNetwork, TextSide};
use serde_json::Value;
use std::path::Path;

pub(super) fn open(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let keys = Keys::new(folder, config);
    let offset = keys.number("pad_token_id", 1)?.saturating_add(1);
    let network = network(&keys, offset, &["", "roberta."])?;
    if network.positions <= offset {
        let problem = format!("is {}, which leaves no position after pad_token_id", network.positions);
        return Err(keys.wrong("max_position_embeddings", problem, COPY));
    }
    let side = TextSide::open(
        folder,
        TextNetwork::Transformer(Box::new(network)),
        Pooling::Mean,
        Padding::Longest,
    )?;
    Ok(Sides::text(side))
}
