//! SentencePiece's table of characters, applied as SentencePiece itself applies it.
//!
//! The table is a little-endian `u32` with the bytes of a double array, the array's `u32` units, and texts that each end
//! with a zero byte. The array (Darts-clone) maps strings to where their text begins.

/// What characters become before they are cut into pieces.
#[derive(Debug, Default)]
pub(super) struct CharsMap {
    units: Vec<u32>,
    texts: Vec<u8>,
}

impl CharsMap {
    /// Reads the table; one of no bytes changes nothing. `None` where it is cut short.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (units, texts) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let (units, odd) = units.as_chunks::<4>();
        let whole = odd.is_empty() && !units.is_empty() && std::str::from_utf8(texts).is_ok();
        whole.then(|| Self {
            units: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            texts: texts.to_vec(),
        })
    }

    /// At each place the longest string of the table is replaced; what none begins with stays.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut changed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = self
                .longest(rest.as_bytes())
                .and_then(|(length, value)| Some((rest.get(length..)?, self.text(value)?)));
            match found {
                Some((after, text)) => {
                    changed.push_str(text);
                    rest = after;
                }
                None => {
                    changed.push(first);
                    rest = rest.get(first.len_utf8()..).unwrap_or_default();
                }
            }
        }
        changed
    }

    /// Length in bytes of the longest string that `key` begins with, and where its text begins.
    fn longest(&self, key: &[u8]) -> Option<(usize, usize)> {
        let mut place = 0;
        place ^= offset(*self.units.first()?);
        let mut found = None;
        for (number, byte) in key.iter().enumerate() {
            place ^= usize::from(*byte);
            let Some(unit) = self.units.get(place) else { break };
            if *byte == 0 || unit & (1 << 31 | 0xFF) != u32::from(*byte) {
                break;
            }
            place ^= offset(*unit);
            if unit >> 8 & 1 == 1 {
                let leaf = self.units.get(place)?;
                found = Some((number + 1, (leaf & 0x7FFF_FFFF) as usize));
            }
        }
        found
    }

    fn text(&self, begin: usize) -> Option<&str> {
        let rest = self.texts.get(begin..)?;
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        std::str::from_utf8(rest.get(..end)?).ok()
    }
}

/// Where a unit's children are, relative to it.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_damaged_table_is_refused_or_applied_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            units in 0_u32..8,
            text in ".{0,20}",
        ) {
            let whole = [&(units * 4).to_le_bytes(), bytes.as_slice()].concat();
            for bytes in [&whole, &bytes] {
                if let Some(table) = CharsMap::read(bytes) {
                    table.apply(&text);
                }
            }
        }
    }

    #[test]
    fn a_table_of_no_bytes_changes_nothing() {
        assert_eq!(CharsMap::read(&[]).unwrap().apply("A ﬁ\u{301} 🙂"), "A ﬁ\u{301} 🙂");
        assert!(CharsMap::read(&[8, 0, 0, 0, 1, 2, 3, 4]).is_none());
    }
}
