//! Layer normalisation in bf16 by a kernel of our own, for one thread of a processor that has AVX-512 BF16: libtorch's
//! uses vectors of half that width, and takes 3.5 times as long.

use super::native::available;
use crate::error::ModelError;
use std::ffi::c_void;
use tch::{Device, Kind, Tensor};

#[expect(unsafe_code, reason = "the signature is that of cpp/layer_norm.cpp")]
unsafe extern "C" {
    fn sightline_layer_norm_bf16(
        x: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        out: *mut c_void,
        rows: i64,
        width: i64,
        eps: f32,
    );
}

/// (x − mean) / √(variance + eps) · weight + bias over the last dimension, of the length of `weight` and `bias`; none
/// where this kernel does not do it.
pub(super) fn normalise(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Option<Tensor>, ModelError> {
    let shape = x.size();
    let Some((&width, outer)) = shape.split_last() else {
        return Ok(None);
    };
    let fits = |part: &Tensor| (part.device(), part.kind()) == (Device::Cpu, Kind::BFloat16) && part.is_contiguous();
    let sizes_fit = width > 0 && weight.size() == [width] && bias.size() == [width];
    if !(sizes_fit && [x, weight, bias].into_iter().all(fits) && tch::get_num_threads() == 1 && available()) {
        return Ok(None);
    }
    let out = x.f_new_empty(shape.as_slice(), (Kind::BFloat16, Device::Cpu))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is added to a variance in f32 is f32"
    )]
    let eps = eps as f32;
    #[expect(
        unsafe_code,
        reason = "the processor has the instructions; the tensors are alive, of these sizes, and their values lie side \
                  by side; `out` is nobody else's"
    )]
    unsafe {
        sightline_layer_norm_bf16(
            x.data_ptr(),
            weight.data_ptr(),
            bias.data_ptr(),
            out.data_ptr(),
            outer.iter().product(),
            width,
            eps,
        );
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::set_threads;

    const EPS: f64 = 1e-12;
    /// Rounding a number to bf16's eight digits changes at most 1 / 256 of it.
    const ROUNDED: f64 = 1.0 / 255.0;
    /// What is left of sums in f32 where terms of up to about 10 cancel each other out.
    const CANCELLED: f64 = 1e-5;

    fn random(shape: &[i64], mean: f64) -> Tensor {
        (Tensor::randn(shape, (Kind::Float, Device::Cpu)) + mean).to_kind(Kind::BFloat16)
    }

    /// Weight and bias.
    fn affine(width: i64) -> [Tensor; 2] {
        tch::manual_seed(width);
        [random(&[width], 1.0), random(&[width], 0.0)]
    }

    fn all(of: &Tensor) -> bool {
        bool::try_from(of.all()).unwrap()
    }

    #[test]
    fn it_is_the_exact_result_rounded_once_for_any_width_and_number_of_rows() {
        set_threads(1);
        for width in [1, 15, 16, 17, 63, 64, 384, 768, 769, 1024] {
            let [weight, bias] = affine(width);
            for (rows, mean) in [(1, 0.0), (3, -2.0), (4, 1.0), (7, 20.0)] {
                let x = random(&[2, rows, width], mean);
                let Some(ours) = normalise(&x, &weight, &bias, 1e-6).unwrap() else {
                    assert!(!available(), "{width}");
                    continue;
                };
                assert_eq!((ours.size(), ours.kind()), (x.size(), Kind::BFloat16));
                let [x, weight, bias] = [&x, &weight, &bias].map(|part| part.to_kind(Kind::Double));
                let exact = x.layer_norm([width], Some(&weight), Some(&bias), 1e-6, true);
                let beyond = (ours.to_kind(Kind::Double) - &exact).abs() - exact.abs() * ROUNDED;
                let worst = beyond.max().double_value(&[]);
                assert!(worst < CANCELLED, "{rows} rows of {width}: {worst}");
            }
        }
    }

    #[test]
    fn rows_of_equal_values_become_the_bias_however_small_eps_is() {
        set_threads(1);
        for width in [17, 768, 1000] {
            let [weight, bias] = affine(width);
            // 0.1 and 123.4 have all eight digits of bf16.
            for value in [0.0, 0.1, 123.4, -3e4] {
                let x = Tensor::full([5, width], value, (Kind::BFloat16, Device::Cpu));
                let Some(ours) = normalise(&x, &weight, &bias, EPS).unwrap() else {
                    return;
                };
                assert!(all(&ours.eq_tensor(&bias)), "{width} times {value}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_not_hidden_and_stays_in_its_row() {
        set_threads(1);
        for (width, place) in [(768, 5), (17, 16)] {
            let [weight, bias] = affine(width);
            for broken in [f64::NAN, f64::INFINITY] {
                let x = random(&[6, width], 0.0);
                let _filled = x.narrow(0, 2, 1).narrow(1, place, 1).fill_(broken);
                let Some(ours) = normalise(&x, &weight, &bias, EPS).unwrap() else {
                    return;
                };
                assert!(all(&ours.narrow(0, 2, 1).isnan()), "{broken} among {width}");
                assert!(all(&ours.narrow(0, 0, 2).isfinite()) && all(&ours.narrow(0, 3, 3).isfinite()));
            }
        }
    }

    #[test]
    fn what_it_does_not_do_is_left_to_others() {
        set_threads(1);
        let [weight, bias] = affine(32);
        let x = random(&[4, 32], 0.0);
        let made = |x: &Tensor, weight: &Tensor| normalise(x, weight, &bias, EPS).unwrap().is_some();
        assert_eq!(made(&x, &weight), available());
        assert!(!made(&x.to_kind(Kind::Float), &weight));
        assert!(!made(&x, &weight.to_kind(Kind::Float)));
        assert!(!made(&random(&[32, 4], 0.0).transpose(0, 1), &weight));
        assert!(!made(&random(&[4, 16], 0.0), &weight));
        set_threads(2);
        assert!(!made(&x, &weight));
    }
}
