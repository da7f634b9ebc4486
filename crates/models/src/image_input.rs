//! Prepared pictures as the network's input. The processor's are made of numbers where they are computed with; those of a device
//! are prepared as bytes, beside what it computes, and looked up there: a quarter of the bytes to write and to copy.

use crate::error::ModelError;
use sightline_model_folder::ImagePreprocessing;
use sightline_pictures::{PreparedPicture, Preprocessor};
use tch::{Device, Kind, Tensor};

/// Makes batches for one network.
pub(crate) struct ImageInput {
    preprocessor: Preprocessor,
    device: Device,
    kind: Kind,
    lookup: Option<Lookup>,
}

/// What each byte becomes, on a device of its own.
pub(crate) struct Lookup {
    /// `[3 * 256]`.
    table: Tensor,
    /// Where each channel's part of that begins: `[1, 3, 1, 1]`.
    channels: Tensor,
}

/// Pictures that go through a network together, as far as they can be prepared beside what its device computes.
pub(crate) enum Pass {
    Pictures(Vec<PreparedPicture>),
    Bytes {
        /// `[pictures, 3, height, width]`, in memory that the device copies from by itself.
        bytes: Tensor,
        lookup: Lookup,
    },
    /// The same of normalised f32, where pictures have values that no byte becomes.
    Values(Tensor),
}

impl ImageInput {
    /// Input on a device, in one kind of number.
    pub(crate) fn new(spec: &ImagePreprocessing, device: Device, kind: Kind) -> Result<Self, ModelError> {
        let preprocessor = Preprocessor::new(spec);
        let lookup = match device.is_cuda() {
            true => Some(Lookup::new(&preprocessor, device, kind)?),
            false => None,
        };
        Ok(Self {
            preprocessor,
            device,
            kind,
            lookup,
        })
    }

    /// Prepares what the device need not be waited for.
    pub(crate) fn prepare(&self, pictures: &[PreparedPicture]) -> Result<Pass, ModelError> {
        let Some(lookup) = &self.lookup else {
            return Ok(Pass::Pictures(pictures.to_vec()));
        };
        // What is filled up after normalising has values that no byte becomes.
        if !pictures.iter().all(|picture| self.preprocessor.is_full(picture)) {
            return Ok(Pass::Values(self.written(pictures)?));
        }
        let mut bytes = self.empty(pictures.len(), Kind::Uint8)?;
        let places = values_of::<u8>(&mut bytes).chunks_exact_mut(self.preprocessor.values());
        for (picture, place) in pictures.iter().zip(places) {
            self.preprocessor.write_bytes(picture, place)?;
        }
        Ok(Pass::Bytes {
            bytes,
            lookup: lookup.shallow_clone(),
        })
    }

    /// `[pictures, 3, height, width]` of normalised values, on the device.
    pub(crate) fn batch(&self, pass: &Pass) -> Result<Tensor, ModelError> {
        match pass {
            Pass::Pictures(pictures) => Ok(self.written(pictures)?.f_to_kind(self.kind)?),
            Pass::Bytes { bytes, lookup } => lookup.values(bytes, self.device),
            Pass::Values(values) => {
                let there = values.f_to_device_(self.device, Kind::Float, self.device.is_cuda(), false)?;
                Ok(there.f_to_kind(self.kind)?)
            }
        }
    }

    /// `[pictures, 3, height, width]` of normalised f32, on the processor.
    fn written(&self, pictures: &[PreparedPicture]) -> Result<Tensor, ModelError> {
        let mut batch = self.empty(pictures.len(), Kind::Float)?;
        let places = values_of::<f32>(&mut batch).chunks_exact_mut(self.preprocessor.values());
        for (picture, place) in pictures.iter().zip(places) {
            self.preprocessor.write(picture, place)?;
        }
        Ok(batch)
    }

    /// Zeros for so many pictures, in memory that a device of its own copies from by itself.
    fn empty(&self, pictures: usize, kind: Kind) -> Result<Tensor, ModelError> {
        let [height, width] = self.preprocessor.size().map(i64::from);
        let shape = [i64::try_from(pictures).unwrap_or(i64::MAX), 3, height, width];
        let zeros = Tensor::f_zeros(shape, (kind, Device::Cpu))?;
        Ok(match self.device.is_cuda() {
            // `pin_memory` itself writes two lines to stderr at each call that names a device, and tch names one.
            true => zeros.f_internal_pin_memory(self.device)?,
            false => zeros,
        })
    }
}

