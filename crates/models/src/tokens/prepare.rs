//! What is done to a text before the tokenizer sees it.

use super::build::SPACE;
use super::charsmap::CharsMap;

#[derive(Debug)]
pub(super) enum Prepare {
    Nothing,
    Lowercase,
    /// As SigLIP was trained, and as SentencePiece does after that: `SiglipTokenizer.canonicalize_text`.
    Siglip {
        lowercase: bool,
        table: CharsMap,
        collapse_spaces: bool,
    },
}

impl Prepare {
    pub(super) fn apply(&self, text: String) -> String {
        match self {
            Self::Nothing => text,
            Self::Lowercase => text.to_lowercase(),
            Self::Siglip {
                lowercase,
                table,
                collapse_spaces,
            } => {
                let mut text = text.replace(SPACE, " ");
                if *lowercase {
                    text = text.to_lowercase();
                }
                text.retain(|letter| !letter.is_ascii_punctuation());
                let text = table.apply(&words(&text, is_space));
                if *collapse_spaces {
                    words(&text, |letter| letter == ' ')
                } else {
                    text
                }
            }
        }
    }
}

/// Words with one space between them.
fn words(text: &str, space: impl Fn(char) -> bool) -> String {
    let words: Vec<&str> = text.split(space).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// What Python's `\s` matches.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siglips_texts_lose_punctuation_and_spaces_beyond_one() {
        let prepare = Prepare::Siglip {
            lowercase: true,
            table: CharsMap::default(),
            collapse_spaces: true,
        };
        let prepared = |text: &str| prepare.apply(text.to_owned());
        assert_eq!(prepared(" A  \tCat's\u{1f}photo▁(PA)!! "), "a cats photo pa");
        assert_eq!(prepared("?!"), "");
        assert_eq!(prepared("ΟΔΟΣ"), "οδος");
    }
}
