//! SHA-256 over length-prefixed parts, so that no two lists of parts share an input.

use sha2::{Digest, Sha256};

/// Digests a domain and a list of parts without ambiguity: `("a", ["bc"])` and `("ab", ["c"])` differ.
#[derive(Debug, Clone)]
pub struct PartsDigest(Sha256);

impl PartsDigest {
    /// Starts a digest for one purpose. Change the domain when the meaning of the parts changes.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        Self(Sha256::new()).part(domain.as_bytes())
    }

    /// Adds one part, preceded by its length as 64 bits, little endian.
    #[must_use]
    pub fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// All 256 bits as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> String {
        hex::encode(self.0.finalize())
    }

    /// The first 128 bits as 32 lower-case hexadecimal digits: for keys, where length costs in every row.
    /// With 10^9 keys the chance of any collision is below 10^-20.
    #[must_use]
    pub fn short_hex(self) -> String {
        hex::encode(&self.0.finalize()[..16])
    }
}

/// The SHA-256 of some bytes, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_not_confused_with_their_concatenation() {
        let one = PartsDigest::new("t").part(b"a").part(b"bc").hex();
        let other = PartsDigest::new("t").part(b"ab").part(b"c").hex();
        assert_ne!(one, other);
    }

    #[test]
    fn the_digest_of_nothing_is_the_published_one() {
        assert_eq!(
            sha256_hex(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
