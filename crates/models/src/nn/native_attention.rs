//! Attention in bf16 by a kernel of our own, for one thread of a processor that multiplies bf16 natively.
//!
//! libtorch's fused kernel leaves its products to MKL, which knows those instructions on Intel's processors alone; as
//! products and a softmax one after the other, attention writes and reads its scores several times, and copies query,
//! key and value before. Here scores of a few queries stay in the first cache, and are f32.

use super::Heads;
use super::native::available;
use crate::error::ModelError;
use std::ffi::c_void;
use tch::{Device, Kind, Tensor};

/// Values of a head.
const WIDTH: i64 = 64;
/// Keys that one vector has.
const LANES: i64 = 16;
/// Bytes of memory that the kernel needs for a key.
const SCRATCH_OF_A_KEY: i64 = 292;
/// Queries from which putting keys and values into the kernel's order is worth it.
const LEAST_QUERIES: i64 = 16;

/// `SightlineAttention` of cpp/attention.cpp.
#[repr(C)]
struct Attention {
    batch: i64,
    heads: i64,
    queries: i64,
    keys: i64,
    query: [i64; 2],
    key: [i64; 2],
    value: [i64; 2],
    scale: f32,
}

#[expect(unsafe_code, reason = "the signature is that of cpp/attention.cpp")]
unsafe extern "C" {
    fn sightline_attend_bf16(
        query: *const c_void,
        key: *const c_void,
        value: *const c_void,
        out: *mut c_void,
        scratch: *mut c_void,
        sizes: *const Attention,
    );
}

