//! Whether a picture that was decoded at a part of its size will do for something else.

use super::{Content, reduction};

/// The last of EXIF's numbers of orientations that leaves rows rows.
const LAST_UNTURNED: u8 = 4;

/// Whether a picture that was decoded for one target has fewer pixels than [`super::read_for`] would have decoded for this one.
pub(crate) fn is_too_small_for(content: &Content, target: &dyn Fn(u32, u32) -> (u32, u32)) -> bool {
    let Content { facts, picture, .. } = content;
    let (width, height) = if facts.orientation > LAST_UNTURNED {
        (facts.height, facts.width)
    } else {
        (facts.width, facts.height)
    };
    let by = reduction((width, height), target(width, height));
    picture.width() < width.div_ceil(by) || picture.height() < height.div_ceil(by)
}
