//! Tensors out of safetensors files, each one checked before anything is served.

use crate::error::ModelError;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use sightline_model_folder::{ImageNetwork, ModelFolder, TextNetwork};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

const LISTED: usize = 5;

struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<i64>,
    bytes: Range<usize>,
}

/// The tensors of one or more files, mapped into memory. Each is copied when it is taken, so that a file that changes
/// later cannot reach a running model.
pub(crate) struct Weights {
    files: Vec<(PathBuf, Mmap)>,
    entries: BTreeMap<String, Entry>,
    device: Device,
    kind: Kind,
}

impl Weights {
    /// Tensors are given in `kind`, on the device.
    pub(crate) fn open(paths: &[PathBuf], device: Device, kind: Kind) -> Result<Self, ModelError> {
        let mut weights = Self {
            files: Vec::with_capacity(paths.len()),
            entries: BTreeMap::new(),
            device,
            kind,
        };
        for path in paths {
            weights.add(path)?;
        }
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<(), ModelError> {
        let map = map(path)?;
        let damaged = |detail: String| ModelError::Damaged {
            path: path.to_owned(),
            detail,
        };
        let tensors = SafeTensors::deserialize(&map).map_err(|error| damaged(error.to_string()))?;
        let start = map.as_ptr() as usize;
        for (name, view) in tensors.iter() {
            let name = current(name);
            let first = view.data().as_ptr() as usize - start;
            let shape: Option<Vec<i64>> = view.shape().iter().map(|size| i64::try_from(*size).ok()).collect();
            let entry = Entry {
                file: self.files.len(),
                dtype: view.dtype(),
                shape: shape.ok_or_else(|| damaged(format!("tensor `{name}` has an impossible shape")))?,
                bytes: first..first + view.data().len(),
            };
            if let Some(other) = self.entries.insert(name.clone(), entry) {
                return Err(ModelError::DoubleTensor {
                    first: self.files[other.file].0.clone(),
                    second: path.to_owned(),
                    tensor: name,
                });
            }
        }
        self.files.push((path.to_owned(), map));
        Ok(())
    }

    /// The first of these with which the tensor is there; where it is with none, what stands before the only tensor whose
    /// name ends so (a model that was saved as a part of another); else the first of all.
    pub(crate) fn prefix(&self, prefixes: &[&'static str], name: &str) -> String {
        let mut known = prefixes
            .iter()
            .filter(|prefix| self.entries.contains_key(&format!("{prefix}{name}")));
        if let Some(prefix) = known.next() {
            return (*prefix).to_owned();
        }
        let mut others = self
            .entries
            .keys()
            .filter_map(|full| full.strip_suffix(name).filter(|prefix| prefix.ends_with('.')));
        match (others.next(), others.next()) {
            (Some(prefix), None) => prefix.to_owned(),
            _ => prefixes.first().copied().unwrap_or_default().to_owned(),
        }
    }

    /// Takes a tensor that may have any of these shapes.
    pub(crate) fn take_any(&mut self, name: &str, shapes: &[&[i64]]) -> Result<Tensor, ModelError> {
        let found = self.entries.get(name).map(|entry| entry.shape.as_slice());
        let shape = shapes.iter().find(|shape| found == Some(**shape)).or(shapes.first());
        self.take(name, shape.copied().unwrap_or_default())
    }

    /// Removes a tensor, proves its shape and that all its values are finite, and puts it on the device in the model's
    /// precision.
    pub(crate) fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        Ok(self
            .as_stored(name, shape)?
            .f_to_kind(self.kind)?
            .f_to_device(self.device)?)
    }

    /// The product of two tensors, which is rounded to the model's precision once.
    pub(crate) fn take_product(&mut self, name: &str, shape: &[i64], factor: &Tensor) -> Result<Tensor, ModelError> {
        let product = self.as_stored(name, shape)?.f_to_kind(Kind::Float)?.f_mul(factor)?;
        Ok(product.f_to_kind(self.kind)?.f_to_device(self.device)?)
    }

    /// Takes a factor for [`Self::take_product`].
    pub(crate) fn take_factor(&mut self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        Ok(self.as_stored(name, shape)?.f_to_kind(Kind::Float)?)
    }

    fn as_stored(&mut self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        let entry = self.entries.remove(name).ok_or_else(|| ModelError::MissingTensor {
            files: self.names(),
            tensor: name.to_owned(),
        })?;
        let (path, map) = &self.files[entry.file];
        if entry.shape != shape {
            return Err(ModelError::Shape {
                path: path.clone(),
                tensor: name.to_owned(),
                found: entry.shape,
                expected: shape.to_vec(),
            });
        }
        let data = &map[entry.bytes];
        let (kind, finite) = match entry.dtype {
            Dtype::F32 => (
                Kind::Float,
                all_finite(data.as_chunks().0, |b| {
                    u32::from_le_bytes(b) & 0x7F80_0000 != 0x7F80_0000
                }),
            ),
            Dtype::F16 => (
                Kind::Half,
                all_finite(data.as_chunks().0, |b| u16::from_le_bytes(b) & 0x7C00 != 0x7C00),
            ),
            Dtype::BF16 => (
                Kind::BFloat16,
                all_finite(data.as_chunks().0, |b| u16::from_le_bytes(b) & 0x7F80 != 0x7F80),
            ),
            other => {
                return Err(ModelError::Type {
                    path: path.clone(),
                    tensor: name.to_owned(),
                    found: format!("{other:?}"),
                });
            }
        };
        if !finite {
            return Err(ModelError::NotFinite {
                path: path.clone(),
                tensor: name.to_owned(),
            });
        }
        Ok(Tensor::f_from_data_size(data, shape, kind)?)
    }

    /// Proves that nothing is left but what may be ignored by name.
    pub(crate) fn finish(self, ignored: impl Fn(&str) -> bool) -> Result<(), ModelError> {
        let mut left = self.entries.keys().filter(|name| !ignored(name));
        let some: Vec<&str> = left.by_ref().take(LISTED).map(String::as_str).collect();
        if some.is_empty() {
            return Ok(());
        }
        let more = left.count();
        let tensors = some.join(", ");
        Err(ModelError::UnknownTensors {
            files: self.names(),
            tensors: if more == 0 {
                tensors
            } else {
                format!("{tensors} and {more} more")
            },
        })
    }

    /// The same where an encoder's tensors have a prefix, and those that begin with one of `ignored` may be left, below it
    /// or not.
    pub(crate) fn finish_below(self, prefix: &str, ignored: &[&str]) -> Result<(), ModelError> {
        self.finish(|full| {
            let own = full.strip_prefix(prefix).unwrap_or(full);
            ignored
                .iter()
                .any(|ignored| own.starts_with(ignored) || full.starts_with(ignored))
        })
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.files.iter().map(|(path, _)| path.display().to_string()).collect();
        names.join(" and ")
    }
}

/// Numbers that a model's files hold, as their headers say. A file of both sides counts once. None for a TorchScript
/// module, whose code would have to run to tell.
///
/// # Errors
/// When a file cannot be read, or is damaged.
pub fn parameters(folder: &ModelFolder) -> Result<Option<u64>, ModelError> {
    let (image, text) = (folder.image.as_ref(), folder.text.as_ref());
    if image.is_some_and(|side| matches!(side.network, ImageNetwork::TorchScript(_)))
        || text.is_some_and(|side| matches!(side.network, TextNetwork::TorchScript(_)))
    {
        return Ok(None);
    }
    let image = image.into_iter().flat_map(|side| &side.weights);
    let text = text
        .into_iter()
        .flat_map(|side| side.weights.iter().chain(side.dense.iter().map(|dense| &dense.file)));
    let files: BTreeSet<&PathBuf> = image.chain(text).collect();
    let mut sum = 0;
    for path in files {
        let weights = Weights::open(std::slice::from_ref(path), Device::Cpu, Kind::Float)?;
        let values = weights
            .entries
            .values()
            .map(|entry| entry.shape.iter().product::<i64>());
        sum += values.filter_map(|values| u64::try_from(values).ok()).sum::<u64>();
    }
    Ok(Some(sum))
}

/// A tensor's name as it is written today: checkpoints that came from TensorFlow name a norm's weights otherwise.
fn current(name: &str) -> String {
    for (old, new) in [(".gamma", ".weight"), (".beta", ".bias")] {
        if let Some(norm) = name.strip_suffix(old).filter(|norm| norm.ends_with("LayerNorm")) {
            return format!("{norm}{new}");
        }
    }
    name.to_owned()
}

fn map(path: &Path) -> Result<Mmap, ModelError> {
    let read = |source| ModelError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.len() == 0 {
        return Err(ModelError::Damaged {
            path: path.to_owned(),
            detail: "it is empty".to_owned(),
        });
    }
    #[expect(
        unsafe_code,
        reason = "weights are read-only inputs: a program that cuts the file short while it is read could end this process, and no more"
    )]
    let map = unsafe { Mmap::map(&file) };
    map.map_err(read)
}

fn all_finite<const N: usize>(values: &[[u8; N]], finite: impl Fn([u8; N]) -> bool) -> bool {
    values.iter().all(|value| finite(*value))
}