impl Lookup {
    fn new(preprocessor: &Preprocessor, device: Device, kind: Kind) -> Result<Self, ModelError> {
        let table = Tensor::f_from_slice(preprocessor.table().as_flattened())?;
        let channels = Tensor::f_from_slice(&[0_i32, 256, 512])?.f_reshape([1, 3, 1, 1])?;
        Ok(Self {
            table: table.f_to_device(device)?.f_to_kind(kind)?,
            channels: channels.f_to_device(device)?,
        })
    }

    /// The same tensors, not copies of them.
    fn shallow_clone(&self) -> Self {
        Self {
            table: self.table.shallow_clone(),
            channels: self.channels.shallow_clone(),
        }
    }

    fn values(&self, bytes: &Tensor, device: Device) -> Result<Tensor, ModelError> {
        let there = bytes.f_to_device_(device, Kind::Uint8, device.is_cuda(), false)?;
        let places = there.f_to_kind(Kind::Int)?.f_add_(&self.channels)?;
        let values = self.table.f_index_select(0, &places.f_flatten(0, -1)?)?;
        Ok(values.f_reshape(bytes.size())?)
    }
}

/// What a tensor is made of.
trait Value {}
impl Value for f32 {}
impl Value for u8 {}

/// The memory of a contiguous tensor of this type on the processor that was made with values in it.
fn values_of<T: Value>(tensor: &mut Tensor) -> &mut [T] {
    #[expect(unsafe_code, reason = "tch gives tensors' memory as a pointer only")]
    // SAFETY: so many values of the type are there, written when the tensor was made, as long as it is borrowed.
    unsafe {
        std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<T>(), tensor.numel())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::demo_model;
    use sightline_model_folder::Resize;
    use sightline_pictures::Picture;

    /// A picture of 300 x 280 with values that differ by `step`.
    fn picture(step: usize) -> Picture {
        let bytes = (0..300 * 280 * 3).map(|at| u8::try_from(at * step % 256).unwrap());
        Picture::new(300, 280, bytes.collect()).unwrap()
    }

    #[test]
    fn values_that_a_device_looks_up_are_those_that_are_written_on_the_processor() {
        let mut spec = demo_model().image.unwrap().preprocessing;
        for flip in [false, true] {
            spec.flip = flip;
            for kind in [Kind::Float, Kind::BFloat16] {
                let mut input = ImageInput::new(&spec, Device::Cpu, kind).unwrap();
                let pictures = [3, 5].map(|step| input.preprocessor.prepare(&picture(step)));
                let written = input.batch(&input.prepare(&pictures).unwrap()).unwrap();
                input.lookup = Some(Lookup::new(&input.preprocessor, Device::Cpu, kind).unwrap());
                let prepared = input.prepare(&pictures).unwrap();
                assert!(matches!(prepared, Pass::Bytes { .. }));
                let found = input.batch(&prepared).unwrap();
                assert_eq!((found.size(), found.kind()), (written.size(), written.kind()));
                assert!(found.equal(&written), "flip: {flip}, {kind:?}");
            }
        }
    }

    #[test]
    fn pictures_that_are_filled_up_are_made_of_numbers_beside_what_a_device_computes() {
        let mut spec = demo_model().image.unwrap().preprocessing;
        (spec.pad, spec.resize, spec.crop) = (true, Resize::Keep, [320, 320]);
        let mut input = ImageInput::new(&spec, Device::Cpu, Kind::BFloat16).unwrap();
        let pictures = [3, 5].map(|step| input.preprocessor.prepare(&picture(step)));
        let written = input.batch(&input.prepare(&pictures).unwrap()).unwrap();
        input.lookup = Some(Lookup::new(&input.preprocessor, Device::Cpu, Kind::BFloat16).unwrap());
        let prepared = input.prepare(&pictures).unwrap();
        assert!(matches!(prepared, Pass::Values(_)));
        let found = input.batch(&prepared).unwrap();
        assert_eq!((found.size(), found.kind()), (vec![2, 3, 320, 320], Kind::BFloat16));
        assert!(found.equal(&written));
    }
}
