//! From stored grey values to what a viewer shows: modality transformation, values of interest, eight bits.

use super::colour::signed;
use super::data_set::DataSet;
use super::frame::{Frame, Shape};

const PADDING: u32 = 0x0028_0120;
const PADDING_END: u32 = 0x0028_0121;
const CENTER: u32 = 0x0028_1050;
const WIDTH: u32 = 0x0028_1051;
const INTERCEPT: u32 = 0x0028_1052;
const SLOPE: u32 = 0x0028_1053;
const FUNCTION: u32 = 0x0028_1056;
const MODALITY_TABLE: u32 = 0x0028_3000;
const DESCRIPTOR: u32 = 0x0028_3002;
const TABLE: u32 = 0x0028_3006;
const INTEREST_TABLE: u32 = 0x0028_3010;
/// Where multi-frame files of the newer kind keep a frame's values: per frame, or shared by all.
const GROUPS: [u32; 2] = [0x5200_9230, 0x5200_9229];
const FRAME_INTEREST: u32 = 0x0028_9132;
const FRAME_MODALITY: u32 = 0x0028_9145;
const WHITE: f64 = 255.0;

/// A table of PS3.3 C.11.1 and C.11.2: values outside take its ends.
struct Table {
    first: i64,
    entries: Vec<u16>,
    bits: u16,
}

enum Modality {
    Table(Table),
    Linear { slope: f64, intercept: f64 },
}

enum Interest {
    Table(Table),
    /// PS3.3 C.11.2.1.2.1; exact is C.11.2.1.3.2.
    Linear {
        center: f64,
        width: f64,
        exact: bool,
    },
    /// C.11.2.1.3.1.
    Sigmoid {
        center: f64,
        width: f64,
    },
    /// What lies between two values.
    Range {
        low: f64,
        high: f64,
    },
}

/// Grey values to eight bits; `steps` is told what is done.
pub(super) fn to_8_bits(file: &DataSet<'_>, shape: &Shape, frame: &Frame, steps: &mut Vec<&'static str>) -> Vec<u8> {
    let modality = Modality::read(file, shape);
    if modality.is_some() {
        steps.push("the modality's rescaling");
    }
    let value = |raw: u32| {
        let stored = signed(raw, frame.bits, shape.signed);
        modality
            .as_ref()
            .map_or(as_f64(stored), |modality| modality.apply(stored))
    };
    let largest = u32::MAX >> (32 - u32::from(frame.bits.clamp(1, 32)));
    // Of unsigned and of signed values, the ends of what a linear transformation may meet.
    let ends = [0, largest >> 1, (largest >> 1) + 1, largest];
    let below_zero = ends.into_iter().any(|raw| value(raw) < 0.0);
    let interest = match Interest::read(file, below_zero) {
        Some(interest) => {
            steps.push("the file's window");
            interest
        }
        None if frame.bits <= 8 && modality.is_none() && !shape.signed => Interest::Range {
            low: 0.0,
            high: as_f64((1 << frame.bits) - 1),
        },
        None => {
            steps.push("from the lowest value to the highest");
            range(frame, padding(file, shape, frame), value)
        }
    };
    let inverted = shape.photometric == "MONOCHROME1";
    if inverted {
        steps.push("inverted");
    }
    steps.push("grey becomes red, green and blue");
    let shade = |raw: u32| {
        let shown = interest.apply(value(raw)).clamp(0.0, WHITE);
        let shown = if inverted { WHITE - shown } else { shown };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
        {
            (shown + 0.5).floor() as u8
        }
    };
    let mut grey = Vec::with_capacity(shape.pixels());
    if frame.bits <= 16 {
        let shades: Vec<u8> = (0..1_u32 << frame.bits).map(shade).collect();
        grey.extend(frame.raw().map(|raw| shades[raw as usize]));
    } else {
        grey.extend(frame.raw().map(shade));
    }
    grey
}

/// Numbers of 32 bits or less are exact.
fn as_f64(value: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 33 bits")]
    {
        value as f64
    }
}

/// Which stored values are padding: one, and where the file names an end as well, all between, whichever is the lower one:
/// PS3.3 C.7.5.1.1.2.
fn padding(file: &DataSet<'_>, shape: &Shape, frame: &Frame) -> impl Fn(u32) -> bool {
    let (bits, is_signed) = (frame.bits, shape.signed);
    let of = |tag| file.short(tag).filter(|_| bits <= 16).map(u32::from);
    // Some writers keep what lies beside the bits that count.
    let one = of(PADDING).map(|raw| raw & (u32::MAX >> (32 - u32::from(bits))));
    let ends = of(PADDING).zip(of(PADDING_END));
    let ends = ends.map(|ends| <[u32; 2]>::from(ends).map(|raw| signed(raw, 16, is_signed)));
    move |raw| {
        let is_between = |[a, b]: [i64; 2]| (a.min(b)..=a.max(b)).contains(&signed(raw, bits, is_signed));
        Some(raw) == one || ends.is_some_and(is_between)
    }
}

