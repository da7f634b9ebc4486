//! From a file's bytes to prepared pixels, as Pillow and numpy make them. No libtorch.
//!
//! Promises: pictures are decoded within explicit limits, which are held against the header before any pixel is
//! allocated; decoding, resizing and normalising equal Pillow's and numpy's to the bit where it is arithmetic; no bytes
//! make it panic. Leaves to others: what a model folder says (`sightline-model-folder`), networks (`sightline-models`).
//!
//! ```text
//! bytes ─ picture::decode ─► Picture ─ Preprocessor ─► PreparedPicture ─► planes of f32
//! ```

pub mod picture;
mod preprocess;
mod preview;
pub mod resize;

pub use picture::{Content, DecodeError, DecodeLimits, Facts, Picture};
pub use preprocess::{PrepareMismatch, PreparedFile, PreparedPicture, Preprocessor, PreviewedFile};
pub use preview::{PreviewError, preview};
