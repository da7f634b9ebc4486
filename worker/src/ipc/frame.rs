//! Frames: a length as 32 bits, big endian, and so many bytes of JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{ErrorKind, Read, Write};

/// Longest frame in bytes. A single item with the longest text and attributes is far below; a longer frame is no
/// frame of ours.
pub const MAX_FRAME_BYTES: usize = 64 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The pipe broke.
    #[error("the pipe between supervisor and engine broke: {0}")]
    Pipe(#[from] std::io::Error),
    /// The peer ended in the middle of a frame.
    #[error("the peer ended in the middle of a frame")]
    CutShort,
    /// The length is beyond [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes is longer than the {MAX_FRAME_BYTES} that are allowed")]
    TooLong(usize),
    /// The bytes are no frame that this version knows.
    #[error("a frame is not understood: {0}")]
    Malformed(serde_json::Error),
}

/// Writes one frame and flushes.
///
/// # Errors
/// When the pipe is broken or the frame is too long.
pub fn write_frame<T: Serialize>(to: &mut impl Write, frame: &T) -> Result<(), FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame).map_err(FrameError::Malformed)?;
    let length = bytes.len() - 4;
    let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME_BYTES);
    let prefix = prefix.ok_or(FrameError::TooLong(length))?;
    bytes[..4].copy_from_slice(&prefix.to_be_bytes());
    to.write_all(&bytes)?;
    Ok(to.flush()?)
}

/// Reads one frame; none where the peer ended between two frames.
///
/// # Errors
/// When the pipe is broken, or what comes is no frame.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>, FrameError> {
    let mut prefix = [0; 4];
    match read_some(from, &mut prefix)? {
        0 => return Ok(None),
        4 => {}
        _ => return Err(FrameError::CutShort),
    }
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong(length));
    }
    let mut body = vec![0; length];
    if read_some(from, &mut body)? < length {
        return Err(FrameError::CutShort);
    }
    serde_json::from_slice(&body).map(Some).map_err(FrameError::Malformed)
}

/// Fills the buffer as far as the peer lives.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_frame_by_frame(texts in prop::collection::vec(".*", 0..8)) {
            let mut pipe = Vec::new();
            for text in &texts {
                write_frame(&mut pipe, text).unwrap();
            }
            let mut from = pipe.as_slice();
            for text in &texts {
                prop_assert_eq!(&read_frame::<String>(&mut from).unwrap().unwrap(), text);
            }
            prop_assert!(read_frame::<String>(&mut from).unwrap().is_none());
        }

        #[test]
        fn arbitrary_bytes_are_an_error_or_a_frame_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _frame = read_frame::<String>(&mut bytes.as_slice());
        }

        #[test]
        fn a_frame_that_is_cut_anywhere_is_no_frame(cut in 1..10_usize) {
            let mut pipe = Vec::new();
            write_frame(&mut pipe, &"sight").unwrap();
            let result = read_frame::<String>(&mut &pipe[..cut]);
            prop_assert!(matches!(result, Err(FrameError::CutShort)), "{:?}", result);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_allocated() {
        let bytes = u32::MAX.to_be_bytes();
        assert!(matches!(
            read_frame::<String>(&mut bytes.as_slice()),
            Err(FrameError::TooLong(_))
        ));
    }
}
