//! Arithmetic on vectors.

/// Why a vector cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// It holds NaN or infinity.
    #[error("the vector holds NaN or infinity")]
    NotFinite,
    /// Its length is 0.
    #[error("the vector has no length: every value is 0")]
    Zero,
}

/// Inner product, summed in f64 so that the order of terms does not show in an f32 result.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    dot_by(a, b, |value| value)
}

/// [`dot`] of a vector in the bytes of its values, little endian, without a copy of it.
#[must_use]
pub fn dot_stored(stored: &[u8], b: &[f32]) -> f64 {
    dot_by(stored.as_chunks::<4>().0, b, f32::from_le_bytes)
}

fn dot_by<T: Copy>(a: &[T], b: &[f32], value: impl Fn(T) -> f32) -> f64 {
    // Eight sums side by side let the compiler use the machine's vector registers.
    let mut sums = [0.0_f64; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for lane in 0..8 {
            sums[lane] += f64::from(value(x[lane])) * f64::from(y[lane]);
        }
    }
    let rest: f64 = a_rest
        .iter()
        .zip(b_rest)
        .map(|(x, y)| f64::from(value(*x)) * f64::from(*y))
        .sum();
    sums.iter().sum::<f64>() + rest
}

/// Scales a vector to length 1.
///
/// # Errors
/// When it holds a value that is not finite, or only zeros.
pub fn normalize(vector: &mut [f32]) -> Result<(), VectorError> {
    if vector.iter().any(|value| !value.is_finite()) {
        return Err(VectorError::NotFinite);
    }
    let length = dot(vector, vector).sqrt();
    if length == 0.0 {
        return Err(VectorError::Zero);
    }
    for value in vector {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a quotient of at most 1 in magnitude, rounded to f32"
        )]
        {
            *value = (f64::from(*value) / length) as f32;
        }
    }
    Ok(())
}

/// A vector as rows hold it, in f32. One that f32 cannot hold, since a value is beyond it or all are below, is scaled first:
/// it keeps its direction, and a length that is far from 1. So only zeros become zeros, and only NaN and infinity stay such.
#[must_use]
pub fn narrow(values: &[f64]) -> Vec<f32> {
    /// What the largest value is scaled to.
    const SMALL: f64 = 1e-30;
    const LARGE: f64 = 1e30;
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let scale = if largest == 0.0 || values.iter().any(|value| !value.is_finite()) {
        1.0
    } else if largest < f64::from(f32::MIN_POSITIVE) {
        SMALL / largest
    } else if largest > f64::from(f32::MAX) {
        LARGE / largest
    } else {
        1.0
    };
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and within what f32 holds")]
    values.iter().map(|value| (value * scale) as f32).collect()
}

/// Cosine of two vectors; 0 where one has no length.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_normalized_vector_has_length_one(mut vector in prop::collection::vec(-1e30_f32..1e30, 1..40)) {
            prop_assume!(vector.iter().any(|value| *value != 0.0));
            normalize(&mut vector).unwrap();
            prop_assert!((dot(&vector, &vector) - 1.0).abs() < 1e-5);
        }

        #[test]
        fn a_stored_vector_has_the_inner_product_of_its_values(
            pairs in prop::collection::vec((-1e30_f32..1e30, -1e30_f32..1e30), 0..40),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let stored: Vec<u8> = a.iter().flat_map(|value| value.to_le_bytes()).collect();
            prop_assert_eq!(dot_stored(&stored, &b).to_bits(), dot(&a, &b).to_bits());
        }
    }

    #[test]
    fn what_cannot_be_normalized_is_refused_and_left_as_it_was() {
        let mut vector = [1.0, f32::NAN];
        assert_eq!(normalize(&mut vector), Err(VectorError::NotFinite));
        assert!((vector[0] - 1.0).abs() < f32::EPSILON);
        assert_eq!(normalize(&mut [0.0, 0.0]), Err(VectorError::Zero));
    }

    #[test]
    fn what_f32_cannot_hold_keeps_its_direction_and_never_becomes_zeros() {
        assert_eq!(narrow(&[0.6, -0.8, 1e-300]), [0.6, -0.8, 0.0]);
        assert_eq!(narrow(&[0.0, -0.0]), [0.0, 0.0]);
        for far in [5e-324, 1e-300, 1e-40, 1e39, 1e300] {
            let narrowed = narrow(&[-3.0 * far, 4.0 * far]);
            assert!(cosine(&narrowed, &[-3.0, 4.0]) > 1.0 - 1e-6, "{far}: {narrowed:?}");
            let length = dot(&narrowed, &narrowed).sqrt();
            assert!(length > 0.0 && !(1e-20..=1e20).contains(&length), "{far}: {length}");
        }
        let broken = narrow(&[f64::NAN, f64::INFINITY, 1e-300]);
        assert!(broken[0].is_nan() && broken[1].is_infinite());
    }
}
