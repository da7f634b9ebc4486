//! oneDNN's product of a matrix with packed weights: the fastest that libtorch has on a processor, in f32 and bf16.

use crate::error::ModelError;
use sightline_model_folder::Activation;
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::ptr;
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

/// Rows that weights are packed for; other numbers are right as well, and hardly slower.
const ROWS: i64 = 512;

#[expect(unsafe_code, reason = "the signatures are those of cpp/onednn_linear.cpp")]
unsafe extern "C" {
    fn sightline_onednn_pack(weight: *const C_tensor, rows: i64, error: *mut *mut c_char) -> *mut C_tensor;
    fn sightline_onednn_linear(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        function: *const c_char,
        algorithm: *const c_char,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
    fn sightline_onednn_linear_onto(
        x: *const C_tensor,
        added: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
}

/// Weights in oneDNN's own order.
pub(super) struct PackedWeight(Tensor);

impl fmt::Debug for PackedWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedWeight({:?})", self.0.kind())
    }
}

impl PackedWeight {
    /// Packs `[outputs, inputs]`; none where this libtorch or this processor cannot multiply such numbers.
    pub(super) fn pack(weight: &Tensor) -> Option<Self> {
        if weight.device() != Device::Cpu || !matches!(weight.kind(), Kind::Float | Kind::BFloat16) {
            return None;
        }
        let tiny = Tensor::f_ones([1, 1], (weight.kind(), Device::Cpu)).ok()?;
        let tried = Self::packed(&tiny).and_then(|packed| {
            drop(packed.multiply(&tiny, None, None)?);
            packed.multiply_onto(&tiny, None, &tiny)
        });
        match tried.and_then(|_| Self::packed(weight)) {
            Ok(packed) => Some(packed),
            Err(error) => {
                tracing::debug!(%error, "oneDNN's product is not used");
                None
            }
        }
    }

    fn packed(weight: &Tensor) -> Result<Self, ModelError> {
        let mut error = ptr::null_mut();
        #[expect(
            unsafe_code,
            reason = "the pointer is a live tensor's, which is only read; what comes back is ours"
        )]
        let made = unsafe { taken(sightline_onednn_pack(weight.as_ptr(), ROWS, &raw mut error), error) };
        made.map(Self)
    }

    /// function(x · weightᵀ + bias) of `[rows, inputs]`.
    pub(super) fn multiply(
        &self,
        x: &Tensor,
        bias: Option<&Tensor>,
        function: Option<Fused>,
    ) -> Result<Tensor, ModelError> {
        let Fused { function, algorithm } = function.unwrap_or(Fused::NOTHING);
        let mut error = ptr::null_mut();
        #[expect(
            unsafe_code,
            reason = "the pointers are live tensors', which are only read, and texts' that end with a zero; what comes \
                      back is ours"
        )]
        unsafe {
            let made = sightline_onednn_linear(
                x.as_ptr(),
                self.0.as_ptr(),
                bias.map_or(ptr::null(), Tensor::as_ptr),
                function.as_ptr(),
                algorithm.as_ptr(),
                &raw mut error,
            );
            taken(made, error)
        }
    }

    /// x · weightᵀ + bias + added, of `[rows, inputs]` and `[rows, outputs]`, rounded once.
    pub(super) fn multiply_onto(
        &self,
        x: &Tensor,
        bias: Option<&Tensor>,
        added: &Tensor,
    ) -> Result<Tensor, ModelError> {
        let mut error = ptr::null_mut();
        #[expect(
            unsafe_code,
            reason = "the pointers are live tensors', which are only read; what comes back is ours"
        )]
        unsafe {
            let made = sightline_onednn_linear_onto(
                x.as_ptr(),
                added.as_ptr(),
                self.0.as_ptr(),
                bias.map_or(ptr::null(), Tensor::as_ptr),
                &raw mut error,
            );
            taken(made, error)
        }
    }
}

