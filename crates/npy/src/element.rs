//! What an array may hold.

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for f32 {}
}

/// A type of number that an array may hold.
pub trait Element: Copy + sealed::Sealed {
    /// numpy's name of the type, with its byte order.
    const DESCR: &'static str;

    /// Appends the numbers' bytes, little-endian.
    fn append(values: &[Self], bytes: &mut Vec<u8>);
}

impl Element for u8 {
    const DESCR: &'static str = "|u1";

    fn append(values: &[Self], bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(values);
    }
}

impl Element for f32 {
    const DESCR: &'static str = "<f4";

    fn append(values: &[Self], bytes: &mut Vec<u8>) {
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}
