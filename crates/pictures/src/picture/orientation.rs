//! Turning a picture upright.

use crate::picture::{Picture, Samples};
use image::metadata::Orientation;

/// A packet of XMP longer than this is none.
pub(super) const MAX_XMP_BYTES: usize = 1 << 20;

/// The orientation that an EXIF block names; where it names none, that of the XMP; else upright. So Pillow has it.
pub(super) fn of(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    // Some WebP and PNG writers keep the prefix that the block has in a JPEG.
    let block = exif.map(|block| block.strip_prefix(b"Exif\0\0").unwrap_or(block));
    let named = block.and_then(Orientation::from_exif_chunk);
    named.or_else(|| from_xmp(xmp?)).unwrap_or(Orientation::NoTransforms)
}

/// What Pillow's pattern `tiff:Orientation(="|>)([0-9])` finds first, an attribute or an element.
fn from_xmp(packet: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let named = |at: usize| {
        let rest = packet.get(at..)?.strip_prefix(NAME)?;
        let value = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b">"))?;
        value.first().filter(|digit| digit.is_ascii_digit())
    };
    let digit = (0..packet.len().min(MAX_XMP_BYTES)).find_map(named)?;
    Orientation::from_exif(digit - b'0')
}

/// Turns a picture's samples upright; `None` where they do not fill its size.
pub(super) fn apply(orientation: Orientation, width: u32, height: u32, samples: Samples) -> Option<Picture> {
    let picture = Picture::of(width, height, samples)?;
    Some(if picture.channels == 1 {
        upright::<1>(orientation, picture)
    } else {
        upright::<3>(orientation, picture)
    })
}

/// `N` is the number of values a pixel.
fn upright<const N: usize>(orientation: Orientation, mut picture: Picture) -> Picture {
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::FlipHorizontal => flip_rows::<N>(&mut picture),
        Orientation::FlipVertical => {
            flip_rows::<N>(&mut picture);
            reverse::<N>(&mut picture);
        }
        Orientation::Rotate180 => reverse::<N>(&mut picture),
        Orientation::Rotate90FlipH => picture = transpose::<N>(&picture),
        Orientation::Rotate90 => {
            picture = transpose::<N>(&picture);
            flip_rows::<N>(&mut picture);
        }
        Orientation::Rotate270 => {
            flip_rows::<N>(&mut picture);
            picture = transpose::<N>(&picture);
        }
        Orientation::Rotate270FlipH => {
            reverse::<N>(&mut picture);
            picture = transpose::<N>(&picture);
        }
    }
    picture
}

/// Whether a second copy of the pixels is needed to turn them.
pub(super) fn needs_copy(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

fn flip_rows<const N: usize>(picture: &mut Picture) {
    for row in picture.samples.chunks_exact_mut(picture.width as usize * N) {
        row.as_chunks_mut::<N>().0.reverse();
    }
}

fn reverse<const N: usize>(picture: &mut Picture) {
    picture.samples.as_chunks_mut::<N>().0.reverse();
}

/// Edge of the squares that are turned one after the other, so that both sides of a square stay in the cache.
const SQUARE: usize = 64;

/// Rows become columns.
fn transpose<const N: usize>(picture: &Picture) -> Picture {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = picture.samples.as_chunks::<N>().0;
    let mut samples = vec![0; picture.samples.len()];
    let turned = samples.as_chunks_mut::<N>().0;
    for top in (0..height).step_by(SQUARE) {
        for left in (0..width).step_by(SQUARE) {
            for x in left..width.min(left + SQUARE) {
                for y in top..height.min(top + SQUARE) {
                    turned[x * height + y] = pixels[y * width + x];
                }
            }
        }
    }
    Picture {
        width: picture.height,
        height: picture.width,
        channels: N,
        samples,
    }
}
