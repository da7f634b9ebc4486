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

    /// Whether every place that any text can lead to is inside the table. The `spm_precompiled` crate, which the
    /// `tokenizers` crate applies tables with, takes that for granted, and panics.
    pub(super) fn is_closed(&self) -> bool {
        let Some(first) = self.units.first() else {
            // A table of no bytes is never applied.
            return self.texts.is_empty();
        };
        let mut seen = vec![false; self.units.len()];
        let mut bases = vec![offset(*first)];
        while let Some(base) = bases.pop() {
            // Whatever byte comes next, its unit is looked at.
            if base | 0xFF >= self.units.len() {
                return false;
            }
            match seen.get_mut(base) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            for byte in 1..=u8::MAX {
                let place = base ^ usize::from(byte);
                let Some(unit) = self.units.get(place) else {
                    return false;
                };
                if unit & (1 << 31 | 0xFF) != u32::from(byte) {
                    continue;
                }
                let next = place ^ offset(*unit);
                if unit >> 8 & 1 == 1 && !self.is_leaf(next) {
                    return false;
                }
                bases.push(next);
            }
        }
        true
    }

    /// Whether a unit says where a text begins.
    fn is_leaf(&self, place: usize) -> bool {
        let Some(unit) = self.units.get(place) else {
            return false;
        };
        let begin = (unit & 0x7FFF_FFFF) as usize;
        // Texts are UTF-8 as a whole, so one that begins at a character is UTF-8.
        match self.texts.get(begin) {
            Some(byte) => byte & 0xC0 != 0x80,
            None => begin == self.texts.len(),
        }
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
                    if table.is_closed() && !bytes.is_empty() {
                        // Whatever is let through does not panic there either.
                        tokenizers::normalizers::Precompiled::from(bytes).unwrap().normalize_string(&text);
                    }
                }
            }
        }
    }

    /// A table that changes "a" to the text at `text`, over three blocks of units, with its children in the block `block`.
    fn table(block: u32, text: u32) -> Vec<u8> {
        let mut units = vec![0_u32; 768];
        // The first unit's children are in the second block.
        units[0] = 256 << 10;
        let place = 256 ^ u32::from(b'a');
        // Its own children: the unit without a letter says where the text begins.
        units[place as usize] = ((block * 256) ^ place) << 10 | 1 << 8 | u32::from(b'a');
        if let Some(leaf) = units.get_mut(block as usize * 256) {
            *leaf = 1 << 31 | text;
        }
        let units: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        [&3072_u32.to_le_bytes(), units.as_slice(), "é\0x\0".as_bytes()].concat()
    }

    #[test]
    fn a_table_that_leads_out_of_itself_is_told_from_one_that_does_not() {
        let closed = |bytes: &[u8]| CharsMap::read(bytes).unwrap().is_closed();
        assert!(closed(&[]));
        assert!(closed(&table(2, 0)));
        assert_eq!(CharsMap::read(&table(2, 3)).unwrap().apply("ab"), "xb");
        assert!(!closed(&table(3, 0)), "children behind the last unit");
        assert!(!closed(&table(2, 99)), "a text behind the last one");
        assert!(!closed(&table(2, 1)), "a text in the middle of a character");
        // The crate does panic there, and not at the first.
        let apply = |bytes: Vec<u8>| {
            let table = tokenizers::normalizers::Precompiled::from(&bytes).unwrap();
            std::panic::catch_unwind(move || table.normalize_string("ab")).is_err()
        };
        assert_eq!([table(2, 3), table(3, 0), table(2, 99)].map(apply), [false, true, true]);
    }

    #[test]
    fn the_table_of_a_real_model_is_closed() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/tokenizers/sentencepiece.bpe.model"
        );
        let file = super::super::sentencepiece::SentencePiece::read(&std::fs::read(path).unwrap()).unwrap();
        assert!(!file.charsmap.is_empty());
        assert!(CharsMap::read(&file.charsmap).unwrap().is_closed());
    }

    #[test]
    fn a_table_of_no_bytes_changes_nothing() {
        assert_eq!(CharsMap::read(&[]).unwrap().apply("A ﬁ\u{301} 🙂"), "A ﬁ\u{301} 🙂");
        assert!(CharsMap::read(&[8, 0, 0, 0, 1, 2, 3, 4]).is_none());
    }
}
