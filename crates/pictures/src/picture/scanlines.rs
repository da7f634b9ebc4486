//! A JPEG's rows, a few at a time: the same pixels as of the picture as a whole, without the memory that it takes.

use super::format::{self, Format};
use super::jpeg::{self, Kinds};
use super::limits::DecodeLimits;
use super::reduction;
use image::metadata::Orientation;
use std::ffi::{c_int, c_long, c_uchar, c_uint};
use std::marker::PhantomData;
use std::ptr::NonNull;
// Links libjpeg-turbo, which the calls below go to.
use turbojpeg_sys as _;

/// `struct sightline_scanlines` of `c/scanlines.c`.
#[repr(C)]
struct Handle {
    _private: [u8; 0],
}

#[expect(unsafe_code, reason = "declarations of the functions in c/scanlines.c")]
unsafe extern "C" {
    fn sightline_scanlines_open(
        bytes: *const c_uchar,
        length: usize,
        max_memory: c_long,
        max_scans: c_int,
        width: *mut c_uint,
        height: *mut c_uint,
        space: *mut c_int,
    ) -> *mut Handle;
    fn sightline_scanlines_start(
        scanlines: *mut Handle,
        channels: c_int,
        denominator: c_uint,
        width: *mut c_uint,
        height: *mut c_uint,
    ) -> c_int;
    fn sightline_scanlines_read(scanlines: *mut Handle, out: *mut c_uchar, stride: usize, rows: c_uint) -> c_int;
    fn sightline_scanlines_finish(scanlines: *mut Handle) -> c_int;
    fn sightline_scanlines_close(scanlines: *mut Handle);
}

/// A file that is being decoded from top to bottom.
pub(crate) struct Scanlines<'a> {
    handle: NonNull<Handle>,
    width: u32,
    height: u32,
    channels: usize,
    /// Rows that were read.
    read: u32,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Scanlines<'a> {
    /// Begins to decode. `target` says of the picture's width and height what it will be resized to, as for
    /// [`super::read_for`]; none is an exact decode.
    ///
    /// `None` where the file has to be decoded as a whole: because it is no JPEG of grey or three colours that lies
    /// upright, is damaged, or beyond a limit. Decoding it so says which.
    pub(crate) fn open(
        bytes: &'a [u8],
        limits: &DecodeLimits,
        target: Option<&dyn Fn(u32, u32) -> (u32, u32)>,
    ) -> Option<Self> {
        if format::sniff(bytes).ok()? != Format::Jpeg {
            return None;
        }
        let survey = jpeg::survey(bytes, Kinds::Files, limits).ok()?;
        if survey.orientation() != Orientation::NoTransforms {
            return None;
        }
        // As for the picture as a whole: whole mebibytes.
        let memory = c_long::try_from((limits.max_alloc_bytes >> 20).max(1) << 20).unwrap_or(c_long::MAX);
        let scans = c_int::try_from(limits.max_jpeg_scans).unwrap_or(c_int::MAX);
        let (mut width, mut height, mut space) = (0, 0, 0);
        #[expect(
            unsafe_code,
            reason = "reads no further than the length of `bytes`, which outlive the handle by its lifetime"
        )]
        let handle = unsafe {
            sightline_scanlines_open(
                bytes.as_ptr(),
                bytes.len(),
                memory,
                scans,
                &raw mut width,
                &raw mut height,
                &raw mut space,
            )
        };
        let channels = usize::try_from(space).unwrap_or(0);
        let mut scanlines = Self {
            handle: NonNull::new(handle)?,
            width,
            height,
            channels,
            read: 0,
            bytes: PhantomData,
        };
        limits.check_size(width, height).ok()?;
        let denominator = target.map_or(1, |target| reduction((width, height), target(width, height)));
        let pixels = u64::from(width.div_ceil(denominator)) * u64::from(height.div_ceil(denominator));
        // The limit of the picture as a whole, so that both ways take the same files.
        limits.check_alloc(survey.bytes(pixels, channels as u64)).ok()?;
        (channels != 0 && scanlines.start(space, denominator)).then_some(scanlines)
    }

    fn start(&mut self, channels: c_int, denominator: u32) -> bool {
        #[expect(
            unsafe_code,
            reason = "the handle lives, and the places for both sides are this value's own"
        )]
        let started = unsafe {
            sightline_scanlines_start(
                self.handle.as_ptr(),
                channels,
                denominator,
                &raw mut self.width,
                &raw mut self.height,
            )
        };
        started != 0
    }

    /// Pixels in a row, as it is decoded.
    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    /// Rows, as they are decoded.
    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    /// Values a pixel: 1 of grey, else 3.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Writes the next rows, as many as fit or are left, and says how many; `None` where the file is damaged.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Option<usize> {
        let stride = self.width as usize * self.channels;
        let rows = (self.height - self.read).min(u32::try_from(out.len() / stride).unwrap_or(u32::MAX));
        #[expect(
            unsafe_code,
            reason = "the handle was started; writes `rows` rows of `stride` bytes, which `out` has room for"
        )]
        let read = unsafe { sightline_scanlines_read(self.handle.as_ptr(), out.as_mut_ptr(), stride, rows) };
        self.read += rows;
        (read != 0).then_some(rows as usize)
    }

    /// Reads what follows the last row; `None` where the file is damaged there.
    pub(crate) fn finish(self) -> Option<()> {
        #[expect(unsafe_code, reason = "the handle was started, and all rows were read")]
        let finished = unsafe { sightline_scanlines_finish(self.handle.as_ptr()) };
        (finished != 0).then_some(())
    }
}

impl Drop for Scanlines<'_> {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the handle lives, and nobody uses it afterwards")]
        unsafe {
            sightline_scanlines_close(self.handle.as_ptr());
        }
    }
}
