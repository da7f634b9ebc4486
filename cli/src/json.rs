//! Messages of the API as JSON: the fields' names as in the protos, 64-bit numbers as numbers.

use crate::error::CliError;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use sightline_proto::{FILE_DESCRIPTOR_SET, v1};

/// A message whose type the API names.
pub(crate) trait Named: Message {
    /// Its name in `sightline.v1`.
    const NAME: &'static str;
}

macro_rules! named {
    ($($type:ident),*) => {
        $(impl Named for v1::$type { const NAME: &'static str = stringify!($type); })*
    };
}

named!(
    Run,
    RunAudit,
    Alias,
    PreviewRunResponse,
    Failure,
    Item,
    Collection,
    CollectionStatistics,
    DuplicateGroup,
    SearchResponse,
    WorkerStatus
);

impl Named for v1::duplicates_response::Summary {
    const NAME: &'static str = "DuplicatesResponse.Summary";
}

/// A message in protobuf's JSON mapping, with every field that has a value or a default.
pub(crate) fn of<M: Named>(message: &M) -> Result<Value, CliError> {
    encode(M::NAME, &message.encode_to_vec())
        .map_err(|error| CliError::Failed(format!("cannot write {} as JSON: {error}", M::NAME)))
}

fn encode(name: &str, bytes: &[u8]) -> Result<Value, Box<dyn std::error::Error>> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    let descriptor = pool
        .get_message_by_name(&format!("sightline.v1.{name}"))
        .ok_or("the message is not in the descriptors")?;
    let message = DynamicMessage::decode(descriptor, bytes)?;
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(false)
        .use_proto_field_name(true)
        .skip_default_fields(false);
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;
    use serde_json::json;

    #[test]
    fn a_run_has_the_protos_names_and_its_counts_are_numbers() {
        let run = v1::Run {
            name: "runs/ab".into(),
            state: v1::run::State::PartiallySucceeded.into(),
            create_time: Some(Timestamp { seconds: 0, nanos: 0 }),
            counts: Some(v1::run::Counts {
                indexed: 785,
                failed: 1,
                ..Default::default()
            }),
            ..Default::default()
        };
        let value = of(&run).unwrap();
        assert_eq!(value["state"], "PARTIALLY_SUCCEEDED");
        assert_eq!(
            value["counts"],
            json!({"indexed": 785, "unchanged": 0, "skipped": 0, "failed": 1, "stale": 0})
        );
        assert_eq!(value["create_time"], "1970-01-01T00:00:00Z");
        assert_eq!(value["plan_complete"], false);
        assert_eq!(value.get("end_time"), None);
    }

    #[test]
    fn attributes_are_plain_json() {
        let kind = prost_types::value::Kind::NumberValue(61.0);
        let fields = [("age".to_owned(), prost_types::Value { kind: Some(kind) })].into();
        let item = v1::Item {
            attributes: Some(prost_types::Struct { fields }),
            ..Default::default()
        };
        assert_eq!(of(&item).unwrap()["attributes"], json!({"age": 61.0}));
    }
}
