//! Colours of a DICOM: palettes, YCbCr, and more than eight bits.

use super::corrupt;
use super::data_set::DataSet;
use super::frame::{Frame, Shape};
use crate::picture::error::DecodeError;

const DESCRIPTORS: [u32; 3] = [0x0028_1101, 0x0028_1102, 0x0028_1103];
const TABLES: [u32; 3] = [0x0028_1201, 0x0028_1202, 0x0028_1203];

/// The eight highest bits of each sample.
pub(super) fn high_bytes(frame: &Frame) -> Vec<u8> {
    let bits = u32::from(frame.bits);
    frame
        .raw()
        .map(|value| {
            let high = if bits >= 8 {
                value >> (bits - 8)
            } else {
                value << (8 - bits)
            };
            #[expect(clippy::cast_possible_truncation, reason = "eight bits are left")]
            {
                high as u8
            }
        })
        .collect()
}

/// YCbCr of the full range to RGB: PS3.3 C.7.6.3.1.2, which is ITU-R BT.601's as JFIF has it.
pub(super) fn from_ycbcr(mut pixels: Vec<u8>) -> Vec<u8> {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let [y, cb, cr] = pixel.map(f64::from);
        let (cb, cr) = (cb - 128.0, cr - 128.0);
        let rgb = [
            y + 1.402 * cr,
            y - 0.114 * 1.772 / 0.587 * cb - 0.299 * 1.402 / 0.587 * cr,
            y + 1.772 * cb,
        ];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float becomes the nearest value there is"
        )]
        {
            *pixel = rgb.map(|value| (value + 0.5).floor() as u8);
        }
    }
    pixels
}

/// Colours by a table each for red, green and blue: PS3.3 C.7.6.3.1.5.
pub(super) fn from_palette(file: &DataSet<'_>, shape: &Shape, frame: &Frame) -> Result<Vec<u8>, DecodeError> {
    let mut tables = Vec::new();
    for (descriptor, table) in DESCRIPTORS.into_iter().zip(TABLES) {
        tables.push(
            Table::read(file, descriptor, table, shape.signed)
                .ok_or_else(|| corrupt("its palette is incomplete, or comes in segments, which are not read"))?,
        );
    }
    let values = frame.raw();
    Ok(values
        .flat_map(|value| {
            let value = signed(value, frame.bits, shape.signed);
            [0, 1, 2].map(|channel: usize| tables[channel].colour(value))
        })
        .collect())
}

/// A stored value as the number that it stands for.
pub(super) fn signed(raw: u32, bits: u16, signed: bool) -> i64 {
    let value = i64::from(raw);
    if signed && bits > 0 && raw >> (bits.min(32) - 1) & 1 == 1 {
        value - (1 << bits)
    } else {
        value
    }
}

struct Table {
    first: i64,
    colours: Vec<u8>,
}

impl Table {
    /// `is_signed` says of a file that does not write types whether values may be below 0.
    fn read(file: &DataSet<'_>, descriptor: u32, table: u32, is_signed: bool) -> Option<Self> {
        let mut three = file.shorts(descriptor)?;
        let (entries, first, bits) = (three.next()?, three.next()?, three.next()?);
        let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
        let bytes = file.bytes(table)?;
        let colours: Vec<u8> = if bytes.len() >= entries * 2 {
            let shift = if bits > 8 { 8 } else { 0 };
            let high = file.shorts(table)?.take(entries).map(|entry| entry >> shift);
            high.map(|entry| u8::try_from(entry).unwrap_or(u8::MAX)).collect()
        } else if bits <= 8 && bytes.len() >= entries {
            bytes[..entries].to_vec()
        } else {
            return None;
        };
        Some(Self {
            first: signed(first.into(), 16, file.is_signed(descriptor).unwrap_or(is_signed)),
            colours,
        })
    }

    /// Values outside take the table's ends.
    fn colour(&self, value: i64) -> u8 {
        let last = self.colours.len() - 1;
        let place = usize::try_from((value - self.first).max(0)).unwrap_or(last);
        self.colours[place.min(last)]
    }
}
