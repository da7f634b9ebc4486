//! What a tile is cut into: resolutions, precincts, code-blocks, by the segment COD, ISO 15444-1 annexes A.6.1 and B.6.

use super::Tiles;

/// Levels of resolutions of which the decoder refuses more.
const MAX_LEVELS: u8 = 32;

/// What a component has in one tile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// Code-blocks, or precincts of bands where these are more.
    pub(super) blocks: u64,
    /// Precincts of the resolution that has most.
    pub(super) precincts: u64,
    pub(super) resolutions: u64,
}

impl Parts {
    /// At most, by a segment COD. Each resolution but the lowest comes in three bands of half its sides, in which precincts are
    /// half as wide and half as high, too, and blocks lie within precincts.
    pub(super) fn of(segment: &[u8], tiles: &Tiles) -> Option<Self> {
        let &[style, _, _, _, _, levels, wide, high, _, _, ref sizes @ ..] = segment else {
            return None;
        };
        let levels = levels.min(MAX_LEVELS);
        let straddled = u64::from(!tiles.aligned);
        let along = |length: u64, exponent: u8| length.div_ceil(1 << exponent) + straddled;
        let mut found = Self {
            resolutions: u64::from(levels) + 1,
            ..Self::default()
        };
        for level in 0..=levels {
            // As large as can be where the segment does not say it.
            let size = match sizes.get(usize::from(level)) {
                Some(size) if style & 1 == 1 => *size,
                _ => 0xFF,
            };
            let (wide_precinct, high_precinct) = (size & 15, size >> 4);
            let shrunk = |length: u64| length.div_ceil(1 << (levels - level));
            let (width, height) = (shrunk(tiles.size.0), shrunk(tiles.size.1));
            let precincts = along(width, wide_precinct) * along(height, high_precinct);
            let (bands, halved) = if level == 0 { (1_u64, 0_u8) } else { (3, 1) };
            let blocks_along = |length: u64, precinct: u8, block: u8| {
                let exponent = ((block & 15) + 2).min(precinct.saturating_sub(halved));
                along(length.div_ceil(1 << halved), exponent)
            };
            let blocks = blocks_along(width, wide_precinct, wide) * blocks_along(height, high_precinct, high);
            found.blocks += bands * blocks.max(precincts);
            found.precincts = found.precincts.max(precincts);
        }
        Some(found)
    }

    /// The larger of each.
    pub(super) fn or_more(self, other: Self) -> Self {
        Self {
            blocks: self.blocks.max(other.blocks),
            precincts: self.precincts.max(other.precincts),
            resolutions: self.resolutions.max(other.resolutions),
        }
    }
}

/// The smallest code-block or precinct that a segment COD speaks of.
pub(super) fn smallest(segment: &[u8]) -> Option<u64> {
    let &[style, _, _, _, _, _, wide, high, _, _, ref precincts @ ..] = segment else {
        return None;
    };
    let block = 1_u64 << (u32::from(wide & 15) + u32::from(high & 15) + 4).min(63);
    if style & 1 == 0 {
        return Some(block);
    }
    // The lowest resolutions are small pictures: their precincts count by the share of samples in them.
    let levels = precincts.len();
    let areas = precincts.iter().enumerate().map(|(level, exponents)| {
        let share = 2 * (levels - 1 - level).min(15);
        1_u64 << (usize::from(exponents & 15) + usize::from(exponents >> 4) + share)
    });
    areas.chain([block]).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of blocks of 64 x 64 samples. `sizes` are those of precincts; none are the largest.
    fn parts(levels: u8, sizes: &[u8], size: (u64, u64), aligned: bool) -> Parts {
        let style = u8::from(!sizes.is_empty());
        let segment = [&[style, 0, 0, 1, 0, levels, 4, 4, 0, 1], sizes].concat();
        let tiles = Tiles {
            count: 1,
            size,
            aligned,
        };
        Parts::of(&segment, &tiles).unwrap()
    }

    #[test]
    fn each_band_of_a_resolution_has_blocks_of_its_own() {
        let small = parts(5, &[], (40, 34), true);
        assert_eq!((small.blocks, small.precincts, small.resolutions), (16, 1, 6));
        // 16 x 16 blocks would cover it; those of three bands in each of two resolutions, and of the rest, are as many.
        let large = parts(2, &[], (1024, 1024), true);
        assert_eq!(large.blocks, 3 * 8 * 8 + 3 * 4 * 4 + 4 * 4);
    }

    #[test]
    fn a_precinct_of_two_samples_a_side_is_a_block_in_each_of_three_bands() {
        let tiny = parts(1, &[0xFF, 0x11], (40, 34), true);
        assert_eq!((tiny.blocks, tiny.precincts), (3 * 20 * 17 + 1, 20 * 17));
    }

    #[test]
    fn precincts_that_are_narrow_and_high_count_by_the_width_alone() {
        let thin = parts(0, &[0xF1], (65_535, 1), true);
        assert_eq!((thin.blocks, thin.precincts), (32_768, 32_768));
    }

    #[test]
    fn a_tile_that_begins_anywhere_may_lie_across_a_column_and_a_row_more() {
        let astray = parts(0, &[], (64, 64), false);
        assert_eq!((astray.blocks, astray.precincts), (4, 4));
    }

    #[test]
    fn levels_beyond_those_that_are_decoded_are_not_counted() {
        assert_eq!(parts(255, &[], (64, 64), true).resolutions, 33);
        assert_eq!(
            Parts::of(
                &[0; 9],
                &Tiles {
                    count: 1,
                    size: (1, 1),
                    aligned: true
                }
            ),
            None
        );
    }
}
