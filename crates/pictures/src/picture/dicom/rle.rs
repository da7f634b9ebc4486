//! RLE Lossless, PS3.5 annex G: a segment a byte plane, the high byte first, each by PackBits.

/// Decodes a frame of `pixels` pixels into little-endian samples of `width` bytes, interleaved. Nothing where the data
/// does not hold as much.
pub(super) fn decode(fragment: &[u8], pixels: usize, samples: usize, width: usize) -> Option<Vec<u8>> {
    let offset = |number: usize| {
        let four = *fragment.get(4 * number..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(four)).ok()
    };
    let planes = samples * width;
    if offset(0)? != planes || planes > 15 {
        return None;
    }
    let mut frame = vec![0; pixels * planes];
    for plane in 0..planes {
        let end = if plane + 1 < planes {
            offset(plane + 2)?
        } else {
            fragment.len()
        };
        let (sample, byte) = (plane / width, width - 1 - plane % width);
        let places = frame.iter_mut().skip(sample * width + byte).step_by(planes);
        unpack(fragment.get(offset(plane + 1)?..end)?, places)?;
    }
    Some(frame)
}

/// PackBits; `None` where the segment ends before every place has its byte.
fn unpack<'a>(mut segment: &[u8], mut places: impl ExactSizeIterator<Item = &'a mut u8>) -> Option<()> {
    while places.len() > 0 {
        let (&code, rest) = segment.split_first()?;
        segment = rest;
        match code {
            0..=127 => {
                let (literal, rest) = segment.split_at_checked(usize::from(code) + 1)?;
                segment = rest;
                // The last run may reach beyond a row's padding.
                for (byte, place) in literal.iter().zip(places.by_ref().take(literal.len())) {
                    *place = *byte;
                }
            }
            128 => {}
            129..=255 => {
                let (&byte, rest) = segment.split_first()?;
                segment = rest;
                for place in places.by_ref().take(257 - usize::from(code)) {
                    *place = byte;
                }
            }
        }
    }
    Some(())
}
