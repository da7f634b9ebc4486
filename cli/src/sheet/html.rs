//! Small parts of HTML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Text as it may stand in an element or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Not allowed in HTML, and of no use to a reader.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A picture as an address that holds it; none where browsers do not show its format.
pub(super) fn data_uri(picture: &[u8]) -> Option<String> {
    let format = match picture {
        [0xff, 0xd8, 0xff, ..] => "jpeg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        [b'B', b'M', ..] => "bmp",
        _ => return None,
    };
    Some(format!("data:image/{format};base64,{}", STANDARD.encode(picture)))
}

/// The share of a bar that a cosine fills, in percent. Below 0 nothing is alike.
pub(super) fn percent(cosine: f64) -> String {
    format!("{:.1}%", cosine.clamp(0.0, 1.0) * 100.0)
}

/// A number as attributes of SVG hold it; none where it is no number.
pub(super) fn coordinate(value: f64) -> Option<String> {
    value.is_finite().then(|| {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    })
}
