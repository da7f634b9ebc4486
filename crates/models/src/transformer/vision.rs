//! Vision transformers.

use super::head::AttentionHead;
use crate::encoder::{ImageBatch, ImageEncoder, Started, items_in_a_pass, items_of_a_thread};
use crate::error::ModelError;
use crate::image_input::{ImageInput, Pass};
use crate::lanes::{Lanes, Shared};
use crate::nn::{Asked, LayerNorm, Layers, Linear};
use crate::weights::Weights;
use sightline_model_folder::{ImagePooling, ImageSide, PositionResize, VisionTransformer as Description};
use sightline_pictures::PreparedPicture;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

enum Pool {
    Class(LayerNorm),
    Head(LayerNorm, Box<AttentionHead>),
}

/// The network on its device, and what computes it.
pub(crate) struct VisionModel {
    network: Arc<Shared<Network>>,
    lanes: Option<Lanes>,
    dimension: usize,
    device: Device,
}

struct Network {
    patches: Linear,
    patch: [i64; 2],
    grid: [i64; 2],
    /// What comes before the patches, positions added: `[1, tokens, width]`.
    first: Option<Tensor>,
    /// Added to the patches: `[1, patches, width]`.
    positions: Tensor,
    pre_norm: Option<LayerNorm>,
    layers: Layers,
    pool: Pool,
    projection: Option<Linear>,
    input: ImageInput,
}

impl std::fmt::Debug for VisionModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VisionModel({} layers)", self.network.layers.count())
    }
}

impl VisionModel {
    pub(crate) fn load(
        side: &ImageSide,
        description: &Description,
        device: Device,
        kind: Kind,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            network: Arc::new(Shared(Network::load(side, description, device, kind)?)),
            lanes: Lanes::start(device),
            dimension: description.dimension() as usize,
            device,
        })
    }

    /// Patches of a picture.
    fn tokens(&self) -> usize {
        usize::try_from(self.network.grid[0] * self.network.grid[1]).unwrap_or(1)
    }

    /// The lanes for so many pictures, and how many of these go through the network together; none where the whole
    /// processor computes one pass after the other.
    fn side_by_side(&self, pictures: usize) -> Option<(&Lanes, usize)> {
        let lanes = self.lanes.as_ref()?;
        let tokens = self.tokens();
        let together = lanes.together(pictures, tokens, items_of_a_thread(tokens))?;
        Some((lanes, together))
    }
}

impl Network {
    fn load(side: &ImageSide, network: &Description, device: Device, kind: Kind) -> Result<Self, ModelError> {
        let mut weights = Weights::open(&side.weights, device, kind)?;
        let names = &network.names;
        let probe = format!("{}.weight", names.patch);
        let prefix = weights.prefix(names.prefixes, &probe);
        let name = |part: &str| format!("{prefix}{part}");
        let width = i64::from(network.layers.width);
        let patch = network.patch.map(i64::from);
        let eps = network.layers.eps;
        let kernel = weights.take(&name(&probe), &[width, 3, patch[0], patch[1]])?;
        let bias = match network.patch_bias {
            true => Some(weights.take(&name(&format!("{}.bias", names.patch)), &[width])?),
            false => None,
        };
        let (first, positions) = tokens(&mut weights, network, &prefix)?;
        let norm = |weights: &mut Weights, part: &str| LayerNorm::load(weights, &name(part), width, eps);
        let pre_norm = match network.pre_norm {
            true => Some(norm(&mut weights, names.pre_norm)?),
            false => None,
        };
        let asked = match network.pooling {
            ImagePooling::Class => Asked::First,
            ImagePooling::AttentionHead => Asked::All,
        };
        let layers = Layers::load(&mut weights, &prefix, &network.layers, asked)?;
        let final_norm = norm(&mut weights, names.final_norm)?;
        let pool = match network.pooling {
            ImagePooling::Class => Pool::Class(final_norm),
            ImagePooling::AttentionHead => {
                let head = AttentionHead::load(&mut weights, &name(names.head), &network.layers)?;
                Pool::Head(final_norm, Box::new(head))
            }
        };
        let projection = match network.projection {
            Some(length) => Some(Linear::load(
                &mut weights,
                &name(names.projection),
                [width, i64::from(length)],
                false,
            )?),
            None => None,
        };
        weights.finish_below(&prefix, names.ignored)?;
        Ok(Self {
            patches: Linear::new(kernel.f_reshape([width, -1])?, bias),
            patch,
            grid: network.grid().map(i64::from),
            first,
            positions,
            pre_norm,
            layers,
            pool,
            projection,
            input: ImageInput::new(&side.preprocessing, device, kind)?,
        })
    }

