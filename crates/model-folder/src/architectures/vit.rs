//! ViT: the class token's vector of the last layer, normalised, before the pooler and any classifier.

use super::Sides;
use super::config::{Keys, MAX_SIZE};
use crate::error::FolderError;
use crate::image::{ImageNetwork, ImageSide};
use crate::network::{
    FeedForward, ImagePooling, LayerNames, Layers, NormPlace, PositionResize, VisionNames, VisionTransformer,
};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn open(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let keys = Keys::new(folder, config);
    keys.only("num_channels", &json!(3))?;
    let width = keys.count("hidden_size", 768, 1 << 16)?;
    let (image, patch) = (keys.size("image_size", 224)?, keys.size("patch_size", 16)?);
    let layers = Layers {
        activation: keys.activation("hidden_act", "gelu")?,
        causal: false,
        count: keys.count("num_hidden_layers", 12, 1024)?,
        eps: keys.positive("layer_norm_eps", 1e-12)?,
        feed_forward: FeedForward::Plain,
        heads: keys.heads(12, width)?,
        inner: keys.count("intermediate_size", 3072, MAX_SIZE)?,
        norm: NormPlace::Before,
        qkv_bias: keys.flag("qkv_bias", true)?,
        scaled: false,
        width,
        names: LayerNames {
            layer: "encoder.layer.{}.",
            query: "attention.attention.query",
            key: "attention.attention.key",
            value: "attention.attention.value",
            attention_out: "attention.output.dense",
            attention_norm: "layernorm_before",
            attention_scale: "",
            widen: "intermediate.dense",
            narrow: "output.dense",
            feed_forward_norm: "layernorm_after",
            feed_forward_scale: "",
        },
    };
    let network = VisionTransformer {
        class_token: true,
        image,
        layers,
        patch,
        patch_bias: true,
        pooling: ImagePooling::Class,
        position_grid: [image[0] / patch[0], image[1] / patch[1]],
        position_resize: PositionResize::Never,
        pre_norm: false,
        projection: None,
        registers: 0,
        names: VisionNames {
            prefixes: &["", "vit."],
            patch: "embeddings.patch_embeddings.projection",
            class_token: "embeddings.cls_token",
            registers: "",
            positions: "embeddings.position_embeddings",
            pre_norm: "",
            final_norm: "layernorm",
            head: "",
            projection: "",
            ignored: &["pooler.", "classifier.", "embeddings.mask_token", "decoder."],
        },
    };
    let side = ImageSide::open(folder, ImageNetwork::VisionTransformer(Box::new(network)), &keys)?;
    Ok(Sides::image(side))
}
