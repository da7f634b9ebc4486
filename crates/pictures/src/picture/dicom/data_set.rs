//! The elements of a DICOM file that say what its pixels are, and the tags that may be asked for: a reader of PS3.5 chapter 7 and PS3.10 chapter 7.
//!
//! Our own, because the `dicom` crates allocate what an element's length claims before they read it: 200 bytes could ask
//! for 4 GB. Here every value is a slice of the file.

use sightline_core::FrameChoice;
use sightline_core::dicom::TAGS;
use std::collections::BTreeMap;

/// `0xGGGGEEEE`: group and element.
pub(super) type Tag = u32;

pub(super) const TRANSFER_SYNTAX: Tag = 0x0002_0010;
pub(super) const CHARACTER_SET: Tag = 0x0008_0005;
pub(super) const FRAMES: Tag = 0x0028_0008;
pub(super) const PIXEL_DATA: Tag = 0x7FE0_0010;

const ITEM: Tag = 0xFFFE_E000;
const ITEM_END: Tag = 0xFFFE_E00D;
const SEQUENCE_END: Tag = 0xFFFE_E0DD;
const UNDEFINED: u32 = u32::MAX;
/// Sequences in sequences; real files have five.
const MAX_DEPTH: u32 = 16;
const PREAMBLE: usize = 132;
/// What newer multi-frame files say of each frame: an item a frame.
pub(super) const PER_FRAME: Tag = 0x5200_9230;

/// Sequences by their tag, for files that do not write what an element is.
const SEQUENCES: [Tag; 6] = [
    0x0028_3000,
    0x0028_3010,
    0x0028_9132,
    0x0028_9145,
    0x5200_9229,
    PER_FRAME,
];

/// How a data set is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) explicit: bool,
    pub(super) big_endian: bool,
}

/// One element's value.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Bytes, and the two letters of their type (none where the file does not write types).
    Bytes(&'a [u8], [u8; 2]),
    /// The first item of a sequence, or the one of the frame that counts; none where it has none.
    Item(Option<DataSet<'a>>),
    /// Compressed pixels: the offset table, then the fragments.
    Fragments(Vec<&'a [u8]>),
}

/// The elements of groups 0002, 0028, 5200 and 7FE0, up to the pixels; of the others those that may be asked for.
#[derive(Debug, PartialEq)]
pub(super) struct DataSet<'a> {
    encoding: Encoding,
    elements: BTreeMap<Tag, Value<'a>>,
}

impl<'a> DataSet<'a> {
    /// Reads a whole file; what its pixels are encoded in comes with it. An error says what is wrong, for a person.
    /// Of what is said frame by frame, the chosen frame's is kept.
    pub(super) fn read(file: &'a [u8], frame: FrameChoice) -> Result<(String, Self), String> {
        let start = file.get(PREAMBLE..).ok_or("it has no preamble")?;
        let mut meta = Reader::new(
            start,
            Encoding {
                explicit: true,
                big_endian: false,
            },
            frame,
        );
        let header = meta.data_set(End::Group(0x0002), 0)?;
        let syntax = header.text(TRANSFER_SYNTAX).ok_or("it names no transfer syntax")?;
        let encoding = match syntax.as_str() {
            "1.2.840.10008.1.2" => Encoding {
                explicit: false,
                big_endian: false,
            },
            "1.2.840.10008.1.2.2" => Encoding {
                explicit: true,
                big_endian: true,
            },
            _ => Encoding {
                explicit: true,
                big_endian: false,
            },
        };
        if syntax == "1.2.840.10008.1.2.1.99" {
            // Its data set is one deflated stream.
            let empty = BTreeMap::new();
            return Ok((
                syntax,
                Self {
                    encoding,
                    elements: empty,
                },
            ));
        }
        let mut body = Reader::new(&start[meta.at..], encoding, frame);
        Ok((syntax, body.data_set(End::Pixels, 0)?))
    }

    pub(super) fn value(&self, tag: Tag) -> Option<&Value<'a>> {
        self.elements.get(&tag)
    }

    pub(super) fn big_endian(&self) -> bool {
        self.encoding.big_endian
    }

    pub(super) fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        match self.elements.get(&tag)? {
            Value::Bytes(bytes, _) => Some(bytes),
            _ => None,
        }
    }

    /// The item of a sequence that is kept.
    pub(super) fn item(&self, tag: Tag) -> Option<&Self> {
        match self.elements.get(&tag)? {
            Value::Item(item) => item.as_ref(),
            _ => None,
        }
    }

    /// A text without its padding.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let text = String::from_utf8_lossy(self.bytes(tag)?);
        let text = text.trim_matches([' ', '\0']);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The first of decimal numbers that are written as text.
    pub(super) fn decimal(&self, tag: Tag) -> Option<f64> {
        let text = self.text(tag)?;
        let number: f64 = text.split('\\').next()?.trim().parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// A 16-bit number.
    pub(super) fn short(&self, tag: Tag) -> Option<u16> {
        self.shorts(tag)?.next()
    }

    /// Whether an element of 16-bit numbers is written as one of signed ones; `None` where the file does not say it.
    pub(super) fn is_signed(&self, tag: Tag) -> Option<bool> {
        match self.elements.get(&tag)? {
            Value::Bytes(_, [b'S', b'S']) => Some(true),
            Value::Bytes(_, [b'U', b'S']) => Some(false),
            _ => None,
        }
    }

    /// 16-bit numbers in the file's byte order.
    pub(super) fn shorts(&self, tag: Tag) -> Option<impl Iterator<Item = u16> + use<'a>> {
        let big_endian = self.encoding.big_endian;
        let pairs = self.bytes(tag)?.as_chunks::<2>().0.iter();
        Some(pairs.map(move |pair| {
            if big_endian {
                u16::from_be_bytes(*pair)
            } else {
                u16::from_le_bytes(*pair)
            }
        }))
    }
}

