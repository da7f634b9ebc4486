//! Reads a file's header. The format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::fmt;

/// Bytes that hold the header of any array of a few sides: numpy pads one to 128.
pub const HEADER_BYTES: u64 = 4096;

const MAGIC: &[u8] = b"\x93NUMPY";

/// A type of floating-point numbers, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatType {
    /// `<f2`
    F16,
    /// `<f4`
    F32,
    /// `<f8`
    F64,
}

impl FloatType {
    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn named(descr: &str) -> Option<Self> {
        match descr {
            "<f2" => Some(Self::F16),
            "<f4" => Some(Self::F32),
            "<f8" => Some(Self::F64),
            _ => None,
        }
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

/// Where the numbers of a matrix lie in its file: row after row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// Rows.
    pub rows: u64,
    /// Numbers in a row.
    pub columns: u64,
    /// Their type.
    pub element: FloatType,
    /// Bytes before the first.
    pub offset: u64,
}

impl Matrix {
    /// Bytes of one row.
    #[must_use]
    pub fn row_bytes(&self) -> u64 {
        self.columns.saturating_mul(self.element.bytes())
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.rows.saturating_mul(self.row_bytes()).saturating_add(self.offset)
    }
}

/// Why a file's beginning is not that of a matrix that can be read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is no `.npy` file.
    #[error("it does not begin as a .npy file does: write it with numpy.save")]
    NoNumpy,
    /// It ends before its header does.
    #[error("its header is longer than the file or than {HEADER_BYTES} bytes: write it anew with numpy.save")]
    Cut,
    /// The header is not understood.
    #[error("its header {0:?} is not understood: write it anew with numpy.save")]
    Header(String),
    /// It holds something else than little-endian floats.
    #[error("its numbers are {0:?}, not f16, f32 or f64, little-endian: convert it with astype('<f4')")]
    Element(String),
    /// Columns lie together.
    #[error("its columns lie together, not its rows: convert it with numpy.ascontiguousarray")]
    Fortran,
    /// It is no matrix.
    #[error(
        "its shape is {0:?}, not rows x values: write one vector a row (numpy.stack, or reshape(rows, -1)), with numpy.save"
    )]
    Shape(Vec<u64>),
}

/// Reads the header at the beginning of a `.npy` file; `start` is the file, or its first [`HEADER_BYTES`] bytes.
///
/// # Errors
/// When it is no file of numpy, or no matrix of floats, row after row.
pub fn read_header(start: &[u8]) -> Result<Matrix, HeaderError> {
    let rest = start.strip_prefix(MAGIC).ok_or(HeaderError::NoNumpy)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(HeaderError::Cut)?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or(HeaderError::Cut)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or(HeaderError::Cut)?;
            let length = u32::from_le_bytes(*length);
            (usize::try_from(length).unwrap_or(usize::MAX), rest)
        }
        other => return Err(HeaderError::Header(format!("version {other}"))),
    };
    let before = start.len() - rest.len();
    let header = rest.get(..length).ok_or(HeaderError::Cut)?;
    let text = std::str::from_utf8(header).map_err(|_| HeaderError::Header("not text".into()))?;
    let not_understood = || HeaderError::Header(text.trim().to_owned());
    let descr = value(text, "descr").ok_or_else(not_understood)?;
    let descr = quoted(descr).ok_or_else(|| HeaderError::Element(first_value(descr)))?;
    let element = FloatType::named(descr).ok_or_else(|| HeaderError::Element(descr.to_owned()))?;
    match value(text, "fortran_order").ok_or_else(not_understood)? {
        order if order.starts_with("False") => {}
        order if order.starts_with("True") => return Err(HeaderError::Fortran),
        _ => return Err(not_understood()),
    }
    let shape = value(text, "shape").and_then(numbers).ok_or_else(not_understood)?;
    match shape[..] {
        [rows, columns] if columns > 0 => Ok(Matrix {
            rows,
            columns,
            element,
            offset: (before + length) as u64,
        }),
        _ => Err(HeaderError::Shape(shape)),
    }
}

/// What stands behind a key of the header, which is a Python dictionary without nesting.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, behind) = text.split_once(&format!("'{key}'"))?;
    Some(behind.trim_start().strip_prefix(':')?.trim_start())
}

fn quoted(text: &str) -> Option<&str> {
    let (inside, _) = text.strip_prefix('\'')?.split_once('\'')?;
    Some(inside)
}

fn first_value(text: &str) -> String {
    text.chars().take(40).collect()
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let parts = inside.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dict: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend(u16::try_from(dict.len()).unwrap().to_le_bytes());
        bytes.extend(dict.as_bytes());
        bytes
    }

    #[test]
    fn a_matrix_that_numpy_wrote_is_read() {
        let dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (7466, 1152), }          \n";
        let matrix = read_header(&file(dict)).unwrap();
        let offset = 10 + dict.len() as u64;
        assert_eq!(
            matrix,
            Matrix {
                rows: 7466,
                columns: 1152,
                element: FloatType::F32,
                offset
            }
        );
        assert_eq!(matrix.file_bytes(), offset + 7466 * 1152 * 4);
    }

    #[test]
    fn what_is_no_matrix_of_floats_in_rows_is_refused_by_what_it_is() {
        let with = |descr: &str, order: &str, shape: &str| {
            read_header(&file(&format!(
                "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
            )))
            .unwrap_err()
        };
        assert_eq!(with("'>f4'", "False", "(2, 2)"), HeaderError::Element(">f4".into()));
        assert_eq!(with("'<f4'", "True", "(2, 2)"), HeaderError::Fortran);
        assert_eq!(with("'<f4'", "False", "(2,)"), HeaderError::Shape(vec![2]));
        assert_eq!(with("'<f4'", "False", "(2, 0)"), HeaderError::Shape(vec![2, 0]));
        let said = HeaderError::Shape(vec![2]).to_string();
        assert!(said.contains("[2]") && said.contains("one vector a row"), "{said}");
        assert!(matches!(with("'<f4'", "False", "(2, x)"), HeaderError::Header(_)));
        assert!(matches!(
            with("[('a', '<f4')]", "False", "(2, 2)"),
            HeaderError::Element(_)
        ));
        assert_eq!(read_header(b"PK\x03\x04"), Err(HeaderError::NoNumpy));
        assert_eq!(read_header(b"\x93NUMPY\x01\x00\xff\xff{"), Err(HeaderError::Cut));
    }
}
