//! TorchScript modules. They are code: one is given to libtorch only when its digest is on the operator's list.

use crate::encoder::{ImageBatch, ImageEncoder, Started, items_in_a_pass};
use crate::error::ModelError;
use crate::image_input::ImageInput;
use sightline_core::digest::sha256_hex;
use sightline_model_folder::{ImageSide, ScriptImage, ScriptOutput, ScriptText};
use sightline_pictures::PreparedPicture;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{CModule, Device, IValue, Kind, Tensor};

/// About what a vision transformer makes of a picture, for the size of a pass.
const TOKENS_OF_A_PICTURE: usize = 200;

/// One method of a module, checked to give vectors.
pub(crate) struct Script {
    path: PathBuf,
    module: CModule,
    method: String,
    output: Option<ScriptOutput>,
    dimension: i64,
}

impl Script {
    fn load(
        path: &Path,
        (method, output, dimension): (&str, &Option<ScriptOutput>, u32),
        trusted: &[String],
        device: Device,
    ) -> Result<Self, ModelError> {
        let bytes = fs::read(path).map_err(|source| ModelError::Read {
            path: path.to_owned(),
            source,
        })?;
        // The very bytes that are loaded below: no other file can come between.
        let digest = sha256_hex(&bytes);
        if !trusted.iter().any(|trusted| trusted.eq_ignore_ascii_case(&digest)) {
            return Err(ModelError::Untrusted {
                path: path.to_owned(),
                digest,
            });
        }
        let module = CModule::load_data_on_device(&mut bytes.as_slice(), device)?;
        Ok(Self {
            path: path.to_owned(),
            module,
            method: method.to_owned(),
            output: output.clone(),
            dimension: i64::from(dimension),
        })
    }

    pub(crate) fn load_text(
        path: &Path,
        text: &ScriptText,
        trusted: &[String],
        device: Device,
    ) -> Result<Self, ModelError> {
        Self::load(path, (&text.method, &text.output, text.dimension), trusted, device)
    }

    /// `[items, dimension]` of what the method gives.
    pub(crate) fn run(&self, inputs: Vec<Tensor>, items: i64) -> Result<Tensor, ModelError> {
        let wrong = |detail: String| ModelError::Script {
            path: self.path.clone(),
            method: self.method.clone(),
            detail,
        };
        let inputs: Vec<IValue> = inputs.into_iter().map(IValue::Tensor).collect();
        let answer = if self.method == "forward" {
            self.module.forward_is(&inputs)?
        } else {
            self.module.method_is(&self.method, &inputs)?
        };
        let chosen = match (&self.output, answer) {
            (None, answer) => Some(answer),
            (Some(ScriptOutput::Place(place)), IValue::Tuple(parts) | IValue::GenericList(parts)) => {
                parts.into_iter().nth(*place)
            }
            (Some(ScriptOutput::Key(key)), IValue::GenericDict(pairs)) => pairs
                .into_iter()
                .find(|(name, _)| matches!(name, IValue::String(name) if name == key))
                .map(|(_, value)| value),
            _ => None,
        };
        let Some(IValue::Tensor(vectors)) = chosen else {
            let place = self
                .output
                .as_ref()
                .map_or("itself".to_owned(), |output| format!("at {output:?}"));
            return Err(wrong(format!(
                "its answer is no tensor {place}: see `output` in model.toml"
            )));
        };
        if vectors.size() != [items, self.dimension] {
            let detail = format!(
                "it gave the shape {:?} where [{items}, {}] was expected",
                vectors.size(),
                self.dimension
            );
            return Err(wrong(detail));
        }
        Ok(vectors)
    }
}

/// A module that embeds pictures.
pub(crate) struct ScriptImageModel {
    script: Script,
    input: ImageInput,
    device: Device,
}

impl std::fmt::Debug for ScriptImageModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScriptImageModel({})", self.script.path.display())
    }
}

impl ScriptImageModel {
    pub(crate) fn load(
        side: &ImageSide,
        image: &ScriptImage,
        trusted: &[String],
        device: Device,
    ) -> Result<Self, ModelError> {
        let path = side.weights.first().cloned().unwrap_or_default();
        Ok(Self {
            script: Script::load(&path, (&image.method, &image.output, image.dimension), trusted, device)?,
            input: ImageInput::new(&side.preprocessing, device, Kind::Float)?,
            device,
        })
    }
}

impl ImageEncoder for ScriptImageModel {
    fn prepare(&self, pictures: &[PreparedPicture]) -> Result<ImageBatch, ModelError> {
        ImageBatch::new(&self.input, pictures, items_in_a_pass(TOKENS_OF_A_PICTURE, self.device))
    }

    fn start(&self, batch: ImageBatch) -> Result<Started, ModelError> {
        batch.start(self.dimension(), |pass| {
            let pixels = self.input.batch(pass)?;
            let items = pixels.size4()?.0;
            self.script.run(vec![pixels], items)
        })
    }

    fn dimension(&self) -> usize {
        usize::try_from(self.script.dimension).unwrap_or(0)
    }
}