/// The lowest and highest value of what is no padding.
fn range(frame: &Frame, is_padding: impl Fn(u32) -> bool, value: impl Fn(u32) -> f64) -> Interest {
    let counted = frame.raw().filter(|raw| !is_padding(*raw)).map(value);
    let (low, high) = counted.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    Interest::Range { low, high }
}

/// The item that a newer multi-frame file keeps a frame's values in, or else the file itself.
fn home<'f, 'a>(file: &'f DataSet<'a>, group: u32) -> &'f DataSet<'a> {
    let found = GROUPS.iter().find_map(|groups| file.item(*groups)?.item(group));
    found.unwrap_or(file)
}

impl Table {
    /// `is_signed` says of a file that does not write types whether what is looked up may be below 0.
    fn read(item: &DataSet<'_>, is_signed: bool) -> Option<Self> {
        let mut three = item.shorts(DESCRIPTOR)?;
        let (entries, first, bits) = (three.next()?, three.next()?, three.next()?);
        let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
        let bytes = item.bytes(TABLE)?;
        let entries: Vec<u16> = if bytes.len() >= entries * 2 {
            item.shorts(TABLE)?.take(entries).collect()
        } else if bits == 8 && bytes.len() >= entries {
            bytes[..entries].iter().map(|entry| u16::from(*entry)).collect()
        } else {
            return None;
        };
        (1..=16).contains(&bits).then(|| Self {
            first: signed(first.into(), 16, item.is_signed(DESCRIPTOR).unwrap_or(is_signed)),
            entries,
            bits,
        })
    }

    fn look_up(&self, value: i64) -> u16 {
        let last = self.entries.len() - 1;
        let place = usize::try_from(value.saturating_sub(self.first).max(0)).unwrap_or(last);
        self.entries[place.min(last)]
    }
}

impl Modality {
    fn read(file: &DataSet<'_>, shape: &Shape) -> Option<Self> {
        if let Some(table) = file
            .item(MODALITY_TABLE)
            .and_then(|item| Table::read(item, shape.signed))
        {
            return Some(Self::Table(table));
        }
        let home = home(file, FRAME_MODALITY);
        match (home.decimal(SLOPE)?, home.decimal(INTERCEPT)?) {
            // Many writers put it into every file: values that it leaves as they are were not rescaled.
            (0.0, _) | (1.0, 0.0) => None,
            (slope, intercept) => Some(Self::Linear { slope, intercept }),
        }
    }

    fn apply(&self, stored: i64) -> f64 {
        match self {
            Self::Table(table) => f64::from(table.look_up(stored)),
            Self::Linear { slope, intercept } => as_f64(stored) * slope + intercept,
        }
    }
}

impl Interest {
    fn read(file: &DataSet<'_>, below_zero: bool) -> Option<Self> {
        if let Some(table) = file.item(INTEREST_TABLE).and_then(|item| Table::read(item, below_zero)) {
            return Some(Self::Table(table));
        }
        let home = home(file, FRAME_INTEREST);
        let (center, width) = (home.decimal(CENTER)?, home.decimal(WIDTH)?);
        match home.text(FUNCTION).as_deref() {
            Some("SIGMOID") if width > 0.0 => Some(Self::Sigmoid { center, width }),
            Some("LINEAR_EXACT") if width > 0.0 => Some(Self::Linear {
                center,
                width,
                exact: true,
            }),
            Some("LINEAR") | None if width >= 1.0 => Some(Self::Linear {
                center,
                width,
                exact: false,
            }),
            _ => None,
        }
    }

    /// From black, 0, to white, 255.
    fn apply(&self, value: f64) -> f64 {
        match *self {
            Self::Table(ref table) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a float becomes the nearest value there is"
                )]
                let place = value.floor() as i64;
                f64::from(table.look_up(place)) / f64::from((1_u32 << table.bits) - 1) * WHITE
            }
            Self::Linear { center, width, exact } => {
                let (center, width) = if exact {
                    (center, width)
                } else {
                    (center - 0.5, width - 1.0)
                };
                if value <= center - width / 2.0 {
                    0.0
                } else if value > center + width / 2.0 {
                    WHITE
                } else {
                    ((value - center) / width + 0.5) * WHITE
                }
            }
            Self::Sigmoid { center, width } => WHITE / (1.0 + (-4.0 * (value - center) / width).exp()),
            Self::Range { low, high } if high > low => (value - low) / (high - low) * WHITE,
            Self::Range { .. } => 0.0,
        }
    }
}
