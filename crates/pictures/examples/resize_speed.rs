//! How long the exact resize takes, by kernel: `cargo run -p sightline-pictures --example resize_speed`.

use sightline_model_folder::Resample;
use sightline_pictures::Picture;
use sightline_pictures::resize::{Kernel, Window, resize_with};
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

const LEAST: Duration = Duration::from_millis(300);

fn main() -> std::io::Result<()> {
    let window = Window {
        left: 0,
        top: 0,
        width: 224,
        height: 224,
    };
    for (width, height) in [(1024, 1024), (500, 375), (224, 300)] {
        let bytes = (0..width as usize * height as usize * 3).map(|at| ((at * 2_654_435_761) >> 13).to_le_bytes()[0]);
        let Some(picture) = Picture::new(width, height, bytes.collect()) else {
            continue;
        };
        for filter in [Resample::Bilinear, Resample::Bicubic, Resample::Lanczos] {
            let mut line = format!("{width} x {height} to 224 x 224, {filter:?}:");
            for kernel in [Kernel::Scalar, Kernel::detect()] {
                let (started, mut count) = (Instant::now(), 0_u32);
                while started.elapsed() < LEAST {
                    std::hint::black_box(resize_with(kernel, &picture, 224, 224, filter, window));
                    count += 1;
                }
                let milliseconds = started.elapsed().as_secs_f64() * 1000.0 / f64::from(count);
                line += &format!(" {kernel:?} {milliseconds:.3} ms");
            }
            writeln!(stdout(), "{line}")?;
        }
    }
    Ok(())
}
