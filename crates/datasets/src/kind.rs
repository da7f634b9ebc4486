//! What a file is, told by its name.

const PICTURES: [&str; 10] = [
    "jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "gif", "dcm", "dicom",
];

/// A name's extension, if it has one.
pub(crate) fn extension(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map(|(_, extension)| extension)
}

/// Whether a path names a picture of a type that is read here.
#[must_use]
pub fn is_picture(path: &str) -> bool {
    extension(path).is_some_and(|found| PICTURES.iter().any(|ours| found.eq_ignore_ascii_case(ours)))
}

/// What to tell someone whose file is of another type.
pub(crate) fn other_type(path: &str) -> String {
    let found = extension(path).map_or_else(|| "has no extension".into(), |found| format!("is a .{found} file"));
    format!("it {found}; pictures are {}", PICTURES.join(", "))
}
