//! How exactly pictures are decoded: a part of what decides where their vectors lie.

use crate::folder::ModelFolder;
use sightline_core::VectorField;
use std::fmt;
use std::str::FromStr;

/// How pictures are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decode {
    /// Every pixel, as Pillow does.
    #[default]
    Exact,
    /// JPEGs that are much larger than what the model is shown are decoded at a half, a quarter or an eighth of their size.
    /// Another space: its vectors are close to the exact ones, and not the same.
    Fast,
}

impl Decode {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
        }
    }
}

impl fmt::Display for Decode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Decode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Self::Exact),
            "fast" => Ok(Self::Fast),
            other => Err(format!("{other:?} is no way of decoding: use exact or fast")),
        }
    }
}

impl ModelFolder {
    /// The model as it is where pictures are decoded so. The space of pictures is another one for each way; texts have the
    /// space that they had.
    #[must_use]
    pub fn decoding(mut self, decode: Decode) -> Self {
        if let Some(space) = self.spaces.get_mut(&VectorField::Image) {
            decode.as_str().clone_into(&mut space.decode);
        }
        self
    }

    /// How pictures are decoded.
    #[must_use]
    pub fn decode(&self) -> Decode {
        let space = self.spaces.get(&VectorField::Image);
        space.and_then(|space| space.decode.parse().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DigestCache;
    use crate::test_folder::TestFolder;

    #[test]
    fn fast_decoding_is_another_space_of_pictures_and_the_same_of_texts() {
        let folder = TestFolder::pair();
        let exact = ModelFolder::open(folder.path(), &DigestCache::new()).unwrap();
        assert_eq!(exact.decode(), Decode::Exact);
        let fast = exact.clone().decoding(Decode::Fast);
        assert_eq!(fast.decode(), Decode::Fast);
        let same = |field| exact.spaces[&field].fingerprint() == fast.spaces[&field].fingerprint();
        assert!(!same(VectorField::Image));
        assert!(same(VectorField::Text));
        assert_eq!(fast.decoding(Decode::Exact), exact);
    }

    #[test]
    fn words_are_read_as_they_are_written_and_others_are_refused() {
        for decode in [Decode::Exact, Decode::Fast] {
            assert_eq!(decode.to_string().parse(), Ok(decode));
        }
        assert!("quick".parse::<Decode>().unwrap_err().contains("exact or fast"));
    }
}
