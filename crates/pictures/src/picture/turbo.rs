//! A JPEG's pixels by libjpeg-turbo, which Pillow is built with too: accurate inverse transform, smooth upsampling.

use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use crate::picture::limits::DecodeLimits;
use std::ffi::{CStr, c_int};
use std::ptr::NonNull;
use turbojpeg_sys as sys;

/// What libjpeg-turbo made.
pub(super) struct Pixels {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Width and height as they are stored.
    pub(super) stored: (u32, u32),
    /// Grey; red, green, blue; or cyan, magenta, yellow, black as they are stored.
    pub(super) samples: Vec<u8>,
    /// What is stored.
    pub(super) mode: &'static str,
    /// Samples a pixel: 1, 3 or 4.
    pub(super) channels: usize,
}

/// How the warnings of libjpeg's `jerror.h` begin, but for the one of a file that ends too soon.
const WARNINGS: [&str; 6] = [
    "Corrupt JPEG data: ",
    "Inconsistent progression sequence",
    "Invalid SOS parameters for sequential JPEG",
    "Unknown Adobe color transform code",
    "Warning: unknown JFIF revision",
    "Application transferred too many scanlines",
];

/// A decompressor, destroyed when it is dropped.
struct Decompressor(NonNull<std::ffi::c_void>);

impl Decompressor {
    fn new() -> Option<Self> {
        #[expect(
            unsafe_code,
            reason = "a constructor without preconditions; null says that memory is short"
        )]
        let handle = unsafe { sys::tj3Init(sys::TJINIT_TJINIT_DECOMPRESS as c_int) };
        NonNull::new(handle).map(Self)
    }

    fn set(&self, parameter: sys::TJPARAM, value: u64) -> bool {
        let value = c_int::try_from(value).unwrap_or(c_int::MAX);
        #[expect(unsafe_code, reason = "the handle lives, and any parameter and value may be given")]
        let status = unsafe { sys::tj3Set(self.0.as_ptr(), parameter as c_int, value) };
        status == 0
    }

    fn get(&self, parameter: sys::TJPARAM) -> u32 {
        #[expect(unsafe_code, reason = "the handle lives, and any parameter may be asked for")]
        let value = unsafe { sys::tj3Get(self.0.as_ptr(), parameter as c_int) };
        // Below 0 is "unknown".
        u32::try_from(value).unwrap_or(u32::MAX)
    }

    fn message(&self) -> String {
        #[expect(
            unsafe_code,
            reason = "the handle lives; its message is a C string until the next call, and is copied here"
        )]
        let text = unsafe { CStr::from_ptr(sys::tj3GetErrorStr(self.0.as_ptr())) };
        text.to_string_lossy().into_owned()
    }

    /// Decodes at an n-th of the size; 1, 2, 4 and 8 are possible, of lossy files.
    fn reduce(&self, denominator: u32) -> Result<(), DecodeError> {
        let factor = sys::tjscalingfactor {
            num: 1,
            denom: c_int::try_from(denominator).unwrap_or(1),
        };
        #[expect(unsafe_code, reason = "the handle lives, and any factor may be given")]
        let status = unsafe { sys::tj3SetScalingFactor(self.0.as_ptr(), factor) };
        self.check(status)
    }

    fn header(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        #[expect(
            unsafe_code,
            reason = "reads no further than the length of `bytes`, which outlives the call"
        )]
        let status = unsafe { sys::tj3DecompressHeader(self.0.as_ptr(), bytes.as_ptr(), bytes.len() as u64) };
        self.check(status)
    }

    /// What a call's status means: a warning is no error, as for Pillow, which takes what libjpeg makes of it.
    fn check(&self, status: c_int) -> Result<(), DecodeError> {
        if status == 0 {
            return Ok(());
        }
        let message = self.message();
        // libjpeg-turbo's error code says "warning" also of an error that came after one; its message does not.
        if WARNINGS.iter().any(|warning| message.starts_with(warning)) {
            return Ok(());
        }
        if message.to_lowercase().contains("memory") {
            return Err(DecodeError::Limit(message));
        }
        Err(DecodeError::corrupt(Format::Jpeg, message))
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the handle lives, and nobody uses it afterwards")]
        unsafe {
            sys::tj3Destroy(self.0.as_ptr());
        }
    }
}

