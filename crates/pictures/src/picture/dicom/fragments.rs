//! Which fragments of a file a compressed frame lies in.

use super::corrupt;
use super::data_set::DataSet;
use crate::picture::error::DecodeError;
use std::borrow::Cow;

/// Where each frame begins, in eight bytes: for files whose own table of four bytes is empty.
const EXTENDED_OFFSETS: u32 = 0x7FE0_0001;

/// A frame as it is compressed: a part of the file, or a copy where it lies in several fragments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compressed<'a>(Cow<'a, [u8]>);

impl<'a> Compressed<'a> {
    /// One of `frames` frames, by its number from 0; the first of `fragments` is the table of offsets.
    pub(super) fn read(
        file: &DataSet<'a>,
        fragments: &[&'a [u8]],
        frames: u32,
        number: u32,
    ) -> Result<Self, DecodeError> {
        let extended = file.bytes(EXTENDED_OFFSETS).unwrap_or_default();
        let found = joined(fragments, extended, frames, number).map(Self);
        found.ok_or_else(|| corrupt(format!("it does not say where frame {} lies", number + 1)))
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.0
    }

    /// Bytes that are allocated for it.
    pub(super) fn bytes(&self) -> u64 {
        match &self.0 {
            Cow::Owned(copy) => copy.len() as u64,
            Cow::Borrowed(_) => 0,
        }
    }
}

/// The fragments of a frame, joined: all, one, or as many as the offset table says. One alone is no copy.
fn joined<'a>(fragments: &[&'a [u8]], extended: &[u8], frames: u32, number: u32) -> Option<Cow<'a, [u8]>> {
    let (basic, fragments) = fragments.split_first()?;
    let number = usize::try_from(number).ok()?;
    let offset = |number: usize| match basic.as_chunks::<4>().0 {
        [] => Some(u64::from_le_bytes(*extended.as_chunks::<8>().0.get(number)?)),
        offsets => Some(u64::from(u32::from_le_bytes(*offsets.get(number)?))),
    };
    let mut range = 0..u64::MAX;
    if frames > 1 {
        let is_one_each = u32::try_from(fragments.len()) == Ok(frames);
        match (offset(number), offset(number + 1)) {
            (Some(start), Some(end)) => range = start..end,
            (Some(start), None) if number > 0 => range.start = start,
            _ if is_one_each || number == 0 => return fragments.get(number).map(|one| Cow::Borrowed(*one)),
            _ => return None,
        }
    }
    let mut within = Vec::new();
    let mut at = 0;
    for fragment in fragments {
        if range.contains(&at) {
            within.push(*fragment);
        }
        at += fragment.len() as u64 + 8;
    }
    if let [only] = within[..] {
        return Some(Cow::Borrowed(only));
    }
    let joined = within.concat();
    (!joined.is_empty()).then_some(Cow::Owned(joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table says that the first of two frames begins at 0 and the second one at 10, behind a fragment of two bytes.
    const FRAGMENTS: [&[u8]; 4] = [&[0, 0, 0, 0, 10, 0, 0, 0], &[1, 2], &[3, 4, 5], &[6]];

    #[test]
    fn a_frame_in_one_fragment_is_a_part_of_the_file_and_one_in_several_a_copy_that_counts() {
        let frame = |number| Compressed(joined(&FRAGMENTS, &[], 2, number).unwrap());
        assert!(matches!(frame(0).0, Cow::Borrowed([1, 2])));
        assert_eq!(frame(0).bytes(), 0);
        assert_eq!(frame(1).data(), [3, 4, 5, 6]);
        assert_eq!(frame(1).bytes(), 4);
    }

    #[test]
    fn a_file_of_one_frame_has_it_in_all_its_fragments() {
        let frame = |fragments: &[&'static [u8]]| joined(fragments, &[], 1, 0);
        assert!(matches!(frame(&[&[], &[1, 2]]), Some(Cow::Borrowed([1, 2]))));
        assert_eq!(frame(&[&[], &[1, 2], &[3]]).as_deref(), Some([1, 2, 3].as_slice()));
        assert_eq!(frame(&[&[]]), None);
    }
}