/// Where a data set ends.
#[derive(Clone, Copy)]
enum End {
    /// Before the first element of another group.
    Group(u16),
    /// Behind the pixels, or where the file ends.
    Pixels,
    /// Where the reader's bytes end.
    Bytes,
    /// Behind an item's end.
    Delimiter,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    encoding: Encoding,
    choice: FrameChoice,
    /// The frame that counts, once the number of frames is known, which stands before what is said of each.
    frame: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], encoding: Encoding, choice: FrameChoice) -> Self {
        Self {
            bytes,
            at: 0,
            encoding,
            choice,
            frame: 0,
        }
    }

    fn inner(&self, bytes: &'a [u8]) -> Self {
        Self::new(bytes, self.encoding, self.choice)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest
            .get(..length)
            .ok_or_else(|| format!("an element of {length} bytes has {} left", rest.len()))?;
        self.at += length;
        Ok(taken)
    }

    fn short(&mut self) -> Result<u16, String> {
        let pair = self.take(2)?;
        Ok(if self.encoding.big_endian {
            u16::from_be_bytes([pair[0], pair[1]])
        } else {
            u16::from_le_bytes([pair[0], pair[1]])
        })
    }

    fn long(&mut self) -> Result<u32, String> {
        let (first, second) = (u32::from(self.short()?), u32::from(self.short()?));
        Ok(if self.encoding.big_endian {
            first << 16 | second
        } else {
            second << 16 | first
        })
    }

    fn tag(&mut self) -> Result<Tag, String> {
        Ok(u32::from(self.short()?) << 16 | u32::from(self.short()?))
    }

    /// Type and length behind a tag.
    fn header(&mut self, tag: Tag) -> Result<([u8; 2], u32), String> {
        if !self.encoding.explicit || tag >> 16 == 0xFFFE {
            return Ok(([0; 2], self.long()?));
        }
        let letters = self.take(2)?;
        let kind = [letters[0], letters[1]];
        let long = [
            b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV",
        ];
        if long.contains(&&kind) {
            self.take(2)?;
            return Ok((kind, self.long()?));
        }
        Ok((kind, u32::from(self.short()?)))
    }

    fn data_set(&mut self, end: End, depth: u32) -> Result<DataSet<'a>, String> {
        let mut elements = BTreeMap::new();
        let encoding = self.encoding;
        loop {
            let start = self.at;
            if start >= self.bytes.len() && !matches!(end, End::Delimiter) {
                break;
            }
            let tag = self.tag()?;
            if matches!(end, End::Group(group) if tag >> 16 != u32::from(group)) {
                self.at = start;
                break;
            }
            let (kind, length) = self.header(tag)?;
            if tag == ITEM_END && matches!(end, End::Delimiter) {
                break;
            }
            let value = self.value(tag, kind, length, depth)?;
            if depth == 0
                && tag == FRAMES
                && let Value::Bytes(bytes, _) = &value
            {
                let chosen = frames(bytes).and_then(|frames| self.choice.of(frames));
                self.frame = chosen.and_then(|frame| usize::try_from(frame).ok()).unwrap_or(0);
            }
            let asked = || depth == 0 && (tag == CHARACTER_SET || TAGS.iter().any(|known| known.number == tag));
            if matches!(tag >> 16, 0x0002 | 0x0028 | 0x5200 | 0x7FE0) || asked() {
                elements.insert(tag, value);
            }
            if tag == PIXEL_DATA && matches!(end, End::Pixels) {
                break;
            }
        }
        Ok(DataSet { encoding, elements })
    }

    fn value(&mut self, tag: Tag, kind: [u8; 2], length: u32, depth: u32) -> Result<Value<'a>, String> {
        if tag == PIXEL_DATA && length == UNDEFINED {
            return self.fragments().map(Value::Fragments);
        }
        let kept = if depth == 0 && tag == PER_FRAME { self.frame } else { 0 };
        if length == UNDEFINED {
            // A sequence whose type a program did not know is written without types.
            let outer = self.encoding;
            if &kind == b"UN" {
                self.encoding = Encoding {
                    explicit: false,
                    big_endian: false,
                };
            }
            let item = self.items(depth, kept);
            self.encoding = outer;
            return item.map(Value::Item);
        }
        let bytes = self.take(usize::try_from(length).map_err(|error| error.to_string())?)?;
        if &kind == b"SQ" || SEQUENCES.contains(&tag) {
            return self.inner(bytes).items(depth, kept).map(Value::Item);
        }
        Ok(Value::Bytes(bytes, kind))
    }

    /// Reads a sequence's items, up to its end or the end of the bytes; one is kept, by its number from 0.
    fn items(&mut self, depth: u32, kept: usize) -> Result<Option<DataSet<'a>>, String> {
        if depth >= MAX_DEPTH {
            return Err(format!("its sequences are more than {MAX_DEPTH} deep"));
        }
        let (mut found, mut number) = (None, 0);
        while self.at < self.bytes.len() {
            let (tag, length) = (self.tag()?, self.long()?);
            match tag {
                SEQUENCE_END => break,
                ITEM => {}
                other => return Err(format!("a sequence holds element {other:08X}, which is no item")),
            }
            if length == UNDEFINED {
                let item = self.data_set(End::Delimiter, depth + 1)?;
                found = if number == kept { Some(item) } else { found };
            } else {
                let bytes = self.take(usize::try_from(length).map_err(|error| error.to_string())?)?;
                if number == kept {
                    found = Some(self.inner(bytes).data_set(End::Bytes, depth + 1)?);
                }
            }
            number += 1;
        }
        Ok(found)
    }

    fn fragments(&mut self) -> Result<Vec<&'a [u8]>, String> {
        let mut fragments = Vec::new();
        while self.at < self.bytes.len() {
            let (tag, length) = (self.tag()?, self.long()?);
            match tag {
                SEQUENCE_END => break,
                ITEM => {}
                other => return Err(format!("its pixels hold element {other:08X}, which is no fragment")),
            }
            fragments.push(self.take(usize::try_from(length).map_err(|error| error.to_string())?)?);
        }
        Ok(fragments)
    }
}

/// How many frames there are, as the element says.
pub(super) fn frames(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.trim_matches([' ', '\0']).parse().ok()
}
