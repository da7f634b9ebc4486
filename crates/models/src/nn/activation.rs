//! The functions between linear maps.

use crate::error::ModelError;
use sightline_model_folder::Activation;
use tch::Tensor;

/// Applies the function to each value.
pub(crate) fn activate(function: Activation, x: Tensor) -> Result<Tensor, ModelError> {
    Ok(match function {
        Activation::Gelu => x.f_gelu("none")?,
        Activation::GeluTanh => x.f_gelu("tanh")?,
        Activation::QuickGelu => x.f_mul_scalar(1.702)?.f_sigmoid()?.f_mul(&x)?,
        Activation::Relu => x.f_relu()?,
        Activation::Relu6 => x.f_relu6()?,
        Activation::Silu => x.f_silu()?,
        Activation::Mish => x.f_mish()?,
        Activation::Tanh => x.f_tanh()?,
        Activation::Sigmoid => x.f_sigmoid()?,
        Activation::Linear => x,
    })
}
