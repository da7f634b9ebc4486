use super::*;
use sightline_core::FailureReason;
use std::fs;
use std::path::PathBuf;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pictures")
        .join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn index() -> Vec<serde_json::Value> {
    serde_json::from_slice(&fixture("pictures.json")).unwrap()
}

fn decode_default(bytes: &[u8]) -> Result<Picture, DecodeError> {
    decode(bytes, &DecodeLimits::default())
}

fn reason(bytes: &[u8]) -> FailureReason {
    decode_default(bytes).unwrap_err().reason()
}

#[test]
fn every_kind_of_picture_becomes_what_pillow_makes_of_it() {
    let mut wrong = Vec::new();
    for entry in index() {
        let name = entry["file"].as_str().unwrap();
        let picture = match decode_default(&fixture(name)) {
            Ok(picture) => picture,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let size = [u64::from(picture.width()), u64::from(picture.height())];
        if entry["size"] != serde_json::json!(size) {
            wrong.push(format!("{name}: size {size:?}"));
            continue;
        }
        let expected = fixture(&format!("{name}.rgb"));
        let off = picture.rgb().iter().zip(&expected).filter(|(a, b)| a != b).count();
        if off > 0 || picture.rgb().len() != expected.len() {
            wrong.push(format!("{name}: {off} values differ"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_picture_cut_short_anywhere_is_an_error_or_whole_and_never_a_panic() {
    let mut refused = 0;
    for entry in index() {
        let name = entry["file"].as_str().unwrap();
        let bytes = fixture(name);
        let whole = decode_default(&bytes).ok();
        for cut in (0..bytes.len()).step_by(7) {
            match decode_default(&bytes[..cut]) {
                // Only what follows the pixels is missing.
                Ok(picture) => assert_eq!(Some(picture), whole, "{name} cut at {cut}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn a_jpeg_without_its_last_byte_is_corrupt_as_it_is_for_pillow() {
    for name in ["chroma420.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"] {
        let bytes = fixture(name);
        for cut in [1, 2, 3, 50] {
            assert_eq!(
                reason(&bytes[..bytes.len() - cut]),
                FailureReason::CorruptImage,
                "{name} less {cut}"
            );
        }
    }
}

#[test]
fn a_picture_with_any_byte_changed_never_panics() {
    for entry in index() {
        let name = entry["file"].as_str().unwrap();
        let bytes = fixture(name);
        for at in (0..bytes.len()).step_by(5) {
            for value in [0, 0xFF, bytes[at] ^ 0x10] {
                let mut changed = bytes.clone();
                changed[at] = value;
                drop(decode_default(&changed));
            }
        }
    }
}

#[test]
fn what_is_no_picture_is_named() {
    for (bytes, name) in [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>".as_slice(), "SVG"),
        (b"<?xml version='1.0'?>\n<!-- a picture -->\n<svg/>", "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"),
        (b"BMI of the patients: 23.5, 24.1, 30.2", "text"),
        ("Befund: Lunge frei, Herz groß".as_bytes(), "text"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "ZIP"),
        (&[0xFF; 64], "none of the known"),
        (b"\x89PN", "none of the known"),
    ] {
        let error = decode_default(bytes).unwrap_err();
        assert_eq!(error.reason(), FailureReason::UnsupportedFormat, "{error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    assert_eq!(reason(b""), FailureReason::EmptyObject);
}

#[test]
fn a_lossless_webp_of_the_largest_size_there_is_is_refused_by_its_header() {
    let mut bytes = b"RIFF\x11\0\0\0WEBPVP8L\x05\0\0\0\x2f\xff\xff\xff\x0f".to_vec();
    let claimed = u8::try_from(bytes.len() - 8).unwrap();
    bytes[4] = claimed;
    assert_eq!(reason(&bytes), FailureReason::ImageTooLarge);
}

#[test]
fn a_header_that_claims_too_much_is_refused_at_once() {
    for name in ["claims_65000.png", "megapixels_196.png"] {
        let bytes = fixture(name);
        assert_eq!(reason(&bytes), FailureReason::ImageTooLarge, "{name}");
    }
    let mut jpeg = fixture("chroma420.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFD, 0xE8, 0xFD, 0xE8]);
    assert_eq!(reason(&jpeg), FailureReason::ImageTooLarge);
}

#[test]
fn limits_are_those_that_are_given() {
    let limits = DecodeLimits::default();
    let bytes = fixture("rgba.png");
    let with = |limits| decode(&bytes, &limits).unwrap_err().reason();
    assert_eq!(
        with(DecodeLimits {
            max_pixels: 279,
            ..limits
        }),
        FailureReason::ImageTooLarge
    );
    assert_eq!(
        with(DecodeLimits { max_side: 19, ..limits }),
        FailureReason::ImageTooLarge
    );
    assert_eq!(
        with(DecodeLimits {
            max_alloc_bytes: 500,
            ..limits
        }),
        FailureReason::DecodeLimit
    );
    assert!(
        decode(
            &bytes,
            &DecodeLimits {
                max_pixels: 280,
                max_side: 20,
                ..limits
            }
        )
        .is_ok()
    );
}

#[test]
fn compressed_texts_and_profiles_are_never_unpacked() {
    let rgb = fixture("orientation1.png.rgb");
    for name in ["ztxt_bomb.png", "iccp_bomb.png"] {
        // Less memory than the bomb makes, and more than the picture needs.
        let limits = DecodeLimits {
            max_alloc_bytes: 1 << 20,
            ..DecodeLimits::default()
        };
        assert_eq!(decode(&fixture(name), &limits).unwrap().rgb(), rgb, "{name}");
    }
}

/// A progressive JPEG whose last scan comes again and again.
fn many_scans(count: usize) -> Vec<u8> {
    let bytes = fixture("progressive.jpg");
    let last = bytes.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    let (start, scan) = bytes[..bytes.len() - 2].split_at(last);
    [start, &scan.repeat(count), &[0xFF, 0xD9]].concat()
}

#[test]
fn scans_by_the_thousand_are_refused() {
    assert!(decode_default(&many_scans(1)).is_ok());
    assert_eq!(reason(&many_scans(5000)), FailureReason::DecodeLimit);
    // Few scans over many pixels cost as much as many over few.
    let limits = DecodeLimits {
        max_jpeg_scan_pixels: 280 * 12,
        ..DecodeLimits::default()
    };
    assert_eq!(
        decode(&many_scans(20), &limits).unwrap_err().reason(),
        FailureReason::DecodeLimit
    );
}

#[test]
fn a_progressive_jpeg_pays_for_its_coefficients() {
    let limits = DecodeLimits::default();
    let (plain, scanned) = (fixture("chroma420.jpg"), fixture("progressive.jpg"));
    let baseline = jpeg::survey(&plain, jpeg::Kinds::Files, &limits).unwrap();
    assert_eq!(baseline.coefficient_bytes, 0);
    let progressive = jpeg::survey(&scanned, jpeg::Kinds::Files, &limits).unwrap();
    // 20 x 14 pixels are 2 x 1 units of 16 x 16 pixels: four blocks of brightness and two of colour each.
    assert_eq!(progressive.coefficient_bytes, 2 * 6 * 64 * 2);
}

#[test]
fn a_jpeg_in_a_tiff_counts_all_that_its_decoder_holds_though_it_has_no_end() {
    let limits = DecodeLimits::default();
    let taken = |name: &str| {
        let bytes = fixture(name);
        jpeg::embedded_bytes(&bytes[..bytes.len() - 2], &limits).unwrap()
    };
    assert_eq!(taken("chroma420.jpg"), 20 * 14 * 3);
    assert_eq!(taken("progressive.jpg"), 20 * 14 * 3 + 2 * 6 * 64 * 2);
    assert_eq!(jpeg::embedded_bytes(b"\xff\xd8\xff\xd9", &limits).unwrap(), 0);
}

#[test]
fn a_pictures_bytes_fill_its_size() {
    assert!(Picture::new(2, 2, vec![0; 12]).is_some());
    assert!(Picture::new(2, 2, vec![0; 11]).is_none());
    assert!(Picture::new(0, 2, Vec::new()).is_none());
    assert!(Picture::new(u32::MAX, u32::MAX, vec![0; 3]).is_none());
}

#[test]
fn a_files_facts_say_what_it_holds_and_what_is_done_to_it() {
    let facts = |name: &str| {
        read(&fixture(name), &DecodeLimits::default(), &DicomSpec::pixels_alone())
            .unwrap()
            .facts
    };
    let turned = facts("orientation6.jpg");
    assert_eq!((turned.width, turned.height, turned.orientation), (20, 14, 6));
    assert_eq!((turned.mode.as_str(), turned.steps), ("YCbCr", vec!["turned upright"]));
    let deep = facts("grey_alpha16.png");
    assert_eq!(deep.mode, "16-bit grey and alpha");
    assert_eq!(deep.steps.len(), 3, "{:?}", deep.steps);
    assert_eq!(facts("ycck.jpg").mode, "YCCK");
    assert_eq!(facts("progressive.jpg").mode, "YCbCr, progressive");
    assert_eq!(facts("still.gif").mode, "palette");
    assert!(facts("rgb.bmp").steps.is_empty());
}

fn read_to(name: &str, width: u32, height: u32) -> Content {
    let pixels = DicomSpec::pixels_alone();
    read_for(&fixture(name), &DecodeLimits::default(), &pixels, &|_, _| {
        (width, height)
    })
    .unwrap()
}

#[test]
fn a_picture_is_reduced_as_far_as_it_stays_twice_as_large_as_its_target_on_both_sides() {
    assert_eq!(reduction((4000, 3000), (299, 224)), 4);
    assert_eq!(reduction((4000, 3584), (224, 224)), 8);
    assert_eq!(
        reduction((4000, 3583), (224, 224)),
        8,
        "a pixel that is there in part is there"
    );
    assert_eq!(reduction((4000, 3576), (224, 224)), 4);
    assert_eq!(reduction((447, 4000), (224, 224)), 1);
    assert_eq!(reduction((895, 4000), (224, 224)), 2);
    assert_eq!(reduction((1, 1), (u32::MAX, 1)), 1);
    proptest::proptest!(|(width in 1_u32..70_000, height in 1_u32..70_000, w in 1_u32..2000, h in 1_u32..2000)| {
        let by = reduction((width, height), (w, h));
        let is_enough = |by: u32| width.div_ceil(by) >= 2 * w && height.div_ceil(by) >= 2 * h;
        proptest::prop_assert!(by == 1 || is_enough(by));
        proptest::prop_assert!(by == 8 || !is_enough(by * 2));
    });
}

#[test]
fn a_jpeg_is_decoded_smaller_where_its_target_allows_it_and_shows_the_same() {
    let (width, height) = (1000, 752);
    let wave = |x: u32, y: u32, period: u32| u8::try_from(((x * 3 + y * 2) / period * 37) % 256).unwrap();
    let pixels =
        (0..height).flat_map(|y| (0..width).flat_map(move |x| [wave(x, y, 40), wave(y, x, 60), wave(x, x, 90)]));
    let drawn = Picture::new(width, height, pixels.collect()).unwrap();
    let as_it_is = sightline_core::PreviewSpec {
        width,
        height,
        format: sightline_core::PreviewFormat::Jpeg { quality: 95 },
        root: None,
    };
    let jpeg = crate::preview(&drawn, &as_it_is).unwrap();
    let exact = decode_default(&jpeg).unwrap();
    for (target, by) in [((250, 188), 2), ((125, 94), 4), ((62, 47), 8), ((501, 1), 1)] {
        let limits = DecodeLimits::default();
        let content = read_for(&jpeg, &limits, &DicomSpec::pixels_alone(), &|_, _| target).unwrap();
        let picture = &content.picture;
        let size = (width.div_ceil(by), height.div_ceil(by));
        assert_eq!((picture.width(), picture.height()), size);
        assert_eq!((content.facts.width, content.facts.height), (width, height));
        assert_eq!(content.facts.steps.contains(&"decoded at a part of its size"), by > 1);
        let small = |picture: &Picture| {
            let (width, height) = (62, 47);
            let whole = crate::resize::Window {
                left: 0,
                top: 0,
                width,
                height,
            };
            crate::resize::resize(picture, width, height, sightline_model_folder::Resample::Bicubic, whole)
        };
        let (ours, theirs) = (small(picture), small(&exact));
        let off: u32 = ours.iter().zip(&theirs).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        // Of 255; edges as hard as these keep a trace of how blocks are cut.
        const STEPS: u32 = 6;
        assert!(
            off <= STEPS * u32::try_from(ours.len()).unwrap(),
            "1/{by}: {off} over {}",
            ours.len()
        );
    }
}

#[test]
fn a_turned_jpeg_is_reduced_by_its_upright_sides() {
    // Stored 20 x 14, upright 14 x 20.
    let content = read_to("orientation6.jpg", 3, 5);
    assert_eq!((content.picture.width(), content.picture.height()), (7, 10));
    let content = read_to("orientation6.jpg", 5, 3);
    assert_eq!((content.picture.width(), content.picture.height()), (14, 20));
}

#[test]
fn what_is_no_jpeg_is_decoded_exactly_whatever_its_target() {
    let content = read_to("rgb.bmp", 1, 1);
    assert_eq!(content.picture, decode_default(&fixture("rgb.bmp")).unwrap());
}