/// Decodes one component of 2 to 16 bits, of a file whose markers were surveyed before: its values, row by row.
pub(super) fn decode_grey(bytes: &[u8], (width, height): (u32, u32), bits: u8) -> Result<Vec<u16>, DecodeError> {
    let no_memory = || DecodeError::Limit("there is no memory for a JPEG decoder".to_owned());
    let decompressor = Decompressor::new().ok_or_else(no_memory)?;
    decompressor.header(bytes)?;
    let read = |parameter| decompressor.get(parameter);
    let found = (
        read(sys::TJPARAM_TJPARAM_JPEGWIDTH),
        read(sys::TJPARAM_TJPARAM_JPEGHEIGHT),
        read(sys::TJPARAM_TJPARAM_PRECISION),
    );
    if found != (width, height, u32::from(bits)) || read(sys::TJPARAM_TJPARAM_COLORSPACE) != sys::TJCS_TJCS_GRAY {
        return Err(DecodeError::corrupt(
            Format::Jpeg,
            "its header changes while it is read",
        ));
    }
    let mut samples = vec![0_u16; width as usize * height as usize];
    let (handle, length, grey) = (decompressor.0.as_ptr(), bytes.len() as u64, sys::TJPF_TJPF_GRAY);
    #[expect(
        unsafe_code,
        reason = "reads no further than the length of `bytes`; writes height rows of width values of 16 bits, which is \
                  the length of `samples`, as the header that it reads again says"
    )]
    let status = unsafe {
        if bits <= 8 {
            sys::tj3Decompress8(handle, bytes.as_ptr(), length, samples.as_mut_ptr().cast(), 0, grey)
        } else if bits <= 12 {
            sys::tj3Decompress12(handle, bytes.as_ptr(), length, samples.as_mut_ptr().cast(), 0, grey)
        } else {
            sys::tj3Decompress16(handle, bytes.as_ptr(), length, samples.as_mut_ptr(), 0, grey)
        }
    };
    decompressor.check(status)?;
    if bits <= 8 {
        // The values lie in the first half, a byte each: from the last on, none is overwritten before it is read.
        for at in (0..samples.len()).rev() {
            samples[at] = u16::from(samples[at / 2].to_ne_bytes()[at % 2]);
        }
    }
    Ok(samples)
}

/// Decodes; the file's markers were surveyed before. `reduction` is told width and height, and says at an n-th of which
/// size is decoded: 1, 2, 4 or 8. `budget` is told width, height and samples a pixel of that before any is allocated.
pub(super) fn decode(
    bytes: &[u8],
    limits: &DecodeLimits,
    reduction: impl FnOnce(u32, u32) -> u32,
    budget: impl FnOnce(u32, u32, u64) -> Result<(), DecodeError>,
) -> Result<Pixels, DecodeError> {
    let no_memory = || DecodeError::Limit("there is no memory for a JPEG decoder".to_owned());
    let decompressor = Decompressor::new().ok_or_else(no_memory)?;
    // What libjpeg itself allocates: coefficients and rows. Its unit is 2^20 bytes.
    let allowed = (limits.max_alloc_bytes >> 20).max(1);
    for (parameter, value) in [
        (sys::TJPARAM_TJPARAM_MAXMEMORY, allowed),
        (sys::TJPARAM_TJPARAM_SCANLIMIT, u64::from(limits.max_jpeg_scans)),
        (sys::TJPARAM_TJPARAM_SAVEMARKERS, 0),
    ] {
        if !decompressor.set(parameter, value) {
            return Err(DecodeError::Limit(decompressor.message()));
        }
    }
    decompressor.header(bytes)?;
    let width = decompressor.get(sys::TJPARAM_TJPARAM_JPEGWIDTH);
    let height = decompressor.get(sys::TJPARAM_TJPARAM_JPEGHEIGHT);
    limits.check_size(width, height)?;
    let stored = (width, height);
    let denominator = reduction(width, height);
    decompressor.reduce(denominator)?;
    // libjpeg's rounding: a pixel that is there in part is there.
    let (width, height) = (width.div_ceil(denominator), height.div_ceil(denominator));
    let space = decompressor.get(sys::TJPARAM_TJPARAM_COLORSPACE);
    let mode = match space {
        sys::TJCS_TJCS_GRAY => "grey",
        sys::TJCS_TJCS_YCbCr => "YCbCr",
        sys::TJCS_TJCS_RGB => "RGB",
        sys::TJCS_TJCS_YCCK => "YCCK",
        _ => "CMYK",
    };
    let (format, channels) = match space {
        sys::TJCS_TJCS_CMYK | sys::TJCS_TJCS_YCCK => (sys::TJPF_TJPF_CMYK, 4),
        sys::TJCS_TJCS_GRAY => (sys::TJPF_TJPF_GRAY, 1),
        _ => (sys::TJPF_TJPF_RGB, 3),
    };
    budget(width, height, channels as u64)?;
    let total = u64::from(width) * u64::from(height) * channels as u64;
    let mut samples = vec![0; usize::try_from(total).map_err(|_| no_memory())?];
    #[expect(
        unsafe_code,
        reason = "reads no further than the length of `bytes`; writes height rows of width pixels of the format asked \
                  for, which is the length of `samples`, as the header that it reads again and the scaling factor say"
    )]
    let status = unsafe {
        sys::tj3Decompress8(
            decompressor.0.as_ptr(),
            bytes.as_ptr(),
            bytes.len() as u64,
            samples.as_mut_ptr(),
            0,
            format,
        )
    };
    decompressor.check(status)?;
    Ok(Pixels {
        width,
        height,
        stored,
        samples,
        mode,
        channels,
    })
}
