//! EmbeddingGemma: Gemma 3 as an encoder of texts.

use super::Sides;
use super::config::{COPY, Keys, MAX_SIZE};
use crate::error::FolderError;
use crate::network::Gemma3;
use crate::pooling::{Padding, Pooling};
use crate::text::{TextNetwork, TextSide};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn open(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let keys = Keys::new(folder, config);
    for unused in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if keys.has(unused) {
            return Err(keys.wrong(unused, "is set, which is not implemented", "use a model without it"));
        }
    }
    let bidirectional = keys.flag("use_bidirectional_attention", false)?;
    let heads = keys.count("num_attention_heads", 8, 1024)?;
    let key_value_heads = keys.count("num_key_value_heads", 4, 1024)?;
    if !heads.is_multiple_of(key_value_heads) {
        let problem = format!("is {key_value_heads}, which does not divide the {heads} heads");
        return Err(keys.wrong("num_key_value_heads", problem, COPY));
    }
    let head_dim = keys.count("head_dim", 256, 1 << 14)?;
    if !head_dim.is_multiple_of(2) {
        return Err(keys.wrong("head_dim", "is odd", COPY));
    }
    let window = keys.count("sliding_window", 4096, MAX_SIZE)?;
    let count = keys.count("num_hidden_layers", 26, 1024)?;
    let network = Gemma3 {
        activation: keys.activation("hidden_activation", "gelu_pytorch_tanh")?,
        attention_bias: keys.flag("attention_bias", false)?,
        causal: !bidirectional,
        eps: keys.positive("rms_norm_eps", 1e-6)?,
        full_attention: layer_kinds(&keys, count)?,
        head_dim,
        heads,
        inner: keys.count("intermediate_size", 9216, 1 << 18)?,
        key_value_heads,
        positions: keys.count("max_position_embeddings", 131_072, MAX_SIZE)?,
        query_scalar: keys.positive("query_pre_attn_scalar", 256.0)?,
        rope_full: rope(&keys, "full_attention", "rope_theta", 1e6)?,
        rope_window: rope(&keys, "sliding_attention", "rope_local_base_freq", 1e4)?,
        vocab_size: keys.count("vocab_size", 262_208, MAX_SIZE)?,
        width: keys.count("hidden_size", 2304, 1 << 16)?,
        // Half of it to each side; the bound is exclusive.
        window: if bidirectional { window / 2 + 1 } else { window },
    };
    let side = TextSide::open(folder, TextNetwork::Gemma3(network), Pooling::Mean, Padding::Longest)?;
    Ok(Sides::text(side))
}

fn layer_kinds(keys: &Keys<'_>, count: u32) -> Result<Vec<bool>, FolderError> {
    const KEY: &str = "layer_types";
    let Some(kinds) = keys.get(KEY) else {
        // The older form: every so many layers see the whole text.
        let pattern = keys.count(
            "sliding_window_pattern",
            keys.count("_sliding_window_pattern", 6, 1024)?,
            1024,
        )?;
        return Ok((1..=count).map(|number| number % pattern == 0).collect());
    };
    let wrong = |problem: String| keys.wrong(KEY, problem, COPY);
    let kinds = kinds.as_array().ok_or_else(|| wrong("is no list".to_owned()))?;
    if kinds.len() != count as usize {
        return Err(wrong(format!("has {} members for {count} layers", kinds.len())));
    }
    let kind = |kind: &Value| match kind.as_str() {
        Some("full_attention") => Ok(true),
        Some("sliding_attention") => Ok(false),
        _ => Err(wrong(format!("names {kind}, which is not implemented"))),
    };
    kinds.iter().map(kind).collect()
}

/// Base and divisor of the rotary frequencies of one kind of layer, in the new form of configuration or the old.
fn rope(keys: &Keys<'_>, kind: &str, old_base: &str, usual: f64) -> Result<[f64; 2], FolderError> {
    let number = |value: Option<&Value>, default: f64| match value {
        None => Some(default),
        Some(value) => value.as_f64().filter(|number| number.is_finite() && *number > 0.0),
    };
    let (settings, base) = match keys
        .get("rope_parameters")
        .and_then(|all| all.get(kind))
        .filter(|one| !one.is_null())
    {
        Some(settings) => (Some(settings), settings.get("rope_theta")),
        None => {
            let scaling = keys.get("rope_scaling").filter(|_| kind == "full_attention");
            (scaling, keys.get(old_base))
        }
    };
    let form = settings.and_then(|settings| settings.get("rope_type").or_else(|| settings.get("type")));
    let divisor = match form.and_then(Value::as_str) {
        None | Some("default") => Some(1.0),
        Some("linear") => number(settings.and_then(|settings| settings.get("factor")), 1.0),
        Some(other) => {
            let problem = format!("is {other:?}, which is not implemented");
            return Err(keys.wrong("rope_type", problem, "use a model with \"default\" or \"linear\""));
        }
    };
    match (number(base.or(keys.get(old_base)), usual), divisor) {
        (Some(base), Some(divisor)) => Ok([base, divisor]),
        _ => Err(keys.wrong(
            "rope_parameters",
            format!("holds {}", settings.unwrap_or(&json!(null))),
            COPY,
        )),
    }
}
