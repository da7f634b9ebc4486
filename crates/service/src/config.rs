//! Configuration of a service, from four places.
//!
//! Later wins: the defaults of the type, one TOML file, the environment, the command line. A key is a path of words,
//! `queue.url`; in the file it is `url` under `[queue]`, in the environment `SIGHTLINE_QUEUE__URL` (upper case, `__`
//! between the levels), on the command line `--set queue.url=…` or a flag of its own. Nothing is ignored: a key that
//! does not exist is a mistake wherever it stands, and all mistakes are reported together, each with its place.

mod backends;
mod environment;
mod file;
mod keys;
mod listen;
mod load;
mod problems;
mod secret;
mod telemetry;
#[cfg(test)]
mod tests;
mod value;

pub use backends::{IndexConfig, QueueConfig, S3Config, StateConfig};
pub use environment::Environment;
pub use keys::{KeyDoc, KeyKind, key_docs};
pub use listen::{DEFAULT_MAX_MESSAGE_BYTES, GrpcConfig, ListenConfig, ObservabilityConfig, ShutdownConfig};
pub use load::{Sources, load};
pub use problems::{ConfigError, Origin, Problem, Problems};
pub use secret::{Secret, SecretUrl};
pub use telemetry::{LogFormatName, TelemetryConfig};

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The configuration of one service: a struct of blocks, each with `#[serde(default, deny_unknown_fields)]`.
///
/// The doc comment of a field is its documentation for operators, and `Default` says its default; [`key_docs`] lists
/// both. `Default` holds no secret, since a default is public.
pub trait Config: Default + Serialize + DeserializeOwned + JsonSchema {
    /// Checks what the types cannot say, and notes every mistake under its key.
    fn check(&self, problems: &mut Problems);
}
