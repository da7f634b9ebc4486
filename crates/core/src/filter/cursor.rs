//! A position in a filter's text: words, quoted strings and symbols.

use super::error::FilterError;

/// Longest excerpt of a filter in an error, in characters.
const EXCERPT_CHARS: usize = 40;

/// Characters that end a word.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"' | '\'' | '=' | '!' | '<' | '>' | ':' | ',' | '*')
}

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    pub(super) fn skip_space(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// Takes a symbol if it stands here.
    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.position += symbol.len();
        }
        found
    }

    /// Takes a keyword if it stands here as a word of its own.
    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek_word(ends_word) == keyword;
        if found {
            self.position += keyword.len();
        }
        found
    }

    fn peek_word(&self, ends: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        &rest[..rest.find(ends).unwrap_or(rest.len())]
    }

    /// Takes a word, which may be empty.
    pub(super) fn word(&mut self) -> &'a str {
        let word = self.peek_word(ends_word);
        self.position += word.len();
        word
    }

    /// Takes a part of a field's name, which may be empty: a word that a dot ends.
    pub(super) fn name_part(&mut self) -> &'a str {
        let part = self.peek_word(|c| c == '.' || ends_word(c));
        self.position += part.len();
        part
    }

    /// Takes a quoted string if one begins here.
    pub(super) fn quoted(&mut self) -> Result<Option<String>, FilterError> {
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Ok(None);
        };
        let mut value = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            let here = self.position + offset;
            if c == quote {
                self.position = here + c.len_utf8();
                return Ok(Some(value));
            }
            if c != '\\' {
                value.push(c);
                continue;
            }
            value.push(match chars.next().map(|(_, escaped)| escaped) {
                Some(escaped @ ('"' | '\'' | '\\')) => escaped,
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                _ => {
                    return Err(self.error_at(here, r#"one of the escapes \" \' \\ \n \r \t"#));
                }
            });
        }
        Err(FilterError {
            position: self.text.len(),
            found: "the end of the filter".into(),
            expected: format!("{quote} at the end of the text that begins at byte {}", self.position),
        })
    }

    /// The error that something else was expected here.
    pub(super) fn error(&self, expected: impl Into<String>) -> FilterError {
        self.error_at(self.position, expected)
    }

    /// The error that something else was expected there.
    pub(super) fn error_at(&self, position: usize, expected: impl Into<String>) -> FilterError {
        let rest = &self.text[position..];
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| ends_word(*c))
            .map_or(rest.len(), |(end, _)| end);
        let found = match rest[..end].chars().take(EXCERPT_CHARS).collect::<String>() {
            excerpt if excerpt.is_empty() => "the end of the filter".into(),
            excerpt => format!("`{}`", shown(&excerpt)),
        };
        FilterError {
            position,
            found,
            expected: expected.into(),
        }
    }
}

/// A text as it was written, but for what would not show.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}
