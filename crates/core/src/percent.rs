//! Percent escapes, as addresses and OpenTelemetry's lists have them.

use percent_encoding::percent_decode_str;

/// A text with its escapes replaced by what they stand for. None where a percent sign is not followed by two hexadecimal
/// digits, which the library would let stand, or where the bytes are no UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let begins_with_digits = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(begins_with_digits) {
        return None;
    }
    String::from_utf8(percent_decode_str(text).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_everything_else_is_left_as_it_is() {
        for (text, decoded) in [
            ("", ""),
            ("a+b c", "a+b c"),
            ("p%40ss%2fword%2F", "p@ss/word/"),
            ("%EC%82%AC", "사"),
            ("사%2541", "사%41"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(decoded), "{text}");
        }
    }

    #[test]
    fn broken_escapes_and_bytes_that_are_no_text_are_refused() {
        for text in ["%", "a%2", "%zz", "%4z", "%+1", "%%41", "%4사", "%ff", "%EC%82"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
