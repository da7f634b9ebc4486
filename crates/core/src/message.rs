//! Messages in the queue: an envelope that every version of a worker can read far enough to hand it back.

use crate::clock::Timestamp;
use crate::document::is_unknown;
use crate::ids::{ModelName, RunId, ShardId};
use crate::plan::Link;
use crate::run::JobKind;
use serde::{Deserialize, Serialize};

/// The version of messages that is written, and the newest that is read.
pub const MESSAGE_VERSION: u32 = 1;

/// A message that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Written by a newer Sightline: hand it back for a worker that knows it.
    #[error("message version {0} is newer than {MESSAGE_VERSION}: a newer worker must take it")]
    UnknownVersion(u32),
    /// A kind of job that this version does not know: hand it back.
    #[error("job kind {0:?} is not known here: a newer worker must take it")]
    UnknownKind(String),
    /// A field that this version does not define: hand it back.
    #[error("{0}: a newer worker must take it")]
    UnknownField(String),
    /// No message of ours: dead-letter it.
    #[error("not a message of Sightline: {0}")]
    Malformed(String),
}

impl MessageError {
    /// Whether another process may be able to take it. What nobody can take belongs to the dead letters.
    #[must_use]
    pub fn hand_back(&self) -> bool {
        !matches!(self, Self::Malformed(_))
    }
}

/// "Work on this shard."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardMessage {
    /// What kind of job.
    pub kind: JobKind,
    /// The run.
    pub run: RunId,
    /// The shard.
    pub shard: ShardId,
    /// How often the message was published afresh; not the broker's delivery count.
    pub attempt: u32,
    /// W3C trace context of the planning that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// "Follow this link", or "watch this run".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanMessage {
    /// What kind of job the plan is for.
    pub kind: JobKind,
    /// The run.
    pub run: RunId,
    /// The link.
    pub link: Link,
    /// That no link is to be followed: the run is to be looked at until it has ended (its limits, and what is left to
    /// do after its last shard), from the link's cursor on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
    /// How often the message was published afresh.
    pub attempt: u32,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// "This shard has a result." A hint: the result object is the fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneReport {
    /// The run.
    pub run: RunId,
    /// The shard.
    pub shard: ShardId,
}

/// "This is what I wait for." A hint, forgotten when it is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// The worker's own name.
    pub worker: String,
    /// The model that it serves.
    pub model: ModelName,
    /// What keeps it from going on, in words; none where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Since when it is like this.
    pub since: Timestamp,
    /// Shards that it takes into its hands at once; none while it takes none, and from versions that did not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_hand: Option<u16>,
}

impl WorkerReport {
    /// Most shards that a worker takes into its hands at once. A report of more is broken.
    pub const MOST_IN_HAND: u16 = 64;
}

/// Writing and reading of a message with its version.
pub trait Envelope: Serialize + serde::de::DeserializeOwned {
    /// The message's bytes.
    fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Versioned<'a, T> {
            version: u32,
            #[serde(flatten)]
            body: &'a T,
        }
        // A struct of strings and numbers: serialising it cannot fail.
        serde_json::to_vec(&Versioned {
            version: MESSAGE_VERSION,
            body: self,
        })
        .unwrap_or_default()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When it is of a newer Sightline, or no message of ours; see [`MessageError::hand_back`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let malformed = |error: serde_json::Error| MessageError::Malformed(error.to_string());
        let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).map_err(malformed)?;
        let version = value.remove("version").and_then(|version| version.as_u64());
        let version = version.ok_or_else(|| MessageError::Malformed("it has no version".into()))?;
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        if version > MESSAGE_VERSION {
            return Err(MessageError::UnknownVersion(version));
        }
        let kind = value.get("kind").cloned().unwrap_or_default();
        if JobKind::deserialize(&kind).is_err() {
            return Err(match kind {
                serde_json::Value::String(kind) => MessageError::UnknownKind(kind),
                _ => MessageError::Malformed("it has no kind".into()),
            });
        }
        Self::deserialize(serde_json::Value::Object(value)).map_err(|error| {
            if is_unknown(&error) {
                MessageError::UnknownField(error.to_string())
            } else {
                malformed(error)
            }
        })
    }
}

impl Envelope for ShardMessage {}
impl Envelope for PlanMessage {}

/// Names of queues.
pub mod queues {
    use crate::digest::PartsDigest;
    use crate::ids::ModelName;

    /// Planning links; every coordinator takes from it.
    pub const PLAN: &str = "sightline.plan";
    /// Shards of kinds that need no model; every worker takes from it.
    pub const SHARDS_ANY: &str = "sightline.shards.any";
    /// Broadcast of [`super::DoneReport`]: a shard has a result.
    pub const TOPIC_DONE: &str = "sightline.done";
    /// Broadcast of [`super::WorkerReport`]: what a worker is doing, every few seconds and when it changes.
    pub const TOPIC_WORKERS: &str = "sightline.workers";

    /// Shards for one model. Readable, and distinct where two names differ only in what a queue's name cannot hold.
    #[must_use]
    pub fn shards(model: &ModelName) -> String {
        let readable: String = model
            .as_str()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                    c
                } else {
                    '_'
                }
            })
            .take(80)
            .collect();
        let digest = PartsDigest::new("sightline/queue/v1")
            .part(model.as_str().as_bytes())
            .short_hex();
        format!("sightline.shards.{readable}.{}", &digest[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> ShardMessage {
        ShardMessage {
            kind: JobKind::Embed,
            run: RunId::of_request("a", "b"),
            shard: ShardId::of_manifest(b"x"),
            attempt: 1,
            traceparent: None,
        }
    }

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        assert_eq!(ShardMessage::from_bytes(&message().to_bytes()).unwrap(), message());
    }

    #[test]
    fn a_message_of_a_newer_worker_is_handed_back_and_a_broken_one_is_not() {
        let text = String::from_utf8(message().to_bytes()).unwrap();
        let newer = ShardMessage::from_bytes(text.replace("\"version\":1", "\"version\":2").as_bytes()).unwrap_err();
        assert_eq!(newer, MessageError::UnknownVersion(2));
        let kind = ShardMessage::from_bytes(text.replace("embed", "transmogrify").as_bytes()).unwrap_err();
        assert_eq!(kind, MessageError::UnknownKind("transmogrify".into()));
        let field = ShardMessage::from_bytes(text.replace('{', "{\"more\":{\"of\":1},").as_bytes()).unwrap_err();
        assert!(
            matches!(&field, MessageError::UnknownField(why) if why.contains("more")),
            "{field}"
        );
        assert!(newer.hand_back() && kind.hand_back() && field.hand_back());
        for broken in [
            "",
            "[]",
            "{}",
            "{\"version\":-1}",
            &text.replace("\"attempt\":1", "\"attempt\":-1"),
        ] {
            assert!(
                !ShardMessage::from_bytes(broken.as_bytes()).unwrap_err().hand_back(),
                "{broken}"
            );
        }
    }

    #[test]
    fn two_models_whose_names_look_alike_to_a_broker_have_two_queues() {
        let name = |text: &str| queues::shards(&crate::ids::ModelName::new(text).unwrap());
        assert_ne!(name("a/b"), name("a_b"));
        // As tests/chart has them: the chart computes the same names for its scalers.
        assert_eq!(name("sightline-demo"), "sightline.shards.sightline-demo.7f02a162");
        assert_eq!(
            name("google/siglip-so400m"),
            "sightline.shards.google_siglip-so400m.8f3eb4df"
        );
    }
}
