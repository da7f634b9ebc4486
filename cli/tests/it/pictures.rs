//! Small pictures: uncompressed 24-bit BMP, each of its own colours.

use std::path::Path;

const SIDE: u32 = 64;

/// A picture of two colours that depend on its number.
pub(crate) fn bmp(number: u32) -> Vec<u8> {
    let row = SIDE * 3;
    let mut bytes = b"BM".to_vec();
    for value in [54 + row * SIDE, 0, 54, 40, SIDE, SIDE] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    let colour =
        |seed: u32| [seed.wrapping_mul(97), seed.wrapping_mul(57), seed.wrapping_mul(29)].map(|v| v.to_le_bytes()[0]);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let other = (x / (4 + number % 13) + y / (3 + number % 7)) % 2;
            bytes.extend(colour(number * 2 + 1 + other));
        }
    }
    bytes
}

/// Thirty pictures with captions, one that is none, one file of another type, and the table of all of them.
pub(crate) fn dataset(folder: &Path) {
    std::fs::create_dir(folder.join("pictures")).unwrap();
    let mut table = String::from("image,text,labels,parity\n");
    for number in 0..30 {
        let name = format!("pictures/{number:02}.bmp");
        std::fs::write(folder.join(&name), bmp(number)).unwrap();
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        table.push_str(&format!("{name},Pattern number {number}.,pattern|{parity},{parity}\n"));
    }
    std::fs::write(
        folder.join("pictures/broken.png"),
        b"\x89PNG\r\n\x1a\nno picture at all",
    )
    .unwrap();
    table.push_str("pictures/broken.png,A broken picture.,broken,none\n");
    std::fs::write(folder.join("table.csv"), table).unwrap();
}
