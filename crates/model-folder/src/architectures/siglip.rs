//! SigLIP, and SigLIP 2 at fixed resolution (which names itself `siglip`, too): a dual encoder with one space.

use super::Sides;
use super::clip::{layer_names, layers};
use super::config::{COPY, Keys, MAX_SIZE};
use crate::error::FolderError;
use crate::image::{ImageNetwork, ImageSide};
use crate::network::{
    ImagePooling, PositionResize, TextNames, TextProjection, TextTransformer, VisionNames, VisionTransformer,
};
use crate::pooling::{Padding, Pooling};
use crate::text::{TextNetwork, TextSide};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn open(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let keys = Keys::new(folder, config);
    let sides = Sides {
        image: Some(vision(folder, &keys.part("vision_config"))?),
        text: Some(text(folder, &keys.part("text_config"))?),
        shared_space: true,
    };
    let dimensions = [
        sides.image.as_ref().map(ImageSide::dimension),
        sides.text.as_ref().map(TextSide::dimension),
    ];
    if dimensions[0] != dimensions[1] {
        let problem = format!(
            "makes vectors of {:?} values, the pictures' of {:?}",
            dimensions[1], dimensions[0]
        );
        return Err(keys.wrong("text_config.projection_size", problem, COPY));
    }
    Ok(sides)
}

pub(super) fn open_vision(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    Ok(Sides::image(vision(folder, &Keys::new(folder, config))?))
}

pub(super) fn open_text(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    Ok(Sides::text(text(folder, &Keys::new(folder, config))?))
}

fn vision(folder: &Path, keys: &Keys<'_>) -> Result<ImageSide, FolderError> {
    keys.only("num_channels", &json!(3))?;
    keys.only("vision_use_head", &json!(true))?;
    let names = layer_names("vision_model.encoder.layers.{}.");
    let layers = layers(keys, names, [768, 3072, 12, 12], "gelu_pytorch_tanh", 1e-6)?;
    let (image, patch) = (keys.size("image_size", 224)?, keys.size("patch_size", 16)?);
    let network = VisionTransformer {
        class_token: false,
        image,
        layers,
        patch,
        patch_bias: true,
        pooling: ImagePooling::AttentionHead,
        position_grid: [image[0] / patch[0], image[1] / patch[1]],
        position_resize: PositionResize::Never,
        pre_norm: false,
        projection: None,
        registers: 0,
        names: VisionNames {
            prefixes: &[""],
            patch: "vision_model.embeddings.patch_embedding",
            class_token: "",
            registers: "",
            positions: "vision_model.embeddings.position_embedding.weight",
            pre_norm: "",
            final_norm: "vision_model.post_layernorm",
            head: "vision_model.head",
            projection: "",
            ignored: &[
                "vision_model.embeddings.position_ids",
                "text_model.",
                "logit_scale",
                "logit_bias",
            ],
        },
    };
    ImageSide::open(folder, ImageNetwork::VisionTransformer(Box::new(network)), keys)
}

fn text(folder: &Path, keys: &Keys<'_>) -> Result<TextSide, FolderError> {
    let names = layer_names("text_model.encoder.layers.{}.");
    let layers = layers(keys, names, [768, 3072, 12, 12], "gelu_pytorch_tanh", 1e-6)?;
    let dimension = keys.count("projection_size", layers.width, MAX_SIZE)?;
    let network = TextTransformer {
        embedding_norm: false,
        final_norm: true,
        layers,
        position_offset: 0,
        positions: keys.count("max_position_embeddings", 64, MAX_SIZE)?,
        projection: Some(TextProjection { bias: true, dimension }),
        segments: None,
        vocab_size: keys.count("vocab_size", 32_000, MAX_SIZE)?,
        names: TextNames {
            prefixes: &[""],
            words: "text_model.embeddings.token_embedding.weight",
            positions: "text_model.embeddings.position_embedding.weight",
            segments: "",
            embedding_norm: "",
            final_norm: "text_model.final_layer_norm",
            projection: "text_model.head",
            ignored: &[
                "text_model.embeddings.position_ids",
                "vision_model.",
                "logit_scale",
                "logit_bias",
            ],
        },
    };
    // Trained on texts padded to the full length, padding in view, so that the last place is always the same one.
    let padding = Padding::Full {
        token: keys.number("pad_token_id", 1)?,
    };
    TextSide::open(
        folder,
        TextNetwork::Transformer(Box::new(network)),
        Pooling::Last,
        padding,
    )
}