/// softmax(query · keyᵀ / 8) · value for each head, `[batch, queries, count · 64]`, of `[batch, length, count · 64]`
/// each; none where this kernel does not do it.
pub(super) fn attend([query, key, value]: [&Tensor; 3], heads: Heads) -> Result<Option<Tensor>, ModelError> {
    let ((batch, queries, width), (_, keys, _)) = (query.size3()?, key.size3()?);
    let parts = [query, key, value];
    let fits = |part: &&Tensor| {
        (part.device(), part.kind()) == (Device::Cpu, Kind::BFloat16) && part.stride().last() == Some(&1)
    };
    // The kernel looks at a last vector of keys: there has to be one.
    let wanted = heads.width == WIDTH && queries >= LEAST_QUERIES && keys > 0 && tch::get_num_threads() == 1;
    if !(wanted && parts.iter().all(fits) && available()) {
        return Ok(None);
    }
    let shape = [batch, keys, width];
    if width != heads.count * WIDTH || key.size() != shape || value.size() != shape {
        return Ok(None);
    }
    let strides = |part: &Tensor| part.stride3().map(|(item, position, _)| [item, position]);
    let sizes = Attention {
        batch,
        heads: heads.count,
        queries,
        keys,
        query: strides(query)?,
        key: strides(key)?,
        value: strides(value)?,
        scale: 0.125,
    };
    let out = query.f_new_empty([batch, queries, width], (Kind::BFloat16, Device::Cpu))?;
    let columns = (keys + LANES - 1) / LANES * LANES;
    let scratch = Tensor::f_empty([columns * SCRATCH_OF_A_KEY], (Kind::Uint8, Device::Cpu))?;
    #[expect(
        unsafe_code,
        reason = "the processor has the instructions; the tensors are alive, of these sizes and strides, and libtorch \
                  aligns what it makes to 64 bytes; `out` and `scratch` are nobody else's"
    )]
    unsafe {
        sightline_attend_bf16(
            query.data_ptr(),
            key.data_ptr(),
            value.data_ptr(),
            out.data_ptr(),
            scratch.data_ptr(),
            &raw const sizes,
        );
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::set_threads;
    use crate::nn;

    const HEADS: Heads = Heads { count: 3, width: WIDTH };
    /// What rounding inputs, weights and sums to bf16 makes of values of about 1.
    const TOLERANCE: f64 = 0.03;
    /// Of a number that is rounded to bf16 as a weight and as what comes out, 1 / 256 each, and divided by a sum.
    const ROUNDED_TWICE: f64 = 0.008;

    /// Query, key and value as one product gives them, side by side.
    fn parts(length: i64) -> [Tensor; 3] {
        tch::manual_seed(length);
        let width = HEADS.count * WIDTH;
        let all = Tensor::randn([2, length, 3 * width], (Kind::Float, Device::Cpu)).to_kind(Kind::BFloat16);
        [0, 1, 2].map(|part| all.narrow(-1, part * width, width))
    }

    #[test]
    fn it_agrees_with_the_fused_kernel_in_f32_for_any_number_of_positions() {
        set_threads(1);
        for length in [16, 17, 31, 50, 64, 196, 197, 577] {
            let [query, key, value] = parts(length);
            let Some(ours) = attend([&query, &key, &value], HEADS).unwrap() else {
                assert!(!available(), "{length}");
                continue;
            };
            let exact = [&query, &key, &value].map(|part| HEADS.split(&part.to_kind(Kind::Float)).unwrap());
            let theirs = nn::attend([&exact[0], &exact[1], &exact[2]], None, false, None).unwrap();
            let theirs = HEADS.join(&theirs).unwrap();
            assert_eq!((ours.size(), ours.kind()), (theirs.size(), Kind::BFloat16));
            let difference = (ours.to_kind(Kind::Float) - theirs).abs().max().double_value(&[]);
            assert!(difference < TOLERANCE, "{length}: {difference}");
        }
    }

    #[test]
    fn large_scores_stay_finite_and_what_is_no_number_is_not_hidden() {
        set_threads(1);
        let [query, key, value] = parts(40);
        let Some(ours) = attend([&(query.copy() * 300.0), &key, &value], HEADS).unwrap() else {
            return;
        };
        assert!(bool::try_from(ours.isfinite().all()).unwrap());
        let broken = query.copy();
        let _broken = broken.narrow(1, 7, 1).fill_(f64::NAN);
        let ours = attend([&broken, &key, &value], HEADS).unwrap().unwrap();
        assert!(bool::try_from(ours.narrow(1, 7, 1).isnan().all()).unwrap());
        assert!(bool::try_from(ours.narrow(1, 8, 32).isfinite().all()).unwrap());
    }

    #[test]
    fn each_weight_is_exponential_but_for_rounding() {
        set_threads(1);
        let options = (Kind::Float, Device::Cpu);
        // Score -k / 16 for key k, whose value is 1 at place k of each head and 0 elsewhere.
        let scores = Tensor::arange(WIDTH, options) / -16.0;
        let value = Tensor::eye(WIDTH, options).repeat([1, HEADS.count]);
        let key = scores.unsqueeze(1) * value.narrow(0, 0, 1);
        let query = Tensor::full([WIDTH, HEADS.count * WIDTH], 8.0, options);
        let [query, key, value] = [query, key, value].map(|part| part.unsqueeze(0).to_kind(Kind::BFloat16));
        let Some(ours) = attend([&query, &key, &value], HEADS).unwrap() else {
            return;
        };
        let exact = scores.softmax(0, Kind::Double).repeat([HEADS.count]);
        let difference = (ours.to_kind(Kind::Double) / exact - 1.0).abs().max().double_value(&[]);
        assert!(difference < ROUNDED_TWICE, "{difference}");
    }

    #[test]
    fn what_fills_the_last_vector_up_weighs_nothing_whatever_the_scores() {
        set_threads(1);
        let [query, _, value] = parts(17);
        // Scores of -7,200: a key of zeros has e^7200 times the weight of these.
        let (query, key) = (query.full_like(30.0), query.full_like(-30.0));
        let Some(ours) = attend([&query, &key, &value], HEADS).unwrap() else {
            return;
        };
        let mean = value
            .to_kind(Kind::Float)
            .mean_dim([1_i64].as_slice(), true, Kind::Float);
        let difference = (ours.to_kind(Kind::Float) - mean).abs().max().double_value(&[]);
        assert!(difference < TOLERANCE, "{difference}");
    }

    #[test]
    fn what_it_does_not_do_is_left_to_others() {
        set_threads(1);
        let [query, key, value] = parts(20);
        let single = query.to_kind(Kind::Float);
        assert!(attend([&single, &single, &single], HEADS).unwrap().is_none());
        let first = query.narrow(1, 0, 1);
        assert!(attend([&first, &key, &value], HEADS).unwrap().is_none());
        let nothing = key.narrow(1, 0, 0);
        assert!(attend([&query, &nothing, &nothing], HEADS).unwrap().is_none());
        let narrow = Heads { count: 6, width: 32 };
        assert!(attend([&query, &key, &value], narrow).unwrap().is_none());
        set_threads(2);
        assert!(attend([&query, &key, &value], HEADS).unwrap().is_none());
    }
}
