//! EfficientNet-Lite, as an encoder of pictures, with a projection into a text encoder's space.

use crate::encoder::{ImageBatch, ImageEncoder, Started};
use crate::error::ModelError;
use crate::image_input::{ImageInput, Pass};
use crate::projection::ClassMixture;
use crate::weights::Weights;
use sightline_model_folder::{EfficientNetLite as Config, ImageSide};
use sightline_pictures::PreparedPicture;
use tch::{Device, Kind, Tensor};

/// A convolution with its batch normalisation folded in.
struct Conv {
    weight: Tensor,
    bias: Tensor,
    kernel: i64,
    stride: i64,
    groups: i64,
}

struct ConvShape {
    inputs: i64,
    outputs: i64,
    kernel: i64,
    stride: i64,
    groups: i64,
}

impl Conv {
    fn load(weights: &mut Weights, conv: &str, norm: &str, shape: &ConvShape, eps: f64) -> Result<Self, ModelError> {
        let ConvShape {
            inputs,
            outputs,
            kernel,
            stride,
            groups,
        } = *shape;
        let raw = weights.take(&format!("{conv}.weight"), &[outputs, inputs / groups, kernel, kernel])?;
        let mut of_norm = |part: &str| -> Result<Tensor, ModelError> {
            Ok(weights
                .take(&format!("{norm}.{part}"), &[outputs])?
                .f_to_kind(Kind::Double)?)
        };
        let (gain, shift) = (of_norm("weight")?, of_norm("bias")?);
        let (mean, variance) = (of_norm("running_mean")?, of_norm("running_var")?);
        // norm(conv(x)) is a convolution too: its weights scaled by gain / sqrt(variance + eps).
        let scale = gain.f_div(&variance.f_add_scalar(eps)?.f_sqrt()?)?;
        let weight = raw
            .f_to_kind(Kind::Double)?
            .f_mul(&scale.f_reshape([outputs, 1, 1, 1])?)?;
        let bias = shift.f_sub(&mean.f_mul(&scale)?)?;
        Ok(Self {
            weight: weight.f_to_kind(Kind::Float)?,
            bias: bias.f_to_kind(Kind::Float)?,
            kernel,
            stride,
            groups,
        })
    }

    /// Padded as TensorFlow's "same" does: where an odd number of rows is missing, the extra one is below.
    fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let (_, _, height, width) = x.size4()?;
        let missing = |size: i64| {
            let outputs = (size + self.stride - 1) / self.stride;
            ((outputs - 1) * self.stride + self.kernel - size).max(0)
        };
        let (rows, columns) = (missing(height), missing(width));
        let convolve = |x: &Tensor, padding: [i64; 2]| {
            x.f_conv2d(
                &self.weight,
                Some(&self.bias),
                [self.stride; 2],
                padding,
                [1_i64; 2],
                self.groups,
            )
        };
        if rows % 2 == 0 && columns % 2 == 0 {
            return Ok(convolve(x, [rows / 2, columns / 2])?);
        }
        let padding = [columns / 2, columns - columns / 2, rows / 2, rows - rows / 2];
        Ok(convolve(&x.f_constant_pad_nd(padding)?, [0; 2])?)
    }
}

struct Block {
    expand: Option<Conv>,
    depthwise: Conv,
    project: Conv,
    /// Whether the input is added to the output.
    skip: bool,
}

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let wide = match &self.expand {
            Some(expand) => self.depthwise.forward(&relu6(expand.forward(x)?)?)?,
            None => self.depthwise.forward(x)?,
        };
        let out = self.project.forward(&relu6(wide)?)?;
        if self.skip { Ok(out.f_add(x)?) } else { Ok(out) }
    }
}

fn relu6(mut x: Tensor) -> Result<Tensor, ModelError> {
    Ok(x.f_clamp_(0.0, 6.0)?)
}

/// The last layer and what makes vectors of classes.
struct Head {
    weight: Tensor,
    bias: Tensor,
    mixture: ClassMixture,
}

/// The network on its device.
pub(crate) struct EfficientNetLite {
    stem: Conv,
    blocks: Vec<Block>,
    last: Conv,
    head: Option<Head>,
    input: ImageInput,
    dimension: usize,
    device: Device,
}

impl std::fmt::Debug for EfficientNetLite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EfficientNetLite({} blocks)", self.blocks.len())
    }
}

