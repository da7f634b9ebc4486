//! Resizing a picture whose rows come a few at a time, so that it is never there as a whole.

use super::axis::Axis;
use super::narrowing::Narrowing;
use super::{Kernel, Window, rows_first, shown, vertical};
use sightline_model_folder::Resample;

/// Bytes of the rows that are narrowed together: they stay in a core's own cache.
const STRIP_BYTES: usize = 192 << 10;
/// Most rows of them.
const STRIP_ROWS: usize = 256;
/// A strip is a multiple of as many rows as kernels take together.
const GROUP: usize = 4;
/// Behind a strip, so that kernels may read beyond its last row.
const SLACK: usize = 32;

/// A resize in progress.
pub(crate) struct Strips {
    kernel: Kernel,
    columns: Narrowing,
    rows: Axis,
    channels: usize,
    /// Bytes of a row of the picture.
    stride: usize,
    /// First row that is needed, and the one behind the last.
    needed: (usize, usize),
    /// The picture's row that comes next.
    next: usize,
    strip: Vec<u8>,
    /// The rows that are needed, narrowed.
    narrowed: Vec<u8>,
}

impl Strips {
    /// For a picture of `from` width and height, of `channels` values a pixel, that becomes `window` of one of `to`. `None`
    /// where its rows do not become shorter one by one.
    pub(crate) fn new(
        from: (u32, u32),
        channels: usize,
        to: (u32, u32),
        filter: Resample,
        window: Window,
    ) -> Option<Self> {
        if filter == Resample::Nearest || from.0 <= to.0 || rows_first(from, to) {
            return None;
        }
        let kernel = Kernel::detect();
        let columns = Axis::new(from.0, to.0, window.left, window.width, filter);
        let rows = Axis::new(from.1, to.1, window.top, window.height, filter);
        if columns.len() == 0 || rows.len() == 0 {
            return None;
        }
        let columns = Narrowing::new(kernel, columns, channels);
        let stride = from.0 as usize * channels;
        let needed = rows.needs();
        let rows_of_strip = (STRIP_BYTES / stride / GROUP * GROUP).clamp(GROUP, STRIP_ROWS);
        Some(Self {
            kernel,
            narrowed: vec![0; (needed.1 - needed.0) * columns.line()],
            columns,
            rows,
            channels,
            stride,
            needed,
            next: 0,
            strip: vec![0; rows_of_strip * stride + SLACK],
        })
    }

    /// Where the next rows go: a whole number of them.
    pub(crate) fn place(&mut self) -> &mut [u8] {
        let rows = self.strip.len() - SLACK;
        &mut self.strip[..rows]
    }

    /// So many rows were written there.
    pub(crate) fn take(&mut self, rows: usize) {
        let first = self.next.max(self.needed.0);
        let end = (self.next + rows).min(self.needed.1);
        if first < end {
            let source = &self.strip[(first - self.next) * self.stride..];
            let out = &mut self.narrowed[(first - self.needed.0) * self.columns.line()..];
            self.columns.narrow(source, self.stride, end - first, out);
        }
        self.next += rows;
    }

    /// The window: `window.height * window.width * 3` bytes, as [`super::resize`] gives it.
    pub(crate) fn finish(self) -> Vec<u8> {
        let line = self.columns.line();
        let made = vertical(self.kernel, self.narrowed.into(), line, &self.rows, self.needed.0);
        shown(made.into_owned(), self.channels)
    }
}
