//! Encoders on libtorch, and everything between a file's bytes and a unit vector.
//!
//! Promises: pictures are decoded within explicit limits and prepared as Pillow does, to the bit where it is
//! arithmetic; a model is served only after each of its tensors was found whole; a batch gives what its items give one
//! by one; whatever libtorch or a thread does wrong comes back as a typed error. Leaves to others: what a model folder
//! says (`sightline-model-folder`), batching and isolation (the worker's engine), storing and comparing vectors.
//!
//! ```text
//! bytes ─ picture::decode ─► Picture ─ Preprocessor ─► PreparedPicture ─┐
//!                                                                       ├─ ModelRunner ─► Vec<Embedding>
//! text ─────────────────────────────────────────────────────────────────┘
//! ```

mod bert;
mod canary;
mod device;
mod efficientnet_lite;
mod encoder;
mod error;
pub mod picture;
mod preprocess;
mod projection;
pub mod resize;
mod runner;
mod tokens;
mod weights;

#[cfg(test)]
mod testing;

pub use canary::{CanaryError, canaries, check};
pub use device::{DeviceChoice, Precision};
pub use encoder::{Embedding, ImageEncoder, LoadOptions, LoadedModel, TextEncoder, load};
pub use error::ModelError;
pub use picture::{DecodeError, DecodeLimits, Picture};
pub use preprocess::{PrepareMismatch, PreparedPicture, Preprocessor};
pub use runner::{Health, ModelRunner, RunnerError, RunnerInfo};
