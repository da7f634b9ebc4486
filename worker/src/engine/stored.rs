//! Vectors that were made elsewhere: read, checked, and brought to length 1.

use super::blocks::{numbers, part, place};
use super::item::{Passage, Stopped, ending, failed};
use super::pipeline::Pipeline;
use super::read::{Source, unread};
use crate::ipc::Imported;
use crate::journal::JournalStage;
use bytes::Bytes;
use half::f16;
use sightline_core::vector::{VectorError, dot, narrow, normalize};
use sightline_core::{FailureReason, Item, NumberType, ObjectRef, Row, StoredVector, VectorField};
use std::ops::Range;

/// How far from 1 the length of a vector may be that is said to have it: f16 rounds to about 0.001.
const LENGTH_TOLERANCE: f64 = 0.01;
/// A vector of length 1 within this is kept to the bit: f32 knows no better.
const SAME_LENGTH: f64 = 1e-6;
/// Lengths between these are told in numbers.
const SHORTEST_TOLD: f64 = 0.0001;
const LONGEST_TOLD: f64 = 1e6;

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
        let mut bytes = Vec::new();
        for number in numbers(&range) {
            let block = self.pipeline.blocks.get(&self.work.job.root, array, number);
            let found = block
                .get_or_try_init(async || self.read_block(item, array, number).await)
                .await?;
            let part = part(found, number, &range).ok_or_else(|| {
                let message = format!("{:?} ends before the item's row: it is shorter than it was", array.key);
                failed(FailureReason::InvalidVector, message)
            })?;
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    /// Reads a block for all items in it. What is set aside for blocks is full of those that were read before: while this one is
    /// read it has room in the budget, too.
    async fn read_block(&mut self, item: &Item, array: &ObjectRef, number: u64) -> Result<Bytes, Stopped> {
        let pipeline: &Pipeline = self.pipeline;
        let place = place(number, array.size);
        let waiting = pipeline.stages.wait(JournalStage::Fetch);
        let bytes = place.end.saturating_sub(place.start);
        let _room = pipeline.room_for(bytes).await.ok_or_else(ending)?;
        let store = self.open_store().await?;
        let etag = Some(array.etag.as_str());
        let source = Source::new(store.as_ref(), &array.key, Some(place.clone()));
        let read = || store.get_range(&array.key, place.clone(), etag);
        self.read_in_turn(item, 1, source, waiting, read).await?.map_err(unread)
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
        NumberType::F64 => {
            let values = bytes.as_chunks::<8>().0.iter();
            narrow(&values.map(|value| f64::from_le_bytes(*value)).collect::<Vec<f64>>())
        }
    }
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
        // What f32 cannot hold was scaled: no more than the direction that it errs in is known.
        let length = match length {
            ..SHORTEST_TOLD => format!("below {SHORTEST_TOLD}"),
            ..LONGEST_TOLD => format!("{length:.4}"),
            _ => format!("of {LONGEST_TOLD} or more"),
        };
        return Err(format!(
            "it has length {length}, not 1: import with normalize where only directions count"
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
        let read = values(&doubles, NumberType::F64);
        assert!(read.iter().all(|value| value.is_finite()) && read[1] > 1e20, "{read:?}");
    }

    #[test]
    fn a_row_of_doubles_is_missing_only_where_it_is_zeros_as_it_is_written() {
        let read = |row: [f64; 2]| {
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            values(&bytes, NumberType::F64)
        };
        assert_eq!(checked(read([0.0, -0.0]), 2, false), Ok(None));
        for (scale, told) in [(1e-300, "length below 0.0001"), (1e300, "length of 1000000 or more")] {
            let row = [0.6 * scale, -0.8 * scale];
            let error = checked(read(row), 2, false).unwrap_err();
            assert!(error.contains(told), "{error}");
            let scaled = checked(read(row), 2, true).unwrap().unwrap();
            assert!(dot(&scaled, &[0.6, -0.8]) > 1.0 - 1e-6, "{scaled:?}");
        }
        assert!(
            checked(read([f64::INFINITY, 1e-300]), 2, true)
                .unwrap_err()
                .contains("infinity")
        );
    }
}
