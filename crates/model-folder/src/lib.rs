//! Opens a model folder, as the Hugging Face Hub lays them out, and says which vector spaces it makes.
//!
//! Promises: no libtorch, so that the coordinator and the command line read a model's fingerprint without it; nothing
//! of a configuration is guessed: what is not understood, or would change vectors in a way that is not implemented, is
//! an error that names the file, the key and what to do. Leaves to others: reading the tensors, tokenizing and
//! embedding (`sightline-models`).

mod architectures;
mod decode;
mod digest;
mod error;
mod folder;
mod image;
mod matryoshka;
mod network;
mod path;
mod pooling;
mod preprocessing;
mod prompts;
mod sentence;

mod text;
mod tokenizer;
mod torchscript;

#[cfg(test)]
mod test_folder;

pub use architectures::{EfficientNetLite, Stage, names as architectures};
pub use decode::Decode;
pub use digest::DigestCache;
pub use error::FolderError;
pub use folder::ModelFolder;
pub use image::{ImageNetwork, ImageSide, Projection};
pub use network::{
    Activation, FeedForward, Gemma3, ImagePooling, LayerNames, Layers, NormPlace, PositionResize, TextNames,
    TextProjection, TextTransformer, VisionNames, VisionTransformer,
};
pub use pooling::{Dense, EndOfText, Padding, Pooling};
pub use preprocessing::{ImagePreprocessing, Resample, Resize};
pub use text::{TextNetwork, TextSide};
pub use tokenizer::{MoreToken, TokenizerFiles, TokenizerForm};
pub use torchscript::{ScriptImage, ScriptOutput, ScriptText};