impl EfficientNetLite {
    pub(crate) fn load(side: &ImageSide, config: &Config, device: Device) -> Result<Self, ModelError> {
        let mut weights = Weights::open(&side.weights, device, Kind::Float)?;
        let eps = config.batch_norm_eps;
        let [stem, features, classes] = [config.stem_channels, config.head_channels, config.num_classes].map(i64::from);
        let stem_shape = ConvShape {
            inputs: 3,
            outputs: stem,
            kernel: 3,
            stride: 2,
            groups: 1,
        };
        let stem = Conv::load(&mut weights, "_conv_stem", "_bn0", &stem_shape, eps)?;
        let blocks = load_blocks(&mut weights, config)?;
        let inputs = config
            .stages
            .last()
            .map_or(config.stem_channels, |stage| stage.out_channels);
        let last_shape = ConvShape {
            inputs: i64::from(inputs),
            outputs: features,
            kernel: 1,
            stride: 1,
            groups: 1,
        };
        let last = Conv::load(&mut weights, "_conv_head", "_bn1", &last_shape, eps)?;
        let weight = weights.take("_fc.weight", &[classes, features])?;
        let bias = weights.take("_fc.bias", &[classes])?;
        // Counts training steps.
        weights.finish(|name| name.ends_with(".num_batches_tracked"))?;
        let head = match &side.projection {
            Some(projection) => Some(Head {
                weight,
                bias,
                mixture: ClassMixture::load(projection, classes, device)?,
            }),
            None => None,
        };
        Ok(Self {
            stem,
            blocks,
            last,
            head,
            input: ImageInput::new(&side.preprocessing, device, Kind::Float)?,
            dimension: side.dimension() as usize,
            device,
        })
    }

    /// The pooled features, `[pictures, head_channels]`.
    pub(crate) fn features(&self, pass: &Pass) -> Result<Tensor, ModelError> {
        let pixels = self.input.batch(pass)?;
        let mut x = relu6(self.stem.forward(&pixels)?)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        Ok(relu6(self.last.forward(&x)?)?.f_mean_dim([2_i64, 3].as_slice(), false, Kind::Float)?)
    }
}

impl Head {
    /// `[pictures, num_classes]`.
    fn logits(&self, features: &Tensor) -> Result<Tensor, ModelError> {
        Ok(features.f_linear(&self.weight, Some(&self.bias))?)
    }
}

fn load_blocks(weights: &mut Weights, config: &Config) -> Result<Vec<Block>, ModelError> {
    let mut blocks = Vec::new();
    for stage in &config.stages {
        let [inputs, outputs, kernel, stride, expand] = [
            stage.in_channels,
            stage.out_channels,
            stage.kernel_size,
            stage.stride,
            stage.expand_ratio,
        ]
        .map(i64::from);
        for repeat in 0..stage.repeats {
            let (inputs, stride) = if repeat == 0 { (inputs, stride) } else { (outputs, 1) };
            let wide = inputs * expand;
            let name = format!("_blocks.{}", blocks.len());
            let mut conv = |conv: &str, norm: &str, shape: ConvShape| {
                let (conv, norm) = (format!("{name}.{conv}"), format!("{name}.{norm}"));
                Conv::load(weights, &conv, &norm, &shape, config.batch_norm_eps)
            };
            let point = |inputs, outputs| ConvShape {
                inputs,
                outputs,
                kernel: 1,
                stride: 1,
                groups: 1,
            };
            let expand = if expand == 1 {
                None
            } else {
                Some(conv("_expand_conv", "_bn0", point(inputs, wide))?)
            };
            let depthwise = ConvShape {
                inputs: wide,
                outputs: wide,
                kernel,
                stride,
                groups: wide,
            };
            blocks.push(Block {
                expand,
                depthwise: conv("_depthwise_conv", "_bn1", depthwise)?,
                project: conv("_project_conv", "_bn2", point(wide, outputs))?,
                skip: stride == 1 && inputs == outputs,
            });
        }
    }
    Ok(blocks)
}

/// Pictures that the processor computes together. The intermediate tensors of more of them are fresh pages each time:
/// 32 together took twice the time a picture that one alone took, and the process grew to 1.0 GiB.
const TOGETHER_ON_CPU: usize = 4;

impl EfficientNetLite {
    fn encode_together(&self, pass: &Pass) -> Result<Tensor, ModelError> {
        let features = self.features(pass)?;
        match &self.head {
            Some(head) => head.mixture.forward(&head.logits(&features)?),
            None => Ok(features),
        }
    }
}

impl ImageEncoder for EfficientNetLite {
    fn prepare(&self, pictures: &[PreparedPicture]) -> Result<ImageBatch, ModelError> {
        let together = if self.device == Device::Cpu {
            TOGETHER_ON_CPU
        } else {
            pictures.len()
        };
        ImageBatch::new(&self.input, pictures, together)
    }

    fn start(&self, batch: ImageBatch) -> Result<Started, ModelError> {
        batch.start(self.dimension, |pass| self.encode_together(pass))
    }

    fn dimension(&self) -> usize {
        self.dimension
    }
}

#[cfg(test)]
pub(crate) mod tests;