/// What a call gave: a tensor, or words that say why not.
///
/// # Safety
/// `made` is null, or a tensor that nobody else frees; then `error` is a text that `malloc` made and nobody else frees.
#[expect(unsafe_code, reason = "takes over what C++ has made")]
unsafe fn taken(made: *mut C_tensor, error: *mut c_char) -> Result<Tensor, ModelError> {
    if !made.is_null() {
        return Ok(unsafe { Tensor::from_ptr(made) });
    }
    let words = match error.is_null() {
        true => CString::default(),
        false => {
            let words = unsafe { CStr::from_ptr(error) }.to_owned();
            unsafe { libc::free(error.cast()) };
            words
        }
    };
    Err(tch::TchError::Torch(words.to_string_lossy().into_owned()).into())
}

/// A function that is applied to the product before it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fused {
    function: &'static CStr,
    algorithm: &'static CStr,
}

impl Fused {
    const NOTHING: Self = Self {
        function: c"none",
        algorithm: c"",
    };

    /// oneDNN's name of a function; none where it has none.
    pub(super) fn of(activation: Activation) -> Option<Self> {
        let (function, algorithm) = match activation {
            Activation::Gelu => (c"gelu", c"none"),
            Activation::GeluTanh => (c"gelu", c"tanh"),
            Activation::Relu => (c"relu", c""),
            Activation::Silu => (c"swish", c""),
            Activation::Tanh => (c"tanh", c""),
            Activation::Sigmoid => (c"sigmoid", c""),
            Activation::Linear => return Some(Self::NOTHING),
            Activation::QuickGelu | Activation::Relu6 | Activation::Mish => return None,
        };
        Some(Self { function, algorithm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::activate;

    const ALL: [Activation; 10] = [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
        Activation::Relu,
        Activation::Relu6,
        Activation::Silu,
        Activation::Mish,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Linear,
    ];

    /// Sums of some tens in bf16, rounded once or twice.
    const ROUNDED: f64 = 0.5;

    #[test]
    fn products_are_those_of_plain_arithmetic_with_each_function_for_any_number_of_rows() {
        tch::manual_seed(3);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let (weight, bias) = (random(&[24, 40]), random(&[24]));
        let packed = PackedWeight::pack(&weight).unwrap();
        for rows in [1, 7, 600] {
            let x = random(&[rows, 40]);
            for activation in ALL {
                let Some(fused) = Fused::of(activation) else { continue };
                for bias in [None, Some(&bias)] {
                    let ours = packed.multiply(&x, bias, Some(fused)).unwrap();
                    let plain = activate(activation, x.f_linear(&weight, bias).unwrap()).unwrap();
                    let difference = (ours - plain).abs().max().double_value(&[]);
                    assert!(difference < 1e-4, "{rows} rows, {activation:?}: {difference}");
                }
            }
        }
    }

    #[test]
    fn what_is_added_to_a_product_is_added_with_and_without_a_bias() {
        tch::manual_seed(4);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let (weight, bias) = (random(&[24, 40]), random(&[24]));
        for (kind, tolerance) in [(Kind::Float, 1e-4), (Kind::BFloat16, ROUNDED)] {
            let (weight, bias) = (weight.to_kind(kind), bias.to_kind(kind));
            // A processor may multiply no bf16; then nothing is packed in it.
            let Some(packed) = PackedWeight::pack(&weight) else {
                continue;
            };
            for rows in [1, 7, 600] {
                let (x, added) = (random(&[rows, 40]).to_kind(kind), random(&[rows, 24]).to_kind(kind));
                for bias in [None, Some(&bias)] {
                    let ours = packed.multiply_onto(&x, bias, &added).unwrap();
                    let plain = x.f_linear(&weight, bias).unwrap() + &added;
                    assert_eq!(ours.size(), plain.size());
                    let difference = (ours - plain).abs().max().double_value(&[]);
                    assert!(difference < tolerance, "{rows} rows, {kind:?}: {difference}");
                }
            }
        }
    }

    #[test]
    fn what_libtorch_throws_comes_back_as_words() {
        let packed = PackedWeight::pack(&Tensor::ones([4, 8], (Kind::Float, Device::Cpu))).unwrap();
        let wrong = packed.multiply(&Tensor::ones([2, 9], (Kind::Float, Device::Cpu)), None, None);
        assert!(!wrong.unwrap_err().to_string().is_empty());
    }

    #[test]
    fn numbers_that_onednn_does_not_multiply_are_not_packed() {
        assert!(PackedWeight::pack(&Tensor::ones([4, 8], (Kind::Int64, Device::Cpu))).is_none());
    }
}
