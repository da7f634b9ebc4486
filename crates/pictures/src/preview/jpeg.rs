//! JPEGs by libjpeg-turbo, which is linked for decoding anyhow.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use turbojpeg_sys as sys;

/// A compressor, destroyed when it is dropped.
struct Compressor(NonNull<c_void>);

impl Compressor {
    fn new() -> Option<Self> {
        #[expect(
            unsafe_code,
            reason = "a constructor without preconditions; null says that memory is short"
        )]
        let handle = unsafe { sys::tj3Init(sys::TJINIT_TJINIT_COMPRESS as c_int) };
        NonNull::new(handle).map(Self)
    }

    fn set(&self, parameter: sys::TJPARAM, value: c_int) -> Result<(), String> {
        #[expect(unsafe_code, reason = "the handle lives, and any parameter and value may be given")]
        let status = unsafe { sys::tj3Set(self.0.as_ptr(), parameter as c_int, value) };
        if status == 0 { Ok(()) } else { Err(self.message()) }
    }

    fn message(&self) -> String {
        #[expect(
            unsafe_code,
            reason = "the handle lives; its message is a C string until the next call, and is copied here"
        )]
        let text = unsafe { CStr::from_ptr(sys::tj3GetErrorStr(self.0.as_ptr())) };
        text.to_string_lossy().into_owned()
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the handle lives, and nobody uses it afterwards")]
        unsafe {
            sys::tj3Destroy(self.0.as_ptr());
        }
    }
}

/// Bytes that no JPEG of this size with halved colours goes beyond, which is what encoding allocates beside the pixels and a few
/// rows; 0 where there is none.
pub(super) fn most_bytes(width: u32, height: u32) -> usize {
    let (Ok(columns), Ok(rows)) = (c_int::try_from(width), c_int::try_from(height)) else {
        return 0;
    };
    #[expect(
        unsafe_code,
        reason = "arithmetic on its arguments; 0 says that they are out of range"
    )]
    let most = unsafe { sys::tj3JPEGBufSize(columns, rows, sys::TJSAMP_TJSAMP_420 as c_int) };
    usize::try_from(most).unwrap_or(0)
}

/// Encodes `height * width * 3` bytes, row by row, with halved colours.
///
/// # Errors
/// In words: what libjpeg-turbo says.
pub(super) fn encode(rgb: &[u8], width: u32, height: u32, quality: u8) -> Result<Vec<u8>, String> {
    let side = |side: u32| c_int::try_from(side).map_err(|_| "a side is too long".to_owned());
    let (columns, rows) = (side(width)?, side(height)?);
    if width as usize * height as usize * 3 != rgb.len() || rgb.is_empty() {
        return Err("the pixels do not fill the size".to_owned());
    }
    let compressor = Compressor::new().ok_or("there is no memory for a JPEG encoder")?;
    compressor.set(sys::TJPARAM_TJPARAM_QUALITY, c_int::from(quality))?;
    compressor.set(sys::TJPARAM_TJPARAM_SUBSAMP, sys::TJSAMP_TJSAMP_420 as c_int)?;
    // The buffer below is as long as any JPEG of this size can be, so that none is allocated for us.
    compressor.set(sys::TJPARAM_TJPARAM_NOREALLOC, 1)?;
    let most = most_bytes(width, height);
    if most == 0 {
        return Err("there is no JPEG of this size".to_owned());
    }
    let mut jpeg = vec![0_u8; most];
    let (mut place, mut length) = (jpeg.as_mut_ptr(), most as _);
    #[expect(
        unsafe_code,
        reason = "reads rows x columns pixels of three bytes, which is the length of `rgb`, as was checked; writes at most \
                  `length` bytes to `place`, which is the length of `jpeg`, and may not allocate another place"
    )]
    let status = unsafe {
        sys::tj3Compress8(
            compressor.0.as_ptr(),
            rgb.as_ptr(),
            columns,
            0,
            rows,
            sys::TJPF_TJPF_RGB,
            &raw mut place,
            &raw mut length,
        )
    };
    if status != 0 {
        return Err(compressor.message());
    }
    jpeg.truncate(usize::try_from(length).unwrap_or(most));
    jpeg.shrink_to_fit();
    Ok(jpeg)
}
