//! Fetches model folders from the Hugging Face Hub, or from a server that speaks its API, into a folder of this machine.
//!
//! Promises: `hf:org/name[@revision]` becomes a folder of exactly one commit, which is recorded in it; nothing but what a
//! model folder is read from is fetched, and never a pickle; every byte is checked against the hub's own digests before
//! the folder counts as whole; a download that broke goes on where it ended, in this call or in a later one; a name that
//! was resolved once means the same commit until it is pulled again; the token reaches the hub alone and no message.
//! Leaves to others: reading the folder (`sightline-model-folder`), and saying where the cache is.
//!
//! Addresses and requests are those of the `hf-hub` crate. Downloads are our own: that crate's check no digest, take up
//! a broken file only at whole parts of ten megabytes, send the token along to the server that the hub redirects to,
//! wait without a limit, and panic at a redirect that leads nowhere.

mod cache;
mod client;
mod config;
mod digest;
mod download;
mod error;
mod listing;
mod progress;
mod pull;
mod reference;
mod resolve;
mod select;
mod source;

pub use config::{HubConfig, HubOptions};
pub use error::HubError;
pub use progress::{Logged, Progress};
pub use pull::{Pulled, pull_into};
pub use reference::{HubRef, ModelPlace, ReferenceError};
pub use resolve::{model_name, pull, pulled, resolve};
pub use source::{Source, SourceFile};
