//! GIFs and Windows bitmaps.

use crate::{Files, HEIGHT, PIXELS, WIDTH, noise};
use image::codecs::bmp::BmpEncoder;
use image::codecs::gif::GifEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

pub(crate) fn files() -> Files {
    let gif = gif();
    let mut on_a_wider_screen = gif.clone();
    let screen = u16::try_from(WIDTH + 1).unwrap();
    on_a_wider_screen[6..8].copy_from_slice(&screen.to_le_bytes());
    vec![
        ("GIF", gif),
        ("GIF that does not fill its screen", on_a_wider_screen),
        ("BMP with a palette", bmp(ExtendedColorType::L8)),
        ("BMP of colour", bmp(ExtendedColorType::Rgb8)),
        ("BMP with transparency", bmp(ExtendedColorType::Rgba8)),
    ]
}

/// Of eight colours, which are found without a search for the best.
fn gif() -> Vec<u8> {
    let mut samples = noise(PIXELS * 4);
    samples
        .iter_mut()
        .for_each(|value| *value = if *value < 128 { 0 } else { 255 });
    let mut bytes = Vec::new();
    GifEncoder::new_with_speed(&mut bytes, 30)
        .write_image(&samples, WIDTH, HEIGHT, ExtendedColorType::Rgba8)
        .unwrap();
    bytes
}

fn bmp(color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let samples = noise(PIXELS * usize::from(color.channel_count()));
    BmpEncoder::new(&mut bytes)
        .write_image(&samples, WIDTH, HEIGHT, color)
        .unwrap();
    bytes
}
