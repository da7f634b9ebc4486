//! Transformers described: what `sightline-models` needs to run one, whatever its architecture is called.
//!
//! Fields are in alphabetical order: as JSON, a description is part of a fingerprint. Names of tensors are not, since
//! the weights' digest stands for them.

use serde::Serialize;

macro_rules! activations {
    ($($(#[$doc:meta])* $variant:ident: $($name:literal)|+,)*) => {
        /// The function between the two linear maps of a layer's feed-forward part.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Activation { $($(#[$doc])* $variant,)* }

        impl Activation {
            /// The one that transformers calls so.
            #[must_use]
            pub fn of(name: &str) -> Option<Self> {
                match name {
                    $($($name)|+ => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Every name, for error messages.
            pub(crate) fn names() -> String {
                [$($($name),+),*].join(", ")
            }
        }
    };
}

activations! {
    /// x · Φ(x).
    Gelu: "gelu" | "gelu_python",
    /// The same, with Φ by a hyperbolic tangent.
    GeluTanh: "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_python_tanh" | "gelu_accurate",
    /// x · σ(1.702 x).
    QuickGelu: "quick_gelu",
    /// max(x, 0).
    Relu: "relu",
    /// min(max(x, 0), 6).
    Relu6: "relu6",
    /// x · σ(x).
    Silu: "silu" | "swish",
    /// x · tanh(softplus(x)).
    Mish: "mish",
    /// tanh(x).
    Tanh: "tanh",
    /// σ(x).
    Sigmoid: "sigmoid",
    /// x.
    Linear: "linear",
}

/// Where a layer normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPlace {
    /// Before attention and before the feed-forward part; what they give is added.
    Before,
    /// After each sum.
    After,
}

/// The feed-forward part of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedForward {
    /// narrow(act(widen(x))).
    Plain,
    /// One wide map cut in two: narrow(silu(first) · second).
    SwiGlu,
}

/// Layers that are all alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layers {
    /// Between the maps of the feed-forward part.
    pub activation: Activation,
    /// Whether a position sees only itself and what is before it.
    pub causal: bool,
    /// How many.
    pub count: u32,
    /// Added to a variance before its root is taken.
    pub eps: f64,
    /// The feed-forward part's form.
    pub feed_forward: FeedForward,
    /// Heads; divides `width`.
    pub heads: u32,
    /// Width inside the feed-forward part (of one half, where it is cut in two).
    pub inner: u32,
    /// Where a layer normalises.
    pub norm: NormPlace,
    /// Whether query, key and value have a bias.
    pub qkv_bias: bool,
    /// Whether each part's result is multiplied with a learned vector before it is added.
    pub scaled: bool,
    /// Width of the network.
    pub width: u32,
    /// Names of tensors.
    #[serde(skip)]
    pub names: LayerNames,
}

/// Names of a layer's tensors, without `.weight` and `.bias`; `{}` in `layer` stands for its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each names the tensors of the part that it is called after")]
pub struct LayerNames {
    pub layer: &'static str,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub attention_out: &'static str,
    pub attention_norm: &'static str,
    pub attention_scale: &'static str,
    pub widen: &'static str,
    pub narrow: &'static str,
    pub feed_forward_norm: &'static str,
    pub feed_forward_scale: &'static str,
}

/// How the vectors of a picture's patches become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagePooling {
    /// The class token's.
    Class,
    /// A learned query attends to all, and a feed-forward part is added (SigLIP's head).
    AttentionHead,
}

impl ImagePooling {
    /// As it is written in a fingerprint.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Class => "cls",
            Self::AttentionHead => "attention_head",
        }
    }
}

/// How the table of positions is brought to a grid that it was not made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionResize {
    /// Not at all.
    Never,
    /// By PyTorch's bicubic filter.
    Bicubic,
    /// The same, widened when shrinking.
    BicubicAntialias,
}

