//! Blocks of a tar: what a header says. POSIX ustar and pax (IEEE Std 1003.1, "pax Interchange Format"), GNU's sizes in
//! base 256, and the older formats that they grew out of.

/// Bytes of a block. Headers and contents begin at multiples of it.
pub(super) const BLOCK: u64 = 512;
const BLOCK_BYTES: usize = 512;

/// What a header stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file's content.
    File,
    /// Nothing: it is a directory, a device or a label of the volume, which hold no data of anyone's.
    Empty,
    /// Nothing: it is a link to a file whose content lies elsewhere.
    Link,
    /// The parts of a sparse file. Whether more blocks belong to the header follows.
    Sparse(bool),
    /// GNU: the next header's name.
    LongName,
    /// GNU: the next header's target, where it is a link.
    LongTarget,
    /// pax: records for the next header.
    Records,
    /// pax: records for all headers behind.
    GlobalRecords,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The name that it has by itself.
    pub(super) name: String,
    /// Bytes of content behind it.
    pub(super) size: u64,
}

/// Reads a block; none where it is the zeros that a tar ends with.
pub(super) fn header(block: &[u8]) -> Result<Option<Header>, String> {
    let Ok(block) = <&[u8; BLOCK_BYTES]>::try_from(block) else {
        return Err("its header is cut short".into());
    };
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let said = number(&block[148..156]).map_err(|why| format!("its header's checksum {why}"))?;
    if !checksums(block).contains(&said) {
        return Err("no header is there: its checksum does not fit".into());
    }
    let size = number(&block[124..136]).map_err(|why| format!("its header's size {why}"))?;
    let mut name = text(&block[..100]);
    if &block[257..263] == b"ustar\0" && block[345] != 0 {
        name = format!("{}/{name}", text(&block[345..500]));
    }
    let kind = match block[156] {
        b'0' | 0 | b'7' => Kind::File,
        b'1' | b'2' => Kind::Link,
        b'L' => Kind::LongName,
        b'K' => Kind::LongTarget,
        b'x' | b'X' => Kind::Records,
        b'g' => Kind::GlobalRecords,
        b'S' => Kind::Sparse(block[482] != 0),
        b'3'..=b'6' | b'D' | b'M' | b'N' | b'V' => Kind::Empty,
        // As POSIX has it, a type that nobody knows is a file's.
        _ => Kind::File,
    };
    // These have no content, whatever size they claim: writers note a link's target's there.
    let size = if matches!(block[156], b'1'..=b'6') { 0 } else { size };
    Ok(Some(Header { kind, name, size }))
}

/// The sum of the bytes, its own field taken as spaces; of old writers that took bytes as signed, too.
fn checksums(block: &[u8; BLOCK_BYTES]) -> [u64; 2] {
    let bytes = || {
        let own = |at: &usize| (148..156).contains(at);
        block
            .iter()
            .enumerate()
            .map(move |(at, byte)| if own(&at) { b' ' } else { *byte })
    };
    let unsigned: u64 = bytes().map(u64::from).sum();
    let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
    [unsigned, u64::try_from(signed).unwrap_or(unsigned)]
}

/// A number in octal digits, or in base 256 where the first bit says so.
fn number(field: &[u8]) -> Result<u64, &'static str> {
    match field.first() {
        Some(0x80) => field[1..].iter().try_fold(0_u64, |sum, byte| {
            let shifted = sum.checked_mul(256).ok_or("is larger than any file")?;
            Ok(shifted | u64::from(*byte))
        }),
        Some(first) if first & 0x80 != 0 => Err("is negative"),
        _ => {
            let digits = field
                .iter()
                .position(|byte| *byte == 0)
                .map_or(field, |end| &field[..end]);
            digits.trim_ascii().iter().try_fold(0_u64, |sum, byte| match byte {
                b'0'..=b'7' => Ok(sum * 8 + u64::from(byte - b'0')),
                _ => Err("is no number"),
            })
        }
    }
}

/// A text up to the first NUL.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// What pax records say of the next file, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Records {
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) sparse: bool,
}

/// Reads `LENGTH KEY=VALUE\n`, over and over; LENGTH counts itself.
pub(super) fn records(mut bytes: &[u8]) -> Result<Records, String> {
    let damaged = || "its pax records are damaged".to_owned();
    let mut records = Records::default();
    // Some writers fill what they counted too much with zeros.
    while bytes.first().is_some_and(|byte| *byte != 0) {
        let space = bytes
            .iter()
            .take(20)
            .position(|byte| *byte == b' ')
            .ok_or_else(damaged)?;
        let digits = std::str::from_utf8(&bytes[..space]).map_err(|_| damaged())?;
        let length: usize = digits.parse().map_err(|_| damaged())?;
        let record = bytes.get(space + 1..length).ok_or_else(damaged)?;
        let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
        let value = String::from_utf8_lossy(&record[equals + 1..]);
        match &record[..equals] {
            b"path" => records.path = Some(value.into_owned()),
            b"size" => records.size = Some(value.parse().map_err(|_| damaged())?),
            key if key.starts_with(b"GNU.sparse.") => records.sparse = true,
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(records)
}

/// What somebody has to do who has packed a tar; none where these are not the first bytes of a packed file.
pub(super) fn packed(first: &[u8]) -> Option<&'static str> {
    let packed: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gunzip"),
        (b"\x28\xb5\x2f\xfd", "unzstd"),
        (b"BZh", "bunzip2"),
        (b"\xfd7zXZ\0", "unxz"),
    ];
    packed
        .iter()
        .find(|(magic, _)| first.starts_with(magic))
        .map(|(_, program)| *program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_of_base_256_and_nothing_else() {
        assert_eq!(number(b"00000001750\0"), Ok(0o1750));
        assert_eq!(number(b"  1750 \0\0\0\0\0"), Ok(0o1750));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Ok(1 << 33));
        assert_eq!(
            number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            Err("is negative")
        );
        assert_eq!(number(b"\x80\x01\0\0\0\0\0\0\0\0\0\0"), Err("is larger than any file"));
        assert_eq!(number(b"0000000175x\0"), Err("is no number"));
    }

    #[test]
    fn records_say_path_and_size_and_damaged_ones_are_refused() {
        let read = records(b"21 path=a/\xec\x82\xac\xec\xa7\x84.jpg\n11 size=12\n22 GNU.sparse.major=1\n\0\0").unwrap();
        assert_eq!(
            (read.path.as_deref(), read.size, read.sparse),
            (Some("a/사진.jpg"), Some(12), true)
        );
        for damaged in [
            &b"9999 path=a\n"[..],
            b"path=a\n",
            b"11 size=xy\n",
            b"3 \n",
            b"0 a=b\n",
            b"11 path=aaa",
        ] {
            assert!(records(damaged).is_err(), "{damaged:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_block_and_no_records_end_the_program(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let (_header, _records) = (header(&bytes), records(&bytes));
            let mut summed = bytes;
            summed.resize(BLOCK_BYTES, 7);
            summed[148..156].fill(b' ');
            let sum: u64 = summed.iter().map(|byte| u64::from(*byte)).sum();
            summed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let _header = header(&summed);
        }
    }
}