    /// A pass's pictures to `[pictures, dimension]`.
    fn compute(&self, pass: &Pass) -> Result<Tensor, ModelError> {
        self.forward(&self.input.batch(pass)?)
    }

    /// `[pictures, 3, height, width]` to `[pictures, dimension]`.
    fn forward(&self, pixels: &Tensor) -> Result<Tensor, ModelError> {
        let (count, ..) = pixels.size4()?;
        let ([rows, columns], [height, width]) = (self.grid, self.patch);
        // Each patch is one row of numbers, so that the convolution without overlap is one product.
        let cut = pixels
            .f_narrow(2, 0, rows * height)?
            .f_narrow(3, 0, columns * width)?
            .f_reshape([count, 3, rows, height, columns, width])?
            .f_permute([0, 2, 4, 1, 3, 5])?
            .f_reshape([count, rows * columns, 3 * height * width])?;
        let mut x = self.patches.forward(&cut)?.f_add(&self.positions)?;
        if let Some(first) = &self.first {
            let (_, tokens, width) = first.size3()?;
            x = Tensor::f_cat(&[first.f_expand([count, tokens, width], false)?, x], 1)?;
        }
        if let Some(norm) = &self.pre_norm {
            x = norm.forward(&x)?;
        }
        let x = self.layers.forward(x, None)?;
        let pooled = match &self.pool {
            Pool::Class(norm) => norm.forward(&x.f_select(1, 0)?)?,
            Pool::Head(norm, head) => head.forward(&norm.forward(&x)?)?,
        };
        match &self.projection {
            Some(projection) => projection.forward(&pooled),
            None => Ok(pooled),
        }
    }
}

/// What comes before the patches, and what is added to those.
fn tokens(weights: &mut Weights, network: &Description, prefix: &str) -> Result<(Option<Tensor>, Tensor), ModelError> {
    let names = &network.names;
    let name = |part: &str| format!("{prefix}{part}");
    let width = i64::from(network.layers.width);
    let [rows, columns] = network.position_grid.map(i64::from);
    let ahead = i64::from(network.class_token);
    let table = weights.take_any(
        &name(names.positions),
        &[&[ahead + rows * columns, width], &[1, ahead + rows * columns, width]],
    )?;
    let table = table.f_reshape([1, ahead + rows * columns, width])?;
    let positions = resized(&table.f_narrow(1, ahead, rows * columns)?, network)?;
    if !network.class_token {
        return Ok((None, positions));
    }
    let class = weights.take_any(&name(names.class_token), &[&[width], &[1, 1, width]])?;
    let class = class.f_reshape([1, 1, width])?.f_add(&table.f_narrow(1, 0, 1)?)?;
    let registers = i64::from(network.registers);
    if registers == 0 {
        return Ok((Some(class), positions));
    }
    // Registers have no position.
    let registers = weights.take(&name(names.registers), &[1, registers, width])?;
    Ok((Some(Tensor::f_cat(&[class, registers], 1)?), positions))
}

/// The table of positions for the input's grid.
fn resized(table: &Tensor, network: &Description) -> Result<Tensor, ModelError> {
    let (from, to) = (network.position_grid.map(i64::from), network.grid().map(i64::from));
    if from == to {
        return Ok(table.shallow_clone());
    }
    let width = i64::from(network.layers.width);
    let kind = table.kind();
    let planes = table
        .f_to_kind(Kind::Float)?
        .f_reshape([1, from[0], from[1], width])?
        .f_permute([0, 3, 1, 2])?;
    let planes = match network.position_resize {
        PositionResize::Never => return Ok(table.shallow_clone()),
        PositionResize::Bicubic => planes.f_upsample_bicubic2d(to, false, None, None)?,
        PositionResize::BicubicAntialias => planes.f_internal_upsample_bicubic2d_aa(to, false, None, None)?,
    };
    Ok(planes
        .f_permute([0, 2, 3, 1])?
        .f_reshape([1, to[0] * to[1], width])?
        .f_to_kind(kind)?)
}

impl ImageEncoder for VisionModel {
    fn prepare(&self, pictures: &[PreparedPicture]) -> Result<ImageBatch, ModelError> {
        let together = match self.side_by_side(pictures.len()) {
            Some((_, together)) => together,
            None => items_in_a_pass(self.tokens(), self.device),
        };
        ImageBatch::new(&self.network.input, pictures, together)
    }

    fn start(&self, batch: ImageBatch) -> Result<Started, ModelError> {
        let Some((lanes, _)) = self.side_by_side(batch.len()) else {
            return batch.start(self.dimension, |pass| self.network.compute(pass));
        };
        let network = Arc::clone(&self.network);
        batch.start_on(lanes, self.dimension, move |pass| network.compute(pass))
    }

    fn dimension(&self) -> usize {
        self.dimension
    }
}
