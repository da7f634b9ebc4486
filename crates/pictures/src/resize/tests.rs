use super::*;
use crate::picture::Samples;
use proptest::prelude::*;

fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut state = u64::from(width) * 1000 + u64::from(height);
    (0..width * height * 3)
        .map(|_| {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            (state >> 16).to_le_bytes()[0]
        })
        .collect()
}

fn source(kind: &str, width: u32, height: u32) -> Picture {
    let mut rgb = noise(width, height);
    if kind == "edges" {
        rgb.iter_mut().for_each(|value| *value = 255 * (*value >> 7));
    }
    if kind == "grey" {
        rgb.truncate(width as usize * height as usize);
        let samples = Samples {
            channels: 1,
            bytes: rgb,
        };
        return Picture::of(width, height, samples).unwrap();
    }
    Picture::new(width, height, rgb).unwrap()
}

fn whole(width: u32, height: u32) -> Window {
    Window {
        left: 0,
        top: 0,
        width,
        height,
    }
}

fn pair(value: &serde_json::Value) -> (u32, u32) {
    let number = |index: usize| u32::try_from(value[index].as_u64().unwrap()).unwrap();
    (number(0), number(1))
}

#[test]
fn every_value_is_the_one_that_pillow_gives() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../tests/fixtures/resize/resize.json")).unwrap();
    let mut expected = include_bytes!("../../tests/fixtures/resize/resize.bin").as_slice();
    assert!(cases.len() > 60);
    for case in &cases {
        let (width, height) = pair(&case["from"]);
        let (to_width, to_height) = pair(&case["to"]);
        let filter = match case["filter"].as_str().unwrap() {
            "bilinear" => Resample::Bilinear,
            "bicubic" => Resample::Bicubic,
            "lanczos" => Resample::Lanczos,
            "nearest" => Resample::Nearest,
            "box" => Resample::Box,
            "hamming" => Resample::Hamming,
            other => panic!("{other}"),
        };
        let picture = source(case["source"].as_str().unwrap(), width, height);
        let ours = resize(&picture, to_width, to_height, filter, whole(to_width, to_height));
        let (theirs, rest) = expected.split_at(to_width as usize * to_height as usize * 3);
        assert_eq!(ours, theirs, "{case}");
        expected = rest;
    }
    assert!(expected.is_empty());
}

const FILTERS: [Resample; 5] = [
    Resample::Box,
    Resample::Bilinear,
    Resample::Hamming,
    Resample::Bicubic,
    Resample::Lanczos,
];

#[test]
fn the_fast_kernel_equals_the_scalar_one_when_much_is_shrunk() {
    for (kind, width, height) in [
        ("noise", 900, 700),
        ("edges", 1024, 333),
        ("noise", 2, 5000),
        ("grey", 1024, 700),
        ("grey", 3, 4000),
    ] {
        for filter in FILTERS {
            let picture = source(kind, width, height);
            let by = |kernel| resize_with(kernel, &picture, 224, 97, filter, whole(224, 97));
            assert_eq!(by(Kernel::detect()), by(Kernel::Scalar), "{kind} {width} {filter:?}");
        }
    }
}

proptest! {
    #[test]
    fn the_fast_kernel_equals_the_scalar_one(
        (width, height) in (1_u32..70, 1_u32..70),
        (to_width, to_height) in (1_u32..70, 1_u32..70),
        (left, top) in (0_u32..30, 0_u32..30),
        kind in prop::sample::select(["noise", "edges", "grey"].as_slice()),
        filter in prop::sample::select(FILTERS.as_slice()),
    ) {
        let picture = source(kind, width, height);
        let window = Window { left, top, width: 50, height: 50 };
        let by = |kernel| resize_with(kernel, &picture, to_width, to_height, filter, window);
        prop_assert_eq!(by(Kernel::detect()), by(Kernel::Scalar));
    }

    #[test]
    fn grey_of_one_value_a_pixel_becomes_what_its_three_equal_channels_become(
        (width, height) in (1_u32..90, 1_u32..90),
        (to_width, to_height) in (1_u32..40, 1_u32..40),
        filter in prop::sample::select([FILTERS.as_slice(), &[Resample::Nearest]].concat()),
    ) {
        let grey = source("grey", width, height);
        let three = Picture::new(width, height, grey.rgb().into_owned()).unwrap();
        prop_assert!(grey == three);
        let of = |picture| resize(picture, to_width, to_height, filter, whole(to_width, to_height));
        prop_assert_eq!(of(&grey), of(&three));
    }

    #[test]
    fn rows_that_come_in_strips_become_what_the_whole_picture_becomes(
        (width, height) in (2_u32..500, 1_u32..500),
        (to_width, to_height) in (1_u32..60, 1_u32..60),
        (left, top) in (0_u32..30, 0_u32..30),
        kind in prop::sample::select(["noise", "grey"].as_slice()),
        filter in prop::sample::select(FILTERS.as_slice()),
        few in 1_usize..9,
    ) {
        let picture = source(kind, width, height);
        let window = Window { left, top, width: 50, height: 50 };
        let (from, to) = ((width, height), (to_width, to_height));
        if let Some(mut strips) = Strips::new(from, picture.channels(), to, filter, window) {
            let stride = width as usize * picture.channels();
            for rows in picture.samples().chunks(stride * few) {
                // As many as there is room for, or a few at a time.
                for rows in rows.chunks(strips.place().len()) {
                    strips.place()[..rows.len()].copy_from_slice(rows);
                    strips.take(rows.len() / stride);
                }
            }
            prop_assert_eq!(strips.finish(), resize(&picture, to_width, to_height, filter, window));
        } else {
            prop_assert!(width <= to_width || left >= to_width || top >= to_height || rows_first(from, to));
        }
    }

    #[test]
    fn no_window_is_made_of_more_sources_than_are_counted_for_it(
        (source, target) in (1_u32..2000, 1_u32..2000),
        (start, length) in (0_u32..2000, 1_u32..300),
        filter in prop::sample::select(FILTERS.as_slice()),
    ) {
        let axis = Axis::new(source, target, start, length, filter);
        let (first, end) = axis.needs();
        prop_assert!((end - first) as u64 <= memory::sources(source, target, length.min(target).into()));
        for tap in axis.taps() {
            prop_assert!(tap.coefficients.len() as u64 <= memory::taps(source, target));
        }
    }

    #[test]
    fn a_window_is_that_part_of_the_whole(
        (width, height) in (1_u32..40, 1_u32..40),
        (to_width, to_height) in (1_u32..40, 1_u32..40),
        (left, top) in (0_u32..40, 0_u32..40),
        (wide, high) in (1_u32..50, 1_u32..50),
    ) {
        let picture = source("noise", width, height);
        let all = resize(&picture, to_width, to_height, Resample::Bicubic, whole(to_width, to_height));
        let part = resize(&picture, to_width, to_height, Resample::Bicubic, Window { left, top, width: wide, height: high });
        let rows = top.min(to_height)..(top + high).min(to_height);
        let columns = left.min(to_width) as usize * 3..(left + wide).min(to_width) as usize * 3;
        let expected: Vec<u8> = all
            .chunks_exact(to_width as usize * 3)
            .take(rows.end as usize)
            .skip(rows.start as usize)
            .flat_map(|row| row[columns.clone()].to_vec())
            .collect();
        prop_assert_eq!(part, expected);
    }
}
