//! The writer. The format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use crate::element::Element;
use std::io::{self, Seek, SeekFrom, Write};
use std::marker::PhantomData;

const MAGIC: &[u8; 8] = b"\x93NUMPY\x01\x00";
/// All that comes before the numbers. numpy wants a multiple of 64, so that a mapped array is aligned; this has room
/// for any number of rows and eight more dimensions.
const HEADER_BYTES: usize = 256;
/// What a header that ends sooner takes.
const SHORT_HEADER_BYTES: usize = 128;
/// The longest number of rows.
const DIGITS: usize = 20;

/// Why an array cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// Values that are no whole rows.
    #[error("{values} values were given to an array whose rows have {row}: give whole rows")]
    Row {
        /// How many were given.
        values: usize,
        /// How many a row has.
        row: usize,
    },
    /// A row of no values, or of more than memory can hold or a header can say.
    #[error("an array with rows of the shape {0:?} cannot be written: give one to eight sides above 0")]
    Shape(Vec<usize>),
    /// The file could not be written.
    #[error("cannot write the array: {0}: see that there is room and that the file may be written")]
    Write(#[from] io::Error),
}

/// An array that is written row by row. Without [`NpyWriter::finish`] the file claims to have no rows.
#[derive(Debug)]
pub struct NpyWriter<W, T> {
    out: W,
    shape: Vec<usize>,
    row: usize,
    rows: u64,
    header_bytes: usize,
    buffer: Vec<u8>,
    element: PhantomData<T>,
}

impl<W: Write + Seek, T: Element> NpyWriter<W, T> {
    /// Starts an array at the beginning of `out`; `row` is the shape of one row. `&[768]` makes an array of
    /// `rows x 768`; `&[]` one of one dimension.
    ///
    /// # Errors
    /// When the shape has a side of 0 or too many of them, or the file cannot be written.
    pub fn new(mut out: W, row: &[usize]) -> Result<Self, NpyError> {
        let wrong = || NpyError::Shape(row.to_vec());
        let values = row.iter().try_fold(1_usize, |product, side| product.checked_mul(*side));
        let values = values
            .filter(|values| *values > 0 && row.len() <= 8)
            .ok_or_else(wrong)?;
        let longest = MAGIC.len() + 2 + dict::<T>(0, row).len() + DIGITS;
        let header_bytes = if longest <= SHORT_HEADER_BYTES {
            SHORT_HEADER_BYTES
        } else {
            HEADER_BYTES
        };
        if longest > header_bytes {
            return Err(wrong());
        }
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&header::<T>(0, row, header_bytes))?;
        Ok(Self {
            out,
            shape: row.to_vec(),
            row: values,
            rows: 0,
            header_bytes,
            buffer: Vec::new(),
            element: PhantomData,
        })
    }

    /// Appends one row, or several that lie one after the other.
    ///
    /// # Errors
    /// When the values are no whole rows, or the file cannot be written.
    pub fn push(&mut self, values: &[T]) -> Result<(), NpyError> {
        if values.is_empty() || !values.len().is_multiple_of(self.row) {
            return Err(NpyError::Row {
                values: values.len(),
                row: self.row,
            });
        }
        self.buffer.clear();
        T::append(values, &mut self.buffer);
        self.out.write_all(&self.buffer)?;
        self.rows += (values.len() / self.row) as u64;
        Ok(())
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes how many rows there are into the header, and flushes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<W, NpyError> {
        self.out.seek(SeekFrom::Start(0))?;
        self.out
            .write_all(&header::<T>(self.rows, &self.shape, self.header_bytes))?;
        self.out.seek(SeekFrom::End(0))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn dict<T: Element>(rows: u64, row: &[usize]) -> String {
    let sides: String = row.iter().map(|side| format!(" {side},")).collect();
    // A tuple of several has no comma at its end, as Python prints it.
    let shape = format!("{rows},{sides}");
    let shape = if row.is_empty() {
        shape.as_str()
    } else {
        shape.trim_end_matches(',')
    };
    format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({shape}), }}",
        T::DESCR
    )
}

/// Filled up with spaces, so that it can be written over.
fn header<T: Element>(rows: u64, row: &[usize], bytes: usize) -> Vec<u8> {
    let length = bytes - MAGIC.len() - 2;
    let text = format!("{:<width$}\n", dict::<T>(rows, row), width = length - 1);
    #[expect(clippy::cast_possible_truncation, reason = "one of two constants below 2^16")]
    let length = (length as u16).to_le_bytes();
    [MAGIC.as_slice(), &length, text.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
