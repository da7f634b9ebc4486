//! Transformers that run a folder's description, whatever their architecture is called.

mod gemma3;
mod head;
mod pooling;
mod text;
mod token_batch;
mod vision;

pub(crate) use text::TextModel;
pub(crate) use vision::VisionModel;
