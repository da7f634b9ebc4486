//! What joins a format without a new version: a field, or a word of a fixed list. Whatever place it has in whatever
//! sample, a program from before it says that a newer one wrote it, and never that it is damaged.

use super::sample;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sightline_core::document::Document;
use sightline_core::message::Envelope;
use sightline_core::{
    CollectionDescription, DocumentError, Manifest, MessageError, MirrorDone, MirrorPlan, MirroredRows, PlanComplete,
    PlanMessage, PlanNode, RollUp, RunDocument, ShardId, ShardMessage, ShardResult, ShardSplit, StopDocument,
};
use std::io::{Read as _, Write as _};

const FIELD: &str = "of_a_newer_sightline";
/// Names with data behind them, of which no name is fixed, and the items of a result, which are read for what is known
/// of them.
const OPEN: [&str; 4] = ["attributes", "stage_ms", "repeated", "items"];

/// A value with one more field, in each of its objects in turn.
fn grown(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    if let Value::Object(fields) = value {
        let mut more = fields.clone();
        more.insert(FIELD.into(), json!({ "more": 1 }));
        all.push(Value::Object(more));
        for (name, inside) in fields.iter().filter(|(name, _)| !OPEN.contains(&name.as_str())) {
            for inside in grown(inside) {
                let mut fields = fields.clone();
                fields.insert(name.clone(), inside);
                all.push(Value::Object(fields));
            }
        }
    }
    if let Value::Array(values) = value {
        for (at, inside) in values.iter().enumerate() {
            for inside in grown(inside) {
                let mut values = values.clone();
                values[at] = inside;
                all.push(Value::Array(values));
            }
        }
    }
    all
}

fn document<T: Document>(name: &str) -> usize {
    let grown = grown(&serde_json::from_slice(&sample(name)).unwrap());
    for value in &grown {
        let error = T::from_bytes(value.to_string().as_bytes()).err();
        let told = error.as_ref().is_some_and(|error| error.to_string().contains(FIELD));
        assert!(told && error.is_some_and(|error| error.is_newer()), "{name}: {value}");
    }
    grown.len()
}

fn message<T: Envelope>(name: &str) -> usize {
    let grown = grown(&serde_json::from_slice(&sample(name)).unwrap());
    for value in &grown {
        let error = T::from_bytes(value.to_string().as_bytes()).err();
        let told = matches!(&error, Some(MessageError::UnknownField(why)) if why.contains(FIELD));
        assert!(told && error.is_some_and(|error| error.hand_back()), "{name}: {value}");
    }
    grown.len()
}

#[test]
fn a_document_with_a_field_that_is_not_defined_here_is_left_for_a_newer_program() {
    let places = [
        document::<RunDocument>("run-v1.json"),
        document::<RunDocument>("run-v1-clip-retrieval.json"),
        document::<RunDocument>("run-v1-dicom.json"),
        document::<RunDocument>("run-v1-import.json"),
        document::<RunDocument>("run-v1-mirror-rows.json"),
        document::<RunDocument>("run-v1-previews.json"),
        document::<RunDocument>("run-v1-webdataset.json"),
        document::<StopDocument>("stop-v1.json"),
        document::<PlanNode>("plan-v1.json"),
        document::<PlanNode>("plan-v1-fan-out.json"),
        document::<PlanComplete>("plan-complete-v1.json"),
        document::<RollUp>("roll-up-v1.json"),
        document::<ShardSplit>("split-v1.json"),
        document::<ShardResult>("result-v1.json"),
        document::<MirrorPlan>("mirror-v1.json"),
        document::<MirroredRows>("mirrored-rows-v1.json"),
        document::<MirrorDone>("mirrored-v1.json"),
        document::<CollectionDescription>("collection-v1.json"),
    ];
    assert!(places.iter().sum::<usize>() > 60, "{places:?}");
}

