//! The JSON schema of a run's file, from the API's own descriptors: names, comments, and what is required.

use super::file::{API_VERSION, KIND, descriptor};
use crate::error::CliError;
use prost_reflect::{Cardinality, EnumValueDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value as ProtoValue};
use serde_json::{Map, Value, json};
use sightline_proto::v1::JobKind;

/// The extension that says whether a caller gives a field.
const BEHAVIOUR: &str = "google.api.field_behavior";
const REQUIRED: i32 = 2;
const OUTPUT_ONLY: i32 = 3;
/// The enumeration of which not every word is served.
const JOB_KIND: &str = "sightline.v1.JobKind";
/// What coordinators refuse.
const REFUSED: [JobKind; 2] = [JobKind::Caption, JobKind::Regions];

/// The schema of a whole file.
///
/// # Errors
/// Where the program's own descriptors cannot be read.
pub(super) fn of_run_files() -> Result<Value, CliError> {
    let spec = descriptor().map_err(|error| CliError::Failed(format!("cannot read the API's descriptors: {error}")))?;
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of Sightline, as `sightline apply` takes it",
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": KIND},
            "request_id": {
                "type": "string", "minLength": 1, "maxLength": 128,
                "description": "Your name for this request; made of the specification where not given.",
            },
            "spec": of_message(&spec),
        },
    }))
}

fn of_message(message: &MessageDescriptor) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in message.fields().filter(|field| !behaves(field, OUTPUT_ONLY)) {
        let mut schema = of_field(&field);
        if let (Some(schema), Some(text)) = (schema.as_object_mut(), comment(&field)) {
            schema.insert("description".into(), text.into());
        }
        if behaves(&field, REQUIRED) {
            required.push(field.name().to_owned());
        }
        properties.insert(field.name().to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    // A number that may be left out is the one choice of a oneof that nobody wrote.
    let choices: Vec<Value> = message
        .oneofs()
        .filter(|one| !one.is_synthetic())
        .flat_map(|one| {
            one.fields()
                .map(|field| json!({"required": [field.name()]}))
                .collect::<Vec<_>>()
        })
        .collect();
    if !choices.is_empty() {
        schema["oneOf"] = choices.into();
    }
    schema
}

fn of_field(field: &FieldDescriptor) -> Value {
    if field.is_map() {
        return json!({"type": "object", "additionalProperties": {"type": "string"}});
    }
    let one = of_kind(&field.kind());
    match field.cardinality() {
        Cardinality::Repeated => json!({"type": "array", "items": one}),
        Cardinality::Optional | Cardinality::Required => one,
    }
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::String | Kind::Bytes => json!({"type": "string"}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Double | Kind::Float => json!({"type": "number"}),
        Kind::Enum(words) => {
            // Zero means "not given".
            let given = words.values().filter(|value| value.number() != 0 && !is_refused(value));
            json!({"enum": given.map(|value| value.name().to_owned()).collect::<Vec<_>>()})
        }
        Kind::Message(message) => of_message(message),
        _ => json!({"type": "integer", "minimum": 0}),
    }
}

/// Whether coordinators refuse every run with this word.
fn is_refused(word: &EnumValueDescriptor) -> bool {
    word.parent_enum().full_name() == JOB_KIND && REFUSED.iter().any(|kind| kind.as_str_name() == word.name())
}

fn behaves(field: &FieldDescriptor, behaviour: i32) -> bool {
    let options = field.options();
    let Some(extension) = field.parent_pool().get_extension_by_name(BEHAVIOUR) else {
        return false;
    };
    match options.get_extension(&extension).as_ref() {
        ProtoValue::List(values) => values.contains(&ProtoValue::EnumNumber(behaviour)),
        _ => false,
    }
}

/// A field's comment in the proto, on one line.
fn comment(field: &FieldDescriptor) -> Option<String> {
    let file = field.parent_file();
    let information = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = information
        .location
        .iter()
        .find(|location| location.path == field.path())?;
    let words: Vec<&str> = location.leading_comments.as_deref()?.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_requires_and_explains_is_in_the_schema_and_what_it_sets_itself_is_not() {
        let schema = of_run_files().unwrap();
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["required"], json!(["kind", "dataset", "collection"]));
        assert_eq!(spec["properties"].get("parent_run"), None);
        let text = spec["properties"]["model"]["description"].as_str().unwrap();
        assert!(text.starts_with("The model, as the workers name it."), "{text}");
        let dataset = &spec["properties"]["dataset"];
        assert_eq!(dataset["oneOf"].as_array().unwrap().len(), 6);
        assert_eq!(
            dataset["properties"]["manifest"]["properties"]["columns"]["properties"]["attributes"]["type"],
            "array"
        );
    }

    #[test]
    fn kinds_that_coordinators_refuse_are_not_in_the_schema() {
        let schema = of_run_files().unwrap();
        let properties = &schema["properties"]["spec"]["properties"];
        assert_eq!(properties["kind"]["enum"], json!(["EMBED", "IMPORT"]));
        let previews = &properties["previews"]["properties"];
        assert_eq!(previews["format"]["enum"], json!(["JPEG", "PNG"]));
    }

    #[test]
    fn the_published_schema_is_the_one_that_this_program_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/run.schema.json");
        let published: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(
            published,
            of_run_files().unwrap(),
            "run `sightline apply --schema > docs/run.schema.json`"
        );
    }
}
