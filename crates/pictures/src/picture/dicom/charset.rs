//! The characters of a file's texts: PS3.3 C.12.1.1.2. One set is taken for the whole file; what it does not hold
//! becomes U+FFFD.

use encoding_rs::{
    EUC_KR, Encoding, GB18030, GBK, ISO_2022_JP, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6,
    ISO_8859_7, ISO_8859_8, ISO_8859_15, SHIFT_JIS, UTF_8, WINDOWS_874, WINDOWS_1252, WINDOWS_1254,
};

const ESCAPE: u8 = 0x1B;

/// How a file's texts are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charset(&'static Encoding);

impl Charset {
    /// By the defined terms of the element Specific Character Set. Without one, and for those that are not known, UTF-8,
    /// of which ASCII, the default, is a part.
    pub(super) fn of(terms: Option<&str>) -> Self {
        let found: Vec<&'static Encoding> = terms.unwrap_or_default().split('\\').filter_map(encoding).collect();
        // Its escapes name the other Japanese sets, which stand beside it.
        let japanese = found.iter().find(|found| **found == ISO_2022_JP);
        Self(japanese.or_else(|| found.first()).copied().unwrap_or(UTF_8))
    }

    pub(super) fn decode(self, bytes: &[u8]) -> String {
        let (text, _) = if self.0 == ISO_2022_JP {
            self.0.decode_without_bom_handling(bytes)
        } else {
            // The set that an escape calls for is the one that is read all along.
            let plain = without_escapes(bytes);
            let (text, is_wrong) = self.0.decode_without_bom_handling(&plain);
            (text.into_owned().into(), is_wrong)
        };
        text.into_owned()
    }
}

/// `ISO_IR 100`, `ISO 2022 IR 149`, `GB18030`.
fn encoding(term: &str) -> Option<&'static Encoding> {
    Some(match term.trim().rsplit([' ', '_']).next()? {
        "100" => WINDOWS_1252,
        "101" => ISO_8859_2,
        "109" => ISO_8859_3,
        "110" => ISO_8859_4,
        "144" => ISO_8859_5,
        "127" => ISO_8859_6,
        "126" => ISO_8859_7,
        "138" => ISO_8859_8,
        "148" => WINDOWS_1254,
        "203" => ISO_8859_15,
        "166" => WINDOWS_874,
        "13" => SHIFT_JIS,
        "87" | "159" => ISO_2022_JP,
        "149" => EUC_KR,
        "58" | "GBK" => GBK,
        "GB18030" => GB18030,
        "192" => UTF_8,
        _ => return None,
    })
}

/// Escape sequences of ISO 2022: intermediate bytes, then a final one.
fn without_escapes(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        if byte == ESCAPE {
            let _final = rest.find(|byte| !(0x20..=0x2F).contains(byte));
        } else {
            plain.push(byte);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_standards_annexes_are_read() {
        // PS3.5 H.3.1, I.2 and J.1: the bytes as they are printed there.
        let japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B";
        let set = Charset::of(Some("\\ISO 2022 IR 87"));
        assert_eq!(set.decode(japanese), "Yamada^Tarou=山田^太郎");
        let korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
        let set = Charset::of(Some("\\ISO 2022 IR 149"));
        assert_eq!(set.decode(korean), "Hong^Gildong=洪^吉洞=홍^길동");
        let chinese = "Wang^XiaoDong=王^小東".as_bytes();
        assert_eq!(Charset::of(Some("ISO_IR 192")).decode(chinese), "Wang^XiaoDong=王^小東");
        assert_eq!(
            Charset::of(Some("ISO_IR 100")).decode(b"Buc^J\xe9r\xf4me"),
            "Buc^Jérôme"
        );
    }

    #[test]
    fn bytes_of_no_known_set_are_read_as_far_as_they_can_be() {
        assert_eq!(Charset::of(None).decode(b"AP\xff"), "AP\u{FFFD}");
        assert_eq!(Charset::of(Some("ISO_IR 6")).decode(b"AP"), "AP");
        assert_eq!(Charset::of(Some("ISO 2022 IR 100")).decode(b"\x1b-A\xe9"), "é");
        assert_eq!(Charset::of(Some("ISO_IR 100")).decode(b"a\x1b"), "a");
    }
}