#[test]
fn a_message_with_a_field_that_is_not_defined_here_is_handed_back() {
    assert_eq!(message::<ShardMessage>("shard-message-v1.json"), 1);
    assert_eq!(message::<PlanMessage>("plan-message-v1.json"), 3);
    assert_eq!(message::<PlanMessage>("plan-message-v1-watch.json"), 3);
}

/// What a manifest of these lines is read as.
fn manifest(lines: &[Value]) -> Result<Manifest, DocumentError> {
    let plain: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut stored = GzEncoder::new(Vec::new(), Compression::fast());
    stored.write_all(plain.as_bytes()).unwrap();
    Manifest::decode(&ShardId::of_manifest(plain.as_bytes()), &stored.finish().unwrap())
}

fn lines(name: &str) -> Vec<Value> {
    let mut plain = String::new();
    let stored = sample(name);
    GzDecoder::new(stored.as_slice()).read_to_string(&mut plain).unwrap();
    plain.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_manifest_with_a_field_that_is_not_defined_here_is_left_for_a_newer_program() {
    for name in [
        "manifest-v1.jsonl.gz",
        "manifest-v1-export.jsonl.gz",
        "manifest-v1-import.jsonl.gz",
        "manifest-v1-webdataset.jsonl.gz",
    ] {
        let known = lines(name);
        manifest(&known).unwrap();
        // Of an entry that ended, what is known is read.
        let items = known.iter().enumerate();
        for (at, line) in items.filter(|(_, line)| line.get("outcome").is_none()) {
            for line in grown(line) {
                let mut lines = known.clone();
                lines[at] = line;
                let error = manifest(&lines).unwrap_err();
                assert!(error.is_newer() && error.to_string().contains(FIELD), "{name}: {error}");
            }
        }
    }
}

#[test]
fn a_word_that_joined_a_fixed_list_is_a_newer_programs_too() {
    let mut stop: Value = serde_json::from_slice(&sample("stop-v1.json")).unwrap();
    stop["reason"] = json!(FIELD);
    let stop = StopDocument::from_bytes(stop.to_string().as_bytes()).unwrap_err();
    assert!(stop.is_newer(), "{stop}");
    let mut run: Value = serde_json::from_slice(&sample("run-v1.json")).unwrap();
    run["spec"]["dataset"]["source"] = json!({ "type": FIELD, "path": "x" });
    let run = RunDocument::from_bytes(run.to_string().as_bytes()).unwrap_err();
    assert!(run.is_newer(), "{run}");
    let mut result: Value = serde_json::from_slice(&sample("result-v1.json")).unwrap();
    result["items"][3]["reason"] = json!(FIELD);
    let result = ShardResult::from_bytes(result.to_string().as_bytes()).unwrap_err();
    assert!(result.is_newer(), "{result}");
    for word in ["outcome", "reason"] {
        let mut lines = lines("manifest-v1.jsonl.gz");
        lines[2][word] = json!(FIELD);
        let error = manifest(&lines).unwrap_err();
        assert!(error.is_newer() && error.to_string().contains("entry 1"), "{error}");
    }
}

#[test]
fn what_lacks_a_field_or_has_another_kind_of_value_is_damaged_and_waits_for_nobody() {
    let run: Value = serde_json::from_slice(&sample("run-v1.json")).unwrap();
    let damaged = |change: &dyn Fn(&mut Value)| {
        let mut run = run.clone();
        change(&mut run);
        let error = RunDocument::from_bytes(run.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, DocumentError::Malformed { .. }), "{error}");
    };
    damaged(&|run: &mut Value| drop(run["spec"].as_object_mut().unwrap().remove("collection")));
    damaged(&|run: &mut Value| run["created_at"] = json!("yesterday"));
    damaged(&|run: &mut Value| run["run"] = json!("no run"));
    for (at, line) in [
        (1, json!({ "key": 1 })),
        (2, json!({ "outcome": "failed" })),
        (2, json!([])),
    ] {
        let mut lines = lines("manifest-v1.jsonl.gz");
        lines[at] = line;
        let error = manifest(&lines).unwrap_err();
        assert!(matches!(error, DocumentError::Malformed { .. }), "{error}");
    }
}
