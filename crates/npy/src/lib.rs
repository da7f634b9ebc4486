//! Writes arrays as numpy's `.npy` files, row by row, and tells where the rows of one lie.
//!
//! Promises: what `finish` returned for is a whole file of format 1.0, which `numpy.load` reads, memory-mapped too; the
//! number of rows need not be known before, and rows are not held. Leaves to others: what the rows mean, and buffering
//! (give a `BufWriter`).
//!
//! ```
//! # fn main() -> Result<(), sightline_npy::NpyError> {
//! let mut writer = sightline_npy::NpyWriter::<_, f32>::new(std::io::Cursor::new(Vec::new()), &[2])?;
//! writer.push(&[1.0, 2.0])?;
//! writer.push(&[3.0, 4.0])?;
//! let file: Vec<u8> = writer.finish()?.into_inner(); // shape (2, 2)
//! # assert_eq!(file.len(), 128 + 16);
//! # Ok(())
//! # }
//! ```

mod element;
mod header;
mod writer;

pub use element::Element;
pub use header::{FloatType, HEADER_BYTES, HeaderError, Matrix, read_header};
pub use writer::{NpyError, NpyWriter};
