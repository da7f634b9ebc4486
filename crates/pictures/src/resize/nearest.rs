//! Pillow's nearest neighbour: steps that are added up, as `ImagingScaleAffine` does, rounding errors and all.

use super::Window;
use crate::picture::Picture;

/// The window of the resized picture.
pub(super) fn resize(picture: &Picture, width: u32, height: u32, window: Window) -> Vec<u8> {
    let columns = sources(picture.width(), width, window.left, window.width);
    let rows = sources(picture.height(), height, window.top, window.height);
    let (stride, grey) = (picture.width() as usize, picture.channels() == 1);
    let samples = picture.samples();
    let pixels = samples.as_chunks::<3>().0;
    let mut out = Vec::with_capacity(rows.len() * columns.len() * 3);
    for row in rows {
        for at in columns.iter().map(|column| row * stride + column) {
            let pixel = if grey { [samples[at]; 3] } else { pixels[at] };
            out.extend_from_slice(&pixel);
        }
    }
    out
}

/// Where each pixel of the window along one axis comes from.
fn sources(source: u32, target: u32, start: u32, length: u32) -> Vec<usize> {
    let end = start.saturating_add(length).min(target);
    let step = f64::from(source) / f64::from(target);
    let mut at = step * 0.5;
    let mut found = Vec::new();
    for index in 0..end {
        if index >= start {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, cut as C does, and clamped to the picture"
            )]
            found.push((at as usize).min(source as usize - 1));
        }
        at += step;
    }
    found
}
