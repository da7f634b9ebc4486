//! DINOv2, with and without registers: the class token's vector of the last layer, normalised.

use super::Sides;
use super::config::{COPY, Keys};
use crate::error::FolderError;
use crate::image::{ImageNetwork, ImageSide};
use crate::network::{
    FeedForward, ImagePooling, LayerNames, Layers, NormPlace, PositionResize, VisionNames, VisionTransformer,
};
use crate::preprocessing::ImagePreprocessing;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn open(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    network(folder, config, 0, 14, PositionResize::Bicubic)
}

pub(super) fn open_with_registers(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let registers = Keys::new(folder, config).number("num_register_tokens", 4)?;
    network(folder, config, registers, 16, PositionResize::BicubicAntialias)
}

fn network(
    folder: &Path,
    config: &Value,
    registers: u32,
    usual_patch: u32,
    position_resize: PositionResize,
) -> Result<Sides, FolderError> {
    let keys = Keys::new(folder, config);
    keys.only("num_channels", &json!(3))?;
    let trained = keys.size("image_size", 224)?;
    let patch = keys.size("patch_size", usual_patch)?;
    let places = (trained[0] / patch[0]) * (trained[1] / patch[1]);
    let image = ImagePreprocessing::open(folder)?.crop;
    let position_grid = grid(&keys, image, patch, trained, places)?;
    let network = VisionTransformer {
        class_token: true,
        image,
        layers: layers(&keys)?,
        patch,
        patch_bias: true,
        pooling: ImagePooling::Class,
        position_grid,
        position_resize,
        pre_norm: false,
        projection: None,
        registers,
        names: VisionNames {
            prefixes: &["", "dinov2.", "dinov2_with_registers."],
            patch: "embeddings.patch_embeddings.projection",
            class_token: "embeddings.cls_token",
            registers: "embeddings.register_tokens",
            positions: "embeddings.position_embeddings",
            pre_norm: "",
            final_norm: "layernorm",
            head: "",
            projection: "",
            ignored: &["embeddings.mask_token", "classifier."],
        },
    };
    let side = ImageSide::open(folder, ImageNetwork::VisionTransformer(Box::new(network)), &keys)?;
    Ok(Sides::image(side))
}

/// The table's rows and columns. The original takes it as it is where it has as many places as a square input has
/// patches, and as a square one else.
fn grid(
    keys: &Keys<'_>,
    image: [u32; 2],
    patch: [u32; 2],
    trained: [u32; 2],
    places: u32,
) -> Result<[u32; 2], FolderError> {
    let input = [image[0] / patch[0], image[1] / patch[1]];
    if input[0] * input[1] == places && image[0] == image[1] {
        return Ok(input);
    }
    let edge = places.isqrt();
    if edge * edge != places {
        let problem =
            format!("is {trained:?}, whose {places} patches are no square, while pictures are prepared as {image:?}");
        return Err(keys.wrong("image_size", problem, COPY));
    }
    Ok([edge, edge])
}

fn layers(keys: &Keys<'_>) -> Result<Layers, FolderError> {
    let width = keys.count("hidden_size", 768, 1 << 16)?;
    let ratio = keys.positive("mlp_ratio", 4.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as the original rounds"
    )]
    let inner = (f64::from(width) * ratio) as u32;
    let gated = keys.flag("use_swiglu_ffn", false)?;
    let (feed_forward, inner, widen, narrow) = if gated {
        // Two thirds, so that both forms have as many weights, up to a multiple of 8.
        let inner = (u64::from(inner) * 2 / 3).div_ceil(8) * 8;
        let inner = u32::try_from(inner).unwrap_or(u32::MAX);
        (FeedForward::SwiGlu, inner, "mlp.weights_in", "mlp.weights_out")
    } else {
        (FeedForward::Plain, inner, "mlp.fc1", "mlp.fc2")
    };
    Ok(Layers {
        activation: keys.activation("hidden_act", "gelu")?,
        causal: false,
        count: keys.count("num_hidden_layers", 12, 1024)?,
        eps: keys.positive("layer_norm_eps", 1e-6)?,
        feed_forward,
        heads: keys.heads(12, width)?,
        inner,
        norm: NormPlace::Before,
        qkv_bias: keys.flag("qkv_bias", true)?,
        scaled: true,
        width,
        names: LayerNames {
            layer: "encoder.layer.{}.",
            query: "attention.attention.query",
            key: "attention.attention.key",
            value: "attention.attention.value",
            attention_out: "attention.output.dense",
            attention_norm: "norm1",
            attention_scale: "layer_scale1.lambda1",
            widen,
            narrow,
            feed_forward_norm: "norm2",
            feed_forward_scale: "layer_scale2.lambda1",
        },
    })
}
