//! Scaled dot-product attention, by the kernel that is best for the device and the numbers.

use crate::error::ModelError;
use tch::{Device, Kind, Tensor};

/// How a width is cut into heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) count: i64,
    pub(crate) width: i64,
}

impl Heads {
    /// `[batch, length, count · width]` to `[batch, count, length, width]`.
    pub(crate) fn split(self, x: &Tensor) -> Result<Tensor, ModelError> {
        let (batch, length, _) = x.size3()?;
        Ok(x.f_reshape([batch, length, self.count, self.width])?
            .f_transpose(1, 2)?)
    }

    /// The way back.
    pub(crate) fn join(self, x: &Tensor) -> Result<Tensor, ModelError> {
        let (batch, _, length, _) = x.size4()?;
        Ok(x.f_transpose(1, 2)?
            .f_reshape([batch, length, self.count * self.width])?)
    }
}

/// softmax(query · keyᵀ · scale + mask) · value, for each head. `scale` is 1/√width where it is not given; a mask is
/// added to the scores.
pub(crate) fn attend(
    [query, key, value]: [&Tensor; 3],
    mask: Option<&Tensor>,
    causal: bool,
    scale: Option<f64>,
) -> Result<Tensor, ModelError> {
    if (query.device(), query.kind()) == (Device::Cpu, Kind::BFloat16) {
        return attend_by_products([query, key, value], mask, causal, scale);
    }
    Ok(Tensor::f_scaled_dot_product_attention(
        query, key, value, mask, 0.0, causal, scale, false,
    )?)
}

/// Scores that are held at a time, in bytes: about what a core's own caches hold.
const SCORES_AT_ONCE: i64 = 4 << 20;
/// Added to the scores of what is not to be seen. Where nothing is, as in rows of padding, all weigh the same, while
/// infinities would make such rows NaN and the next layer all others.
const HIDDEN: f64 = -30_000.0;

/// The same from matrix products, a few heads at a time. For bf16 on a CPU libtorch's fused kernel multiplies with MKL,
/// which knows the processor's instructions for it on Intel's alone; its plain products go to oneDNN, which knows them
/// everywhere.
fn attend_by_products(
    parts: [&Tensor; 3],
    mask: Option<&Tensor>,
    causal: bool,
    scale: Option<f64>,
) -> Result<Tensor, ModelError> {
    let (batch, heads, length, width) = parts[0].size4()?;
    let keys = parts[1].size4()?.2;
    let matrices = batch * heads;
    let flat = |x: &Tensor| x.f_reshape([matrices, -1, width]);
    let [query, key, value] = [flat(parts[0])?, flat(parts[1])?, flat(parts[2])?];
    let hidden = mask_of(mask, causal, [batch, heads, length, keys], &query)?;
    #[expect(clippy::cast_precision_loss, reason = "a head's width")]
    let scale = scale.unwrap_or_else(|| 1.0 / (width as f64).sqrt());
    let at_once = (SCORES_AT_ONCE / (2 * length * keys).max(1)).max(i64::from(tch::get_num_threads()));
    let mut attended = Vec::new();
    let mut from = 0;
    while from < matrices {
        let count = at_once.min(matrices - from);
        let part = |x: &Tensor| x.f_narrow(0, from, count);
        let (added, weight) = match &hidden {
            Some(hidden) if hidden.size()[0] == 1 => (hidden.shallow_clone(), 1.0),
            Some(hidden) => (part(hidden)?, 1.0),
            None => (query.f_new_empty([1, 1, 1], (Kind::BFloat16, Device::Cpu))?, 0.0),
        };
        let scores = added.f_baddbmm(&part(&query)?, &part(&key)?.f_transpose(1, 2)?, weight, scale)?;
        attended.push(scores.f_softmax(-1, None)?.f_bmm(&part(&value)?)?);
        from += count;
    }
    let attended = match attended.as_slice() {
        [one] => one.shallow_clone(),
        several => Tensor::f_cat(several, 0)?,
    };
    Ok(attended.f_reshape([batch, heads, length, width])?)
}

/// What is added to the scores: `[batch · heads or 1, length or 1, keys]`.
fn mask_of(
    mask: Option<&Tensor>,
    causal: bool,
    [batch, heads, length, keys]: [i64; 4],
    like: &Tensor,
) -> Result<Option<Tensor>, ModelError> {
    let causal = match causal {
        true => Some(
            like.f_new_full([1, length, keys], HIDDEN, (Kind::BFloat16, Device::Cpu))?
                .f_triu(1)?,
        ),
        false => None,
    };
    let Some(mask) = mask else { return Ok(causal) };
    let rows = mask.size4()?.2;
    let mask = mask
        .f_clamp_min(HIDDEN)?
        .f_expand([batch, heads, rows, keys], false)?
        .f_reshape([batch * heads, rows, keys])?;
    Ok(Some(match causal {
        Some(causal) => mask.f_add(&causal)?,
        None => mask,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest_difference(shape: [i64; 4], mask: Option<&Tensor>, causal: bool) -> f64 {
        tch::manual_seed(7);
        let random = || Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(Kind::BFloat16);
        let parts = [random(), random(), random()];
        let ours = attend([&parts[0], &parts[1], &parts[2]], mask, causal, None).unwrap();
        let exact = parts.map(|part| part.to_kind(Kind::Float));
        let exact_mask = mask.map(|mask| mask.to_kind(Kind::Float));
        let theirs = attend([&exact[0], &exact[1], &exact[2]], exact_mask.as_ref(), causal, None).unwrap();
        (ours.to_kind(Kind::Float) - theirs).abs().max().double_value(&[])
    }

    #[test]
    fn products_of_a_few_heads_at_a_time_agree_with_the_fused_kernel() {
        for shape in [[2, 3, 5, 8], [1, 2, 1, 64], [3, 4, 700, 16]] {
            for causal in [false, true] {
                let difference = largest_difference(shape, None, causal);
                assert!(difference < 0.03, "{shape:?}, causal {causal}: {difference}");
            }
        }
    }

    #[test]
    fn padding_is_not_seen_and_a_row_that_sees_nothing_is_finite() {
        let hidden = [
            [0.0_f32; 5],
            [0.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY],
        ];
        let mask = Tensor::from_slice2(&hidden)
            .reshape([2, 1, 1, 5])
            .to_kind(Kind::BFloat16);
        let difference = largest_difference([2, 3, 5, 8], Some(&mask), false);
        assert!(difference < 0.03, "{difference}");

        let nothing = Tensor::full([2, 1, 5, 5], f64::NEG_INFINITY, (Kind::BFloat16, Device::Cpu));
        let x = Tensor::ones([2, 3, 5, 8], (Kind::BFloat16, Device::Cpu));
        let attended = attend([&x, &x, &x], Some(&nothing), false, None).unwrap();
        assert!(bool::try_from(attended.isfinite().all()).unwrap());
    }
}
