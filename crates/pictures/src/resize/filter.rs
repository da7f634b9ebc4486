//! Pillow's filters (`Resample.c`).

use sightline_model_folder::Resample;
use std::f64::consts::PI;

/// How far a filter reaches to either side when nothing shrinks.
pub(super) fn support(filter: Resample) -> f64 {
    match filter {
        Resample::Nearest | Resample::Box => 0.5,
        Resample::Bilinear | Resample::Hamming => 1.0,
        Resample::Bicubic => 2.0,
        Resample::Lanczos => 3.0,
    }
}

/// A filter's value at a distance.
pub(super) fn weight(filter: Resample, x: f64) -> f64 {
    match filter {
        Resample::Nearest | Resample::Box => f64::from(x > -0.5 && x <= 0.5),
        Resample::Bilinear => (1.0 - x.abs()).max(0.0),
        Resample::Hamming => hamming(x.abs()),
        Resample::Bicubic => bicubic(x.abs()),
        Resample::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        Resample::Lanczos => 0.0,
    }
}

fn hamming(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    if x >= 1.0 {
        return 0.0;
    }
    let x = x * PI;
    x.sin() / x * (0.54 + 0.46 * x.cos())
}

fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * PI;
    x.sin() / x
}
