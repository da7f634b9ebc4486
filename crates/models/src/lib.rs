//! Encoders on libtorch: from prepared pictures and texts to unit vectors.
//!
//! Promises: a model is served only after each of its tensors was found whole; a batch gives what its items give one
//! by one; whatever libtorch or a thread does wrong comes back as a typed error. Leaves to others: decoding and
//! preparing pictures (`sightline-pictures`), what a model folder says (`sightline-model-folder`), batching and
//! isolation (the worker's engine), storing and comparing vectors.
//!
//! ```text
//! sightline_pictures::PreparedPicture ─┐
//!                                      ├─ ModelRunner ─► Vec<Embedding>
//! text ────────────────────────────────┘
//! ```

mod allocator;
mod canary;
mod cuda;
mod device;
mod efficientnet_lite;
mod encoder;
mod error;
mod image_input;
mod lanes;
mod nn;
mod precision;
mod projection;
mod runner;
mod tokens;
mod torchscript;
mod transformer;
mod weights;

#[cfg(test)]
mod testing;

pub use canary::{CanaryError, canaries, check};
pub use device::{DeviceChoice, cuda_devices};
pub use encoder::{
    Embedding, ImageBatch, ImageEncoder, LoadOptions, LoadedModel, Started, TextEncoder, TextRole, load,
};
pub use error::ModelError;
pub use precision::Precision;
pub use runner::{Health, ModelRunner, RunnerError, RunnerInfo};
pub use weights::parameters;
