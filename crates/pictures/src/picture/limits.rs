//! How much one picture may ask for.

use crate::picture::error::DecodeError;

/// Limits on one picture, held against its header before its pixels are allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Width times height.
    pub max_pixels: u64,
    /// Width, and height.
    pub max_side: u32,
    /// Bytes that decoding may have allocated at any moment, the file's own bytes not counted.
    pub max_alloc_bytes: u64,
    /// Scans of a JPEG: each one visits every pixel again.
    pub max_jpeg_scans: u32,
    /// Scans of a JPEG times its pixels, which is what they cost in time.
    pub max_jpeg_scan_pixels: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_pixels: 1 << 27,
            max_side: 65_535,
            // The largest picture twice as RGB (once decoded, once turned upright), and some room for a decoder's rows:
            // with libtorch itself a process stays below 1 GiB.
            max_alloc_bytes: 800 << 20,
            // What libjpeg-turbo's authors recommend; ordinary progressive files have ten.
            max_jpeg_scans: 500,
            // Sixteen scans of the largest picture.
            max_jpeg_scan_pixels: 1 << 31,
        }
    }
}

impl DecodeLimits {
    pub(super) fn check_size(&self, width: u32, height: u32) -> Result<(), DecodeError> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels > self.max_pixels {
            return Err(DecodeError::TooManyPixels {
                width,
                height,
                max_pixels: self.max_pixels,
            });
        }
        if width.max(height) > self.max_side {
            return Err(DecodeError::TooLong {
                width,
                height,
                max_side: self.max_side,
            });
        }
        Ok(())
    }

    pub(super) fn check_alloc(&self, bytes: u64) -> Result<(), DecodeError> {
        if bytes > self.max_alloc_bytes {
            return Err(DecodeError::Limit(format!(
                "decoding it needs {bytes} bytes of memory, above the limit of {}",
                self.max_alloc_bytes
            )));
        }
        Ok(())
    }
}
