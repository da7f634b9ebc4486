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
    // Eight sums side by side let the compiler use the machine's vector registers.
    let mut sums = [0.0_f64; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for lane in 0..8 {
            sums[lane] += f64::from(x[lane]) * f64::from(y[lane]);
        }
    }
    let rest: f64 = a_rest
        .iter()
        .zip(b_rest)
        .map(|(x, y)| f64::from(*x) * f64::from(*y))
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
    }

    #[test]
    fn what_cannot_be_normalized_is_refused_and_left_as_it_was() {
        let mut vector = [1.0, f32::NAN];
        assert_eq!(normalize(&mut vector), Err(VectorError::NotFinite));
        assert!((vector[0] - 1.0).abs() < f32::EPSILON);
        assert_eq!(normalize(&mut [0.0, 0.0]), Err(VectorError::Zero));
    }
}
