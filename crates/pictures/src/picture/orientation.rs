//! Turning a picture upright.

use crate::picture::Picture;
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

/// Turns `height * width * 3` bytes upright; `None` where there are more or fewer of them.
pub(super) fn apply(orientation: Orientation, width: u32, height: u32, rgb: Vec<u8>) -> Option<Picture> {
    let mut picture = Picture::new(width, height, rgb)?;
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::FlipHorizontal => flip_rows(&mut picture),
        Orientation::FlipVertical => {
            flip_rows(&mut picture);
            reverse(&mut picture);
        }
        Orientation::Rotate180 => reverse(&mut picture),
        Orientation::Rotate90FlipH => picture = transpose(&picture),
        Orientation::Rotate90 => {
            picture = transpose(&picture);
            flip_rows(&mut picture);
        }
        Orientation::Rotate270 => {
            flip_rows(&mut picture);
            picture = transpose(&picture);
        }
        Orientation::Rotate270FlipH => {
            reverse(&mut picture);
            picture = transpose(&picture);
        }
    }
    Some(picture)
}

/// Whether a second copy of the pixels is needed to turn them.
pub(super) fn needs_copy(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

fn flip_rows(picture: &mut Picture) {
    for row in picture.rgb.chunks_exact_mut(picture.width as usize * 3) {
        row.as_chunks_mut::<3>().0.reverse();
    }
}

fn reverse(picture: &mut Picture) {
    picture.rgb.as_chunks_mut::<3>().0.reverse();
}

/// Edge of the squares that are turned one after the other, so that both sides of a square stay in the cache.
const SQUARE: usize = 64;

/// Rows become columns.
fn transpose(picture: &Picture) -> Picture {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = picture.rgb.as_chunks::<3>().0;
    let mut rgb = vec![0; picture.rgb.len()];
    let turned = rgb.as_chunks_mut::<3>().0;
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
        rgb,
    }
}
