//! What can be wrong with a model's tensors, or happen while it computes.

use std::path::PathBuf;

/// Why a model cannot be loaded or cannot compute.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no safetensors file, or is cut short.
    #[error("{path} is no whole safetensors file ({detail}): copy the model's weights again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was met.
        detail: String,
    },
    /// A tensor that the architecture needs is not there.
    #[error(
        "{files} has no tensor `{tensor}`, which config.json asks for: copy config.json and the weights from the same model"
    )]
    MissingTensor {
        /// The files that were looked in.
        files: String,
        /// The tensor.
        tensor: String,
    },
    /// Two files hold a tensor of one name.
    #[error("both {first} and {second} hold the tensor `{tensor}`: copy the model's weights again")]
    DoubleTensor {
        /// One file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error(
        "tensor `{tensor}` of {path} has the shape {found:?} where config.json asks for {expected:?}: copy config.json and the weights from the same model"
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<i64>,
        /// The shape it should have.
        expected: Vec<i64>,
    },
    /// A tensor's type is not read.
    #[error("tensor `{tensor}` of {path} is of type {found}, and F32, F16 and BF16 are read: convert it")]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        found: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{tensor}` of {path} holds NaN or infinity: the weights are damaged, copy them again")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// The weights hold tensors that the architecture has no place for.
    #[error(
        "{files} holds tensors that config.json's architecture has no place for ({tensors}): copy config.json and the weights from the same model"
    )]
    UnknownTensors {
        /// The files.
        files: String,
        /// Some of the tensors.
        tensors: String,
    },
    /// The tokenizer's file cannot be used.
    #[error("cannot use the tokenizer {path} ({detail}): copy it from the model's page")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What was met.
        detail: String,
    },
    /// A text cannot be cut into tokens.
    #[error("cannot cut a text into tokens: {0}")]
    Tokenize(String),
    /// The device is not there.
    #[error("the device {wanted} is not there ({found}): choose another one, or `auto`")]
    Device {
        /// What was asked for.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// The model does not embed this kind of input.
    #[error("model {model} embeds no {kind}: use a model that does")]
    NoSuchSide {
        /// The model.
        model: String,
        /// `pictures` or `texts`.
        kind: &'static str,
    },
    /// Pictures were prepared for another network.
    #[error(transparent)]
    Prepared(#[from] sightline_pictures::PrepareMismatch),
    /// A TorchScript module is not on the operator's list.
    #[error(
        "{path} is TorchScript, which is code, and its SHA-256 {digest} is not on the list of trusted modules: if you know where it comes from, add the digest to model.trusted_torchscript (--trust-torchscript on the command line)"
    )]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Its SHA-256, in hexadecimal digits.
        digest: String,
    },
    /// A TorchScript method gave something else than vectors.
    #[error("the method `{method}` of {path} does not embed as model.toml says: {detail}")]
    Script {
        /// The file.
        path: PathBuf,
        /// The method.
        method: String,
        /// What it gave.
        detail: String,
    },
    /// libtorch failed.
    #[error("libtorch failed: {0}")]
    Libtorch(#[from] tch::TchError),
    /// The network gave something of an unexpected shape: a mistake of ours.
    #[error("the network gave {found} values where {expected} were expected: please report it")]
    Output {
        /// Number of values.
        found: usize,
        /// Number that was expected.
        expected: usize,
    },
}
