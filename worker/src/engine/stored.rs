//! Vectors that were made elsewhere: read, checked, and brought to length 1.

use super::blocks::{numbers, part, place};
use super::fail;
use super::item::{Passage, Stopped, ending, failed, unread};
use crate::ipc::Imported;
use crate::journal::JournalStage;
use half::f16;
use sightline_core::vector::{VectorError, dot, normalize};
use sightline_core::{FailureReason, Item, NumberType, ObjectRef, Row, StoredVector, VectorField};
use sightline_objects::ObjectError;
use std::ops::Range;

/// How far from 1 the length of a vector may be that is said to have it: f16 rounds to about 0.001.
const LENGTH_TOLERANCE: f64 = 0.01;
/// A vector of length 1 within this is kept to the bit: f32 knows no better.
const SAME_LENGTH: f64 = 1e-6;

impl Passage<'_> {
    /// Reads an item's vectors into its row.
    pub(super) async fn load_vectors(
        &mut self,
        item: &Item,
        imported: &Imported,
        row: &mut Row,
    ) -> Result<(), Stopped> {
        for (field, wanted) in &imported.fields {
            let values = match item.vectors.get(field) {
                None | Some(StoredVector::Missing { .. }) => continue,
                Some(inline @ StoredVector::Inline { .. }) => {
                    let damaged = || failed(FailureReason::InvalidVector, format!("{field}: its bytes are damaged"));
                    inline.inline_values().ok_or_else(damaged)?
                }
                Some(StoredVector::Row {
                    array,
                    offset,
                    dimension,
                    numbers,
                }) => {
                    let end = offset + u64::from(*dimension) * numbers.bytes();
                    values(&self.read_range(item, array, *offset..end).await?, *numbers)
                }
            };
            let checked = checked(values, wanted.dimension, imported.normalize);
            let vector = checked.map_err(|why| failed(FailureReason::InvalidVector, format!("{field}: {why}")))?;
            match field {
                VectorField::Image => row.image_embedding = vector,
                VectorField::Text => row.text_embedding = vector,
            }
        }
        if row.image_embedding.is_none() && row.text_embedding.is_none() {
            let message = "each of its vectors is missing, or is zeros";
            return Err(failed(FailureReason::NothingToEmbed, message));
        }
        Ok(())
    }

    async fn read_range(&mut self, item: &Item, array: &ObjectRef, range: Range<u64>) -> Result<Vec<u8>, Stopped> {
        let pipeline = self.pipeline;
        let store = self.open_store().await?;
        let root = self.work.job.root.as_str();
        self.slot.enter(JournalStage::Fetch);
        fail::point(&item.key, JournalStage::Fetch, &self.slot);
        let stage = pipeline.stages.enter(JournalStage::Fetch, 1);
        let mut bytes = Vec::new();
        for number in numbers(&range) {
            let block = pipeline.blocks.get(root, array, number);
            let fetch = async || {
                let _turn = pipeline.fetches.acquire().await.map_err(|_| ending())?;
                let place = place(number, array.size);
                let etag = Some(array.etag.as_str());
                let read = || store.get_range(&array.key, place.clone(), etag);
                pipeline
                    .retry
                    .run(ObjectError::is_retryable, read)
                    .await
                    .map_err(unread)
            };
            let found = block.get_or_try_init(fetch).await?;
            let part = part(found, number, &range).ok_or_else(|| {
                let message = format!("{:?} ends before the item's row: it is shorter than it was", array.key);
                failed(FailureReason::InvalidVector, message)
            })?;
            bytes.extend_from_slice(&part);
        }
        let took_us = stage.share_us();
        drop(stage);
        self.took(JournalStage::Fetch, took_us);
        self.slot.enter(JournalStage::Queued);
        Ok(bytes)
    }
}

fn values(bytes: &[u8], numbers: NumberType) -> Vec<f32> {
    match numbers {
        NumberType::F16 => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|value| f16::from_le_bytes(*value).to_f32())
            .collect(),
        NumberType::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect(),
        NumberType::F64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|value| narrow(f64::from_le_bytes(*value)))
            .collect(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rows are f32; a number beyond them becomes infinite, and is refused as that"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// A vector as it is stored; none where it is all zeros, which is how arrays say that there is none.
fn checked(mut values: Vec<f32>, dimension: u32, scale: bool) -> Result<Option<Vec<f32>>, String> {
    if u32::try_from(values.len()) != Ok(dimension) {
        return Err(format!(
            "it has {} values; the collection's have {dimension}",
            values.len()
        ));
    }
    let length = dot(&values, &values).sqrt();
    let same = (length - 1.0).abs();
    if same <= SAME_LENGTH {
        return Ok(Some(values));
    }
    if length.is_finite() && length > 0.0 && !scale && same > LENGTH_TOLERANCE {
        return Err(format!(
            "it has length {length:.4}, not 1: import with normalize where only directions count"
        ));
    }
    match normalize(&mut values) {
        Ok(()) => Ok(Some(values)),
        Err(VectorError::Zero) => Ok(None),
        Err(error @ VectorError::NotFinite) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_of_length_one_is_kept_to_the_bit_and_one_nearly_so_is_scaled() {
        let exact = vec![0.6_f32, 0.8];
        assert_eq!(checked(exact.clone(), 2, false), Ok(Some(exact)));
        let near = checked(vec![0.6005, 0.8], 2, false).unwrap().unwrap();
        assert!((dot(&near, &near).sqrt() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn vectors_that_cannot_be_stored_are_told_apart_from_those_that_are_not_there() {
        assert_eq!(checked(vec![0.0, 0.0], 2, false), Ok(None));
        assert!(checked(vec![3.0, 4.0], 2, false).unwrap_err().contains("length 5.0000"));
        assert_eq!(checked(vec![3.0, 4.0], 2, true), Ok(Some(vec![0.6, 0.8])));
        for broken in [vec![f32::NAN, 1.0], vec![f32::INFINITY, 0.0]] {
            assert!(checked(broken, 2, true).unwrap_err().contains("NaN or infinity"));
        }
        assert!(checked(vec![1.0], 2, true).unwrap_err().contains("1 values"));
    }

    #[test]
    fn numbers_of_every_width_are_read() {
        let halves: Vec<u8> = [1.5, -2.0]
            .iter()
            .flat_map(|value| f16::from_f64(*value).to_le_bytes())
            .collect();
        assert_eq!(values(&halves, NumberType::F16), [1.5, -2.0]);
        let singles: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(values(&singles, NumberType::F32), [1.5, -2.0]);
        let doubles: Vec<u8> = [1.5_f64, 1e300].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(values(&doubles, NumberType::F64), [1.5, f32::INFINITY]);
    }
}
