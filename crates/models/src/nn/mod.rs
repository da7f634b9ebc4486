//! The parts that networks are made of, in the precision that a model is loaded in.

mod activation;
mod attention;
mod layers;
mod linear;
#[cfg(target_arch = "x86_64")]
mod native;
#[cfg(target_arch = "x86_64")]
mod native_attention;
#[cfg(target_arch = "x86_64")]
mod native_norm;
mod norm;
mod onednn;

use activation::activate;
pub(crate) use attention::{Heads, attend};
pub(crate) use layers::{Asked, Layers};
pub(crate) use linear::Linear;
pub(crate) use norm::LayerNorm;
