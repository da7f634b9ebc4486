//! What is wrong with an input before it is looked into.

/// Most pictures of one call.
pub const MAX_IMAGES: usize = 256;
/// Most texts of one call.
pub const MAX_TEXTS: usize = 1024;
/// Longest text in bytes: far more than any text encoder reads.
pub const MAX_TEXT_BYTES: usize = 64 << 10;

/// Checks a picture's file; whether it is a picture shows when it is decoded.
///
/// # Errors
/// In words, when it is empty or has more than `limit` bytes.
pub fn image(bytes: &[u8], limit: usize) -> Result<(), String> {
    match bytes.len() {
        0 => Err("is empty: give a picture's file".into()),
        length if length > limit => Err(format!("has {length} bytes: give at most {limit}")),
        _ => Ok(()),
    }
}

/// Checks a text.
///
/// # Errors
/// In words, when it is blank or longer than [`MAX_TEXT_BYTES`].
pub fn text(text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("has {} bytes: give at most {MAX_TEXT_BYTES}", text.len()));
    }
    if text.trim().is_empty() {
        return Err("is blank: give a text".into());
    }
    Ok(())
}
