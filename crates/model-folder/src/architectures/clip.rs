//! CLIP, of OpenAI and of LAION: a dual encoder with one space.

use super::Sides;
use super::config::{Keys, MAX_SIZE};
use crate::error::FolderError;
use crate::image::{ImageNetwork, ImageSide};
use crate::network::{
    FeedForward, ImagePooling, LayerNames, Layers, NormPlace, PositionResize, TextNames, TextProjection,
    TextTransformer, VisionNames, VisionTransformer,
};
use crate::pooling::{EndOfText, Padding, Pooling};
use crate::text::{TextNetwork, TextSide};
use serde_json::{Value, json};
use std::path::Path;

/// Where `eos_token_id` is this, the configuration is of the time when it was written wrongly, and the end of a text is
/// its largest token.
const LEGACY_END: u32 = 2;

pub(super) fn open(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let keys = Keys::new(folder, config);
    let dimension = keys.count("projection_dim", 512, MAX_SIZE)?;
    Ok(Sides {
        image: Some(vision(folder, &keys.part("vision_config"), Some(dimension))?),
        text: Some(text(folder, &keys.part("text_config"), Some(dimension))?),
        shared_space: true,
    })
}

pub(super) fn open_vision(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let keys = Keys::new(folder, config);
    let dimension = projection(&keys, "CLIPVisionModel")?;
    Ok(Sides::image(vision(folder, &keys, dimension)?))
}

pub(super) fn open_text(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let keys = Keys::new(folder, config);
    let dimension = projection(&keys, "CLIPTextModel")?;
    Ok(Sides::text(text(folder, &keys, dimension)?))
}

/// The length of one half's vectors, or none where it was saved by a class (`architectures`) that has no projection: then
/// its vector is the pooled one.
fn projection(keys: &Keys<'_>, without: &str) -> Result<Option<u32>, FolderError> {
    let classes = keys.get("architectures").and_then(Value::as_array);
    if classes.is_some_and(|classes| classes.iter().any(|class| class == without)) {
        return Ok(None);
    }
    keys.count("projection_dim", 512, MAX_SIZE).map(Some)
}

pub(super) fn layers(
    keys: &Keys<'_>,
    names: LayerNames,
    usual: [u32; 4],
    act: &str,
    eps: f64,
) -> Result<Layers, FolderError> {
    let [width, inner, count, heads] = usual;
    let width = keys.count("hidden_size", width, 1 << 16)?;
    Ok(Layers {
        activation: keys.activation("hidden_act", act)?,
        causal: false,
        count: keys.count("num_hidden_layers", count, 1024)?,
        eps: keys.positive("layer_norm_eps", eps)?,
        feed_forward: FeedForward::Plain,
        heads: keys.heads(heads, width)?,
        inner: keys.count("intermediate_size", inner, 1 << 18)?,
        norm: NormPlace::Before,
        qkv_bias: true,
        scaled: false,
        width,
        names,
    })
}

/// The names that CLIP and SigLIP share, below a tower's prefix.
pub(super) const fn layer_names(layer: &'static str) -> LayerNames {
    LayerNames {
        layer,
        query: "self_attn.q_proj",
        key: "self_attn.k_proj",
        value: "self_attn.v_proj",
        attention_out: "self_attn.out_proj",
        attention_norm: "layer_norm1",
        attention_scale: "",
        widen: "mlp.fc1",
        narrow: "mlp.fc2",
        feed_forward_norm: "layer_norm2",
        feed_forward_scale: "",
    }
}

fn vision(folder: &Path, keys: &Keys<'_>, dimension: Option<u32>) -> Result<ImageSide, FolderError> {
    keys.only("num_channels", &json!(3))?;
    let names = layer_names("vision_model.encoder.layers.{}.");
    let layers = layers(keys, names, [768, 3072, 12, 12], "quick_gelu", 1e-5)?;
    let (image, patch) = (keys.size("image_size", 224)?, keys.size("patch_size", 32)?);
    let network = VisionTransformer {
        class_token: true,
        image,
        layers,
        patch,
        patch_bias: false,
        pooling: ImagePooling::Class,
        position_grid: [image[0] / patch[0], image[1] / patch[1]],
        position_resize: PositionResize::Never,
        pre_norm: true,
        projection: dimension,
        registers: 0,
        names: VisionNames {
            prefixes: &[""],
            patch: "vision_model.embeddings.patch_embedding",
            class_token: "vision_model.embeddings.class_embedding",
            registers: "",
            positions: "vision_model.embeddings.position_embedding.weight",
            pre_norm: "vision_model.pre_layrnorm",
            final_norm: "vision_model.post_layernorm",
            head: "",
            projection: "visual_projection",
            ignored: &[
                "vision_model.embeddings.position_ids",
                "text_model.",
                "text_projection.",
                "logit_scale",
            ],
        },
    };
    ImageSide::open(folder, ImageNetwork::VisionTransformer(Box::new(network)), keys)
}

fn text(folder: &Path, keys: &Keys<'_>, dimension: Option<u32>) -> Result<TextSide, FolderError> {
    let names = layer_names("text_model.encoder.layers.{}.");
    let layers = layers(keys, names, [512, 2048, 12, 8], "quick_gelu", 1e-5)?;
    let end = keys.number("eos_token_id", 49_407)?;
    let network = TextTransformer {
        embedding_norm: false,
        final_norm: true,
        layers: Layers { causal: true, ..layers },
        position_offset: 0,
        positions: keys.count("max_position_embeddings", 77, MAX_SIZE)?,
        projection: dimension.map(|dimension| TextProjection { bias: false, dimension }),
        segments: None,
        vocab_size: keys.count("vocab_size", 49_408, MAX_SIZE)?,
        names: TextNames {
            prefixes: &[""],
            words: "text_model.embeddings.token_embedding.weight",
            positions: "text_model.embeddings.position_embedding.weight",
            segments: "",
            embedding_norm: "",
            final_norm: "text_model.final_layer_norm",
            projection: "text_projection",
            ignored: &[
                "text_model.embeddings.position_ids",
                "vision_model.",
                "visual_projection.",
                "logit_scale",
            ],
        },
    };
    let end = if end == LEGACY_END {
        EndOfText::LargestToken
    } else {
        EndOfText::Token(end)
    };
    TextSide::open(
        folder,
        TextNetwork::Transformer(Box::new(network)),
        Pooling::EndOfText(end),
        Padding::Longest,
    )
}
