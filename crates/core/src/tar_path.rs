//! How a row names a picture that lies within a tar: `ROOT/SHARD.tar#bytes=FIRST-LAST/PATH/IN/THE/TAR.jpg`. The bytes are
//! those of the picture, the first and the last, as a `Range` header has them: whoever reads them has the picture, and
//! the tar's headers need not be searched.

use crate::item::TarMember;
use std::ops::Range;

const BYTES: &str = "#bytes=";

/// Writes where a picture lies. `tar` is the tar's URL.
#[must_use]
pub fn write(tar: &str, member: &TarMember) -> String {
    let TarMember { path, offset, size } = member;
    let last = (offset + size).saturating_sub(1);
    format!("{tar}{BYTES}{offset}-{last}/{path}")
}

/// The tar's URL and the bytes of a picture within it; none where a path names an object of its own.
#[must_use]
pub fn read(path: &str) -> Option<(&str, Range<u64>)> {
    let (tar, rest) = path.split_once(BYTES)?;
    let is_tar = tar.len() > 4 && tar.get(tar.len() - 4..)?.eq_ignore_ascii_case(".tar");
    let (bytes, _member) = rest.split_once('/')?;
    let (first, last) = bytes.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (is_tar && first <= last).then_some((tar, first..last.checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_tar_is_read_as_it_was_written() {
        let member = |path: &str, offset, size| TarMember {
            path: path.into(),
            offset,
            size,
        };
        let written = write("s3://b/d/0.tar", &member("x/1.jpg", 1536, 20_480));
        assert_eq!(written, "s3://b/d/0.tar#bytes=1536-22015/x/1.jpg");
        assert_eq!(read(&written), Some(("s3://b/d/0.tar", 1536..22_016)));
        let odd = write("file:///d/0.TAR", &member("a#bytes=1-2/사진.jpg", 512, 1));
        assert_eq!(read(&odd), Some(("file:///d/0.TAR", 512..513)));
    }

    #[test]
    fn a_path_of_an_object_is_no_place_in_a_tar() {
        for path in [
            "s3://b/d/1.jpg",
            "s3://b/0.tar/1.jpg",
            "s3://b/0.zip#bytes=1-2/1.jpg",
            "s3://b/0.tar#bytes=2-1/1.jpg",
            "s3://b/0.tar#bytes=1/1.jpg",
            "s3://b/0.tar#bytes=1-18446744073709551615/1.jpg",
            "가.tar",
            "",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
