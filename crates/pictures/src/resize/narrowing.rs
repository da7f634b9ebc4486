//! The horizontal pass: what it needs is made once for all rows of a picture, however many come at a time.

use super::Kernel;
use super::axis::Axis;
use super::scalar;
use std::borrow::Cow;

/// Rows become as short as an axis.
pub(super) struct Narrowing {
    columns: Axis,
    /// Values a pixel: 3, or 1 of grey.
    channels: usize,
    #[cfg(target_arch = "x86_64")]
    steps: Option<super::avx2::Steps>,
}

impl Narrowing {
    pub(super) fn new(kernel: Kernel, columns: Axis, channels: usize) -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            steps: (kernel == Kernel::Avx2).then(|| super::avx2::Steps::new(&columns, channels)),
            columns,
            channels,
        }
    }

    /// Bytes of a row of the result.
    pub(super) fn line(&self) -> usize {
        self.columns.len() * self.channels
    }

    /// Whole rows of `stride` bytes, narrowed; as they are where nothing changes.
    pub(super) fn narrowed<'a>(&self, source: Cow<'a, [u8]>, stride: usize) -> Cow<'a, [u8]> {
        if self.columns.is_identity() {
            return source;
        }
        let rows = source.len() / stride;
        let mut out = vec![0; rows * self.line()];
        self.narrow(&source, stride, rows, &mut out);
        out.into()
    }

    /// Narrows the first `rows` rows of `stride` bytes. What lies behind them is read and changes nothing; where as many
    /// as [`super::avx2::LOAD`] bytes do, all rows are as fast as the kernel is.
    pub(super) fn narrow(&self, source: &[u8], stride: usize, rows: usize, out: &mut [u8]) {
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if let Some(steps) = &self.steps
            && is_x86_feature_detected!("avx2")
        {
            #[expect(unsafe_code, reason = "the processor has AVX2, as was just asked")]
            unsafe {
                done = super::avx2::horizontal(steps, source, stride, rows, out);
            }
        }
        let (source, out) = (&source[done * stride..rows * stride], &mut out[done * self.line()..]);
        if self.channels == 1 {
            scalar::horizontal::<1>(source, stride, &self.columns, out);
        } else {
            scalar::horizontal::<3>(source, stride, &self.columns, out);
        }
    }
}
