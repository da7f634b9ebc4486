use super::*;
use crate::picture;
use sightline_core::FailureReason;
use std::fs;
use std::path::PathBuf;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/dicoms")
        .join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names() -> Vec<String> {
    serde_json::from_slice(&fixture("dicoms.json")).unwrap()
}

fn decoded(bytes: &[u8]) -> Result<(Facts, Picture), DecodeError> {
    let content = picture::read(bytes, &DecodeLimits::default(), &DicomSpec::default())?;
    Ok((content.facts, content.picture))
}

fn estimated(bytes: &[u8]) -> u64 {
    picture::estimated_bytes(bytes, &DecodeLimits::default())
}

/// A value of an element, found by the element's tag and type in a file with explicit types.
fn replace(bytes: &mut [u8], header: &[u8], value: &[u8]) {
    let at = bytes.windows(header.len()).position(|window| window == header).unwrap() + header.len();
    bytes[at..at + value.len()].copy_from_slice(value);
}

const ROWS: &[u8] = b"\x28\0\x10\0US\x02\0";
const COLUMNS: &[u8] = b"\x28\0\x11\0US\x02\0";

#[test]
fn every_kind_of_dicom_becomes_what_pydicom_makes_of_it() {
    let mut wrong = Vec::new();
    for name in names() {
        let picture = match decoded(&fixture(&name)) {
            Ok((_, picture)) => picture,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let expected = fixture(&format!("{name}.rgb"));
        let shown = picture.rgb();
        let pairs = shown.iter().zip(&expected);
        let off = pairs.filter(|(ours, theirs)| ours != theirs).count();
        if off > 0 || picture.rgb().len() != expected.len() {
            wrong.push(format!("{name}: {off} values differ"));
        }
    }
    assert!(names().len() > 20 && wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_frame_is_estimated_by_what_decoding_it_takes_and_not_by_how_many_there_are() {
    for name in names() {
        let bytes = fixture(&name);
        let (facts, _) = decoded(&bytes).unwrap();
        let pixels = u64::from(facts.width) * u64::from(facts.height);
        let estimated = estimated(&bytes);
        let most = if name.starts_with("j2k") { 120 } else { 36 };
        assert!(
            (pixels * 4..=pixels * most).contains(&estimated),
            "{name}: {estimated} bytes for {pixels} pixels"
        );
    }
    let wide = fixture("j2k16.dcm");
    let (facts, _) = decoded(&wide).unwrap();
    let pixels = u64::from(facts.width) * u64::from(facts.height);
    assert!(estimated(&wide) >= pixels * 16);
    assert_eq!(estimated(&wide[..200]), 0);
}

#[test]
fn every_frame_is_decoded_within_what_is_estimated_of_it() {
    for name in names() {
        let bytes = fixture(&name);
        let limits = DecodeLimits {
            max_alloc_bytes: estimated(&bytes),
            ..DecodeLimits::default()
        };
        let outline = estimate(&bytes, &limits).unwrap().outline.unwrap();
        for choice in [FrameChoice::First, FrameChoice::Middle] {
            let decoded = picture::read(&bytes, &limits, &taking(&[], choice));
            let decoded = decoded.unwrap_or_else(|error| panic!("{name}, {choice:?}: {error}"));
            let size = (decoded.picture.width(), decoded.picture.height());
            let found = (size, decoded.picture.channels());
            assert_eq!(found, (outline.size, outline.channels), "{name}");
        }
    }
}

#[test]
fn a_compressed_frame_is_refused_by_the_very_number_that_room_is_made_for_it_by() {
    for name in ["j2k16.dcm", "j2k_rgb.dcm", "jpeg_grey.dcm", "jpeg_rgb.dcm", "rle16.dcm"] {
        let bytes = fixture(name);
        let limits = DecodeLimits {
            max_alloc_bytes: estimated(&bytes) - 1,
            ..DecodeLimits::default()
        };
        let error = picture::read(&bytes, &limits, &DicomSpec::default()).unwrap_err();
        assert_eq!(error.reason(), FailureReason::DecodeLimit, "{name}: {error}");
    }
}

#[test]
fn a_stream_of_small_blocks_or_tiles_or_many_layers_is_estimated_by_what_the_decoder_keeps_for_them() {
    let bytes = fixture("j2k16.dcm");
    let (usual, pixels) = (estimated(&bytes), 40_u64 * 34);
    // 4 × 4 samples a block, where they were 64 × 64.
    let mut blocks = bytes.clone();
    replace(&mut blocks, b"\xFF\x52\0\x0C\0\0\0\x01\0\x05", &[0, 0]);
    assert!(estimated(&blocks) > usual + pixels / 16 * 600);
    // As many layers as can be: the decoder keeps marks for the packets of each.
    let mut layers = bytes.clone();
    replace(&mut layers, b"\xFF\x52\0\x0C\0\0", &[0xFF, 0xFF]);
    assert_eq!(estimated(&layers), usual + 65_534 * 6 * 2);
    // A pixel a tile, where all were one.
    let mut tiles = bytes;
    replace(
        &mut tiles,
        b"\0\0\0\x28\0\0\0\x22\0\0\0\0\0\0\0\0",
        &[0, 0, 0, 1, 0, 0, 0, 1],
    );
    assert!(estimated(&tiles) > usual + (pixels - 1) * 8000);
    let limits = DecodeLimits {
        max_alloc_bytes: 5 << 20,
        ..DecodeLimits::default()
    };
    let error = picture::read(&tiles, &limits, &DicomSpec::default()).unwrap_err();
    assert_eq!(error.reason(), FailureReason::DecodeLimit, "{error}");
}

#[test]
fn a_dicom_cut_short_or_changed_anywhere_is_an_error_or_a_picture_and_never_a_panic() {
    let mut refused = 0;
    for name in names() {
        let bytes = fixture(&name);
        for cut in (0..bytes.len()).step_by(41) {
            refused += usize::from(decoded(&bytes[..cut]).is_err());
        }
        for at in (132..bytes.len()).step_by(23) {
            for value in [0, 0xFF, bytes[at] ^ 0x10] {
                let mut changed = bytes.clone();
                changed[at] = value;
                drop(decoded(&changed));
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn a_dicom_is_known_by_its_content_even_with_a_tiffs_header_before_it() {
    let bytes = fixture("cr.dcm");
    assert!(bytes.starts_with(b"II*\0"));
    let facts = decoded(&bytes).unwrap().0;
    assert_eq!(facts.format, Format::Dicom);
    assert_eq!(facts.mode, "MONOCHROME1 of 12 bits, uncompressed");
    assert_eq!(
        facts.steps,
        ["the file's window", "inverted", "grey becomes red, green and blue"]
    );
    let facts = decoded(&fixture("rle_frames.dcm")).unwrap().0;
    assert_eq!(facts.steps[0], "the first frame counts");
}

#[test]
fn a_size_that_is_too_large_is_refused_before_its_pixels_are_looked_for() {
    for name in ["cr.dcm", "j2k16.dcm", "rle16.dcm", "jpeg_grey.dcm"] {
        let mut bytes = fixture(name);
        replace(&mut bytes, ROWS, &[0xFF, 0xFF]);
        replace(&mut bytes, COLUMNS, &[0xFF, 0xFF]);
        let error = decoded(&bytes).unwrap_err();
        assert_eq!(error.reason(), FailureReason::ImageTooLarge, "{name}: {error}");
    }
}

#[test]
fn a_stream_of_another_size_than_the_file_says_is_corrupt() {
    for name in ["j2k16.dcm", "rle16.dcm", "jpeg_grey.dcm", "jpeg_rgb.dcm", "cr.dcm"] {
        let mut bytes = fixture(name);
        replace(&mut bytes, ROWS, &[0x80, 0]);
        let error = decoded(&bytes).unwrap_err();
        assert_eq!(error.reason(), FailureReason::CorruptImage, "{name}: {error}");
    }
}

#[test]
fn an_element_that_claims_more_than_there_is_costs_nothing_and_says_so() {
    let mut bytes = fixture("cr.dcm");
    replace(&mut bytes, b"\xE0\x7F\x10\0OW\0\0", &[0xF0, 0xFF, 0xFF, 0xFF]);
    let error = decoded(&bytes).unwrap_err();
    assert!(error.to_string().contains("an element of 4294967280 bytes"), "{error}");
}

#[test]
fn what_is_not_read_is_named_with_a_way_out() {
    // Of the same length as the transfer syntax that the file has.
    let syntax = |name: &str, from: &str, to: &str| {
        let mut bytes = fixture(name);
        replace(
            &mut bytes,
            &[b"\x02\0\x10\0UI".as_slice(), &[u8::try_from(from.len()).unwrap(), 0]].concat(),
            to.as_bytes(),
        );
        decoded(&bytes).unwrap_err()
    };
    let error = syntax("jpeg_grey.dcm", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80");
    assert_eq!(error.reason(), FailureReason::UnsupportedFormat);
    assert!(error.to_string().contains("JPEG-LS: rewrite it"), "{error}");
    let deflated = syntax("jpeg_grey.dcm", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1.99");
    assert!(deflated.to_string().contains("deflated"), "{deflated}");
    let mut bytes = fixture("cr.dcm");
    replace(&mut bytes, b"\xE0\x7F", b"\x11");
    let error = decoded(&bytes).unwrap_err();
    assert!(error.to_string().contains("a DICOM without pixels"), "{error}");
}

#[test]
fn sequences_too_deep_are_refused() {
    // An element of unknown type that holds an item that holds an element, and so on.
    let mut bytes = fixture("cr.dcm");
    let at = bytes.windows(4).position(|four| four == b"\x28\0\x02\0").unwrap();
    let level = b"\x27\0\x01\0SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF";
    bytes.splice(at..at, level.repeat(100_000));
    let error = decoded(&bytes).unwrap_err();
    assert!(error.to_string().contains("more than 16 deep"), "{error}");
}

proptest::proptest! {
    #[test]
    fn packed_bytes_of_any_kind_never_panic(segment: Vec<u8>, pixels in 1_usize..200, samples in 1_usize..4, width in 1_usize..5) {
        drop(rle::decode(&segment, pixels, samples, width));
        let planes = u8::try_from(samples * width).unwrap();
        let mut fragment = vec![0; 64];
        fragment[0] = planes;
        for plane in 0..usize::from(planes) {
            fragment[4 * (plane + 1)] = 64;
        }
        fragment.extend(segment);
        drop(rle::decode(&fragment, pixels, samples, width));
    }

    #[test]
    fn any_data_set_is_read_or_refused(body: Vec<u8>) {
        let mut bytes = fixture("cr.dcm");
        let at = bytes.windows(4).position(|four| four == b"\x28\0\x02\0").unwrap();
        bytes.splice(at.., body);
        drop(decoded(&bytes));
    }
}

fn taking(words: &[&str], frame: FrameChoice) -> DicomSpec {
    DicomSpec::of_words(words.iter().copied(), frame).unwrap()
}

fn read(name: &str, spec: &DicomSpec) -> Result<Content, DecodeError> {
    picture::read(&fixture(name), &DecodeLimits::default(), spec)
}

#[test]
fn the_middle_frame_is_the_one_that_pydicom_finds_there() {
    let several = ["rle_frames.dcm", "frames.dcm", "bits1_frames.dcm", "jpeg_frames.dcm"];
    for name in several {
        let content = read(name, &taking(&[], FrameChoice::Middle)).unwrap();
        assert!(
            content.picture.rgb() == fixture(&format!("{name}.middle.rgb")),
            "{name}"
        );
        assert_eq!(content.facts.steps[0], "the middle frame counts");
    }
    let one = read("cr.dcm", &taking(&[], FrameChoice::Middle)).unwrap();
    assert!(one.picture.rgb() == fixture("cr.dcm.rgb"));
}

#[test]
fn frames_are_found_by_the_extended_offsets_where_the_usual_table_is_empty() {
    // The usual table of three offsets becomes an empty one; what it said stands before the pixels in eight bytes each.
    let mut bytes = fixture("jpeg_frames.dcm");
    let pixels = b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\x0C\0\0\0";
    let at = bytes.windows(pixels.len()).position(|window| window == pixels).unwrap();
    let table = at + pixels.len();
    let offsets: Vec<u8> = bytes[table..table + 12]
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|offset| u64::from(u32::from_le_bytes(*offset)).to_le_bytes())
        .collect();
    let extended = [b"\xE0\x7F\x01\0OV\0\0\x18\0\0\0".as_slice(), &offsets].concat();
    let empty = &pixels[..pixels.len() - 4];
    bytes.splice(at..table + 12, [&extended, empty, &[0; 4]].concat());
    let content = picture::read(&bytes, &DecodeLimits::default(), &taking(&[], FrameChoice::Middle)).unwrap();
    assert!(content.picture.rgb() == fixture("jpeg_frames.dcm.middle.rgb"));
}

#[test]
fn a_frame_that_is_claimed_and_not_there_is_corrupt() {
    for name in ["frames.dcm", "jpeg_frames.dcm", "bits1_frames.dcm"] {
        let mut bytes = fixture(name);
        replace(&mut bytes, b"\x28\0\x08\0IS\x02\0", b"99");
        let error = picture::read(&bytes, &DecodeLimits::default(), &taking(&[], FrameChoice::Middle)).unwrap_err();
        assert_eq!(error.reason(), FailureReason::CorruptImage, "{name}: {error}");
        assert!(error.to_string().contains("frame 50"), "{name}: {error}");
    }
}

#[test]
fn several_frames_are_refused_where_the_dataset_says_so_and_one_is_not() {
    let reject = taking(&[], FrameChoice::Reject);
    let error = read("frames.dcm", &reject).unwrap_err();
    assert_eq!(error.reason(), FailureReason::SeveralFrames);
    assert!(error.to_string().contains("3 frames"), "{error}");
    read("cr.dcm", &reject).unwrap();
}

#[test]
fn usual_tags_become_attributes_and_nobody_is_named() {
    let tags = read("tagged.dcm", &DicomSpec::default()).unwrap().tags;
    let expected = serde_json::json!({
        "BitsStored": 8, "BodyPartExamined": "CHEST", "Columns": 40, "ImageType": ["ORIGINAL", "PRIMARY"],
        "Manufacturer": "Sightline", "Modality": "CR", "PatientAge": 61, "PatientSex": "F",
        "PhotometricInterpretation": "MONOCHROME2", "PixelSpacing": [0.139, 0.2], "Rows": 34,
        "SeriesDescription": "흉부 정면", "SeriesNumber": 3, "StudyDate": "2026-01-19", "ViewPosition": "PA",
    });
    assert_eq!(serde_json::to_value(&tags).unwrap(), expected);
    assert!(read("tagged.dcm", &DicomSpec::pixels_alone()).unwrap().tags.is_empty());
}

#[test]
fn a_tag_that_identifies_is_there_when_it_is_asked_for_by_its_keyword() {
    let asked = [
        "none",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyInstanceUID",
    ];
    let tags = read("tagged.dcm", &taking(&asked, FrameChoice::First)).unwrap().tags;
    let expected = serde_json::json!({
        "PatientName": "Hong^Gildong=洪^吉洞=홍^길동", "PatientID": "P-7", "PatientBirthDate": "1965-02-03",
        "StudyInstanceUID": "1.2.3.6",
    });
    assert_eq!(serde_json::to_value(&tags).unwrap(), expected);
}

#[test]
fn tags_are_read_in_every_way_of_writing() {
    let rows = |name: &str| read(name, &DicomSpec::default()).unwrap().tags["Rows"].clone();
    assert_eq!(
        ["ct.dcm", "implicit.dcm", "big_endian.dcm"].map(rows),
        [34, 34, 34].map(serde_json::Value::from)
    );
}

#[test]
fn the_table_of_tags_in_the_documentation_is_the_one_that_counts() {
    use sightline_core::dicom::{TAGS, TagGroup};
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pictures.md");
    let page = fs::read_to_string(path).unwrap();
    for tag in &TAGS {
        let group = match tag.group {
            TagGroup::Technical => "technical, usual",
            TagGroup::Clinical => "usual",
            TagGroup::Identifying => "by its keyword alone",
        };
        let (group_number, element) = (tag.number >> 16, tag.number & 0xFFFF);
        let start = format!("| `{}` | ({group_number:04X},{element:04X}) | {group} |", tag.keyword);
        assert!(page.contains(&start), "docs/pictures.md lacks {start}");
    }
    assert_eq!(page.matches("| (00").count(), TAGS.len());
}