/// A vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VisionTransformer {
    /// Whether a class token comes first.
    pub class_token: bool,
    /// Height and width of the input in pixels.
    pub image: [u32; 2],
    /// The layers.
    pub layers: Layers,
    /// Height and width of a patch in pixels.
    pub patch: [u32; 2],
    /// Whether the patches' map has a bias.
    pub patch_bias: bool,
    /// From patches to one vector.
    pub pooling: ImagePooling,
    /// Rows and columns of the table of positions.
    pub position_grid: [u32; 2],
    /// What is done where the input has another grid.
    pub position_resize: PositionResize,
    /// Whether the patches are normalised before the first layer.
    pub pre_norm: bool,
    /// Length of the vectors after a last map without bias; the layers' width where there is none.
    pub projection: Option<u32>,
    /// Tokens between class token and patches that no output comes from.
    pub registers: u32,
    /// Names of tensors.
    #[serde(skip)]
    pub names: VisionNames,
}

/// Names of a vision transformer's own tensors, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each names the tensors of the part that it is called after")]
pub struct VisionNames {
    /// What may stand before all names, tried in this order.
    pub prefixes: &'static [&'static str],
    pub patch: &'static str,
    pub class_token: &'static str,
    pub registers: &'static str,
    pub positions: &'static str,
    pub pre_norm: &'static str,
    pub final_norm: &'static str,
    pub head: &'static str,
    pub projection: &'static str,
    /// Tensors that embedding does not need: names, or their beginnings.
    pub ignored: &'static [&'static str],
}

impl VisionTransformer {
    /// Rows and columns of patches.
    #[must_use]
    pub fn grid(&self) -> [u32; 2] {
        [self.image[0] / self.patch[0], self.image[1] / self.patch[1]]
    }

    /// Length of the vectors.
    #[must_use]
    pub fn dimension(&self) -> u32 {
        self.projection.unwrap_or(self.layers.width)
    }
}

/// A last map of a text's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TextProjection {
    /// Whether it has a bias.
    pub bias: bool,
    /// Length of what it gives.
    pub dimension: u32,
}

/// A transformer over tokens with a table of positions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextTransformer {
    /// Whether the sum of the embeddings is normalised.
    pub embedding_norm: bool,
    /// Whether the last layer's output is normalised.
    pub final_norm: bool,
    /// The layers.
    pub layers: Layers,
    /// Row of the position table that the first token has.
    pub position_offset: u32,
    /// Rows of the position table.
    pub positions: u32,
    /// A last map of the pooled vector.
    pub projection: Option<TextProjection>,
    /// Kinds of segments, where there are any; texts are all of the first.
    pub segments: Option<u32>,
    /// Tokens that have an embedding.
    pub vocab_size: u32,
    /// Names of tensors.
    #[serde(skip)]
    pub names: TextNames,
}

/// Names of a text transformer's own tensors, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each names the tensors of the part that it is called after")]
pub struct TextNames {
    /// What may stand before all names, tried in this order.
    pub prefixes: &'static [&'static str],
    pub words: &'static str,
    pub positions: &'static str,
    pub segments: &'static str,
    pub embedding_norm: &'static str,
    pub final_norm: &'static str,
    pub projection: &'static str,
    /// Tensors that embedding does not need: names, or their beginnings.
    pub ignored: &'static [&'static str],
}

/// EmbeddingGemma: Gemma 3 without causal mask. RMS norms, rotary positions, grouped keys, some layers with a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gemma3 {
    /// Between the gated maps.
    pub activation: Activation,
    /// Whether the maps of the attention have biases.
    pub attention_bias: bool,
    /// Whether a token sees only itself and what is before it.
    pub causal: bool,
    /// Added to a mean square before its root is taken.
    pub eps: f64,
    /// For each layer: whether it sees the whole text, or a window of it.
    pub full_attention: Vec<bool>,
    /// Width of a head.
    pub head_dim: u32,
    /// Heads of queries.
    pub heads: u32,
    /// Width inside the feed-forward part.
    pub inner: u32,
    /// Heads of keys and values; divides `heads`.
    pub key_value_heads: u32,
    /// The longest text in tokens.
    pub positions: u32,
    /// Scores are divided by the root of this.
    pub query_scalar: f64,
    /// Base and divisor of the rotary frequencies of layers that see the whole text.
    pub rope_full: [f64; 2],
    /// Base and divisor of those with a window.
    pub rope_window: [f64; 2],
    /// Tokens that have an embedding.
    pub vocab_size: u32,
    /// Width of the network.
    pub width: u32,
    /// Two tokens see each other in a layer with a window when fewer than so many places are between them.
    pub window: u32,
}
