//! `sightline models inspect`.

use super::{ComputeArgs, open};
use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::hub::HubArgs;
use crate::text::count;
use clap::Args;
use serde_json::{Value, json};
use sightline_core::VectorField;
use sightline_hub::Source;
use sightline_model_folder::{ImagePreprocessing, ModelFolder, Padding, Resize, TextSide};
use sightline_models::{LoadedModel, Precision, parameters};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Which model.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The model's folder, or hf:ORG/NAME[@REVISION].
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

pub(super) async fn run(args: &InspectArgs, console: Console) -> Outcome {
    let place = args.hub.resolve(&args.model, console).await?;
    let source = Source::read(&place)?;
    let folder = open(&place, &args.compute)?;
    let failed = |error| CliError::Usage(format!("cannot load the model: {error}"));
    let parameters = parameters(&folder).map_err(failed)?;
    let started = Instant::now();
    let model = sightline_models::load(folder, &args.compute.options()).map_err(failed)?;
    let facts = Facts {
        parameters,
        load_time: started.elapsed(),
        peak_memory: peak_memory(),
        source,
    };
    if console.is_json() {
        console.json(&as_json(&model, &facts))?;
    } else {
        console.say(&text(&model, &facts))?;
    }
    Ok(Exit::Success)
}

struct Facts {
    /// None where only the model's code could tell.
    parameters: Option<u64>,
    load_time: Duration,
    /// Bytes; none where the system does not tell.
    peak_memory: Option<u64>,
    /// Where the folder was pulled from, where it was.
    source: Option<Source>,
}

/// The largest memory that this process had.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024)
}

fn as_json(model: &LoadedModel, facts: &Facts) -> Value {
    let folder = &model.folder;
    let fields: serde_json::Map<String, Value> = folder
        .spaces
        .iter()
        .map(|(field, space)| {
            let value = json!({"dimension": space.dimension, "fingerprint": space.fingerprint().to_string(),
                               "pooling": space.pooling, "prefix": space.prefix});
            (field.as_str().to_owned(), value)
        })
        .collect();
    json!({
        "name": folder.name.to_string(),
        "parameters": facts.parameters,
        "fields": fields,
        "device": model.device,
        "precision": model.precision.to_string(),
        "auto_precision_on_cpu": Precision::auto_on_cpu().to_string(),
        "image_preprocessing": folder.image.as_ref().map(|image| preprocessing(&image.preprocessing)),
        "text_preprocessing": folder.text.as_ref().map(tokens),
        "max_tokens": folder.text.as_ref().map(|text| text.max_tokens),
        "load_seconds": facts.load_time.as_secs_f64(),
        "peak_memory_bytes": facts.peak_memory,
        "source": facts.source,
    })
}

fn text(model: &LoadedModel, facts: &Facts) -> String {
    let folder: &ModelFolder = &model.folder;
    let number = |value: u64| count(i64::try_from(value).unwrap_or(i64::MAX));
    let mut lines = vec![
        format!("model        {}", folder.name),
        format!(
            "parameters   {}",
            facts.parameters.map_or("not told by TorchScript".to_owned(), number)
        ),
        format!("computes     on {} in {}", model.device, model.precision),
        format!("auto         {} on this processor", Precision::auto_on_cpu()),
        format!("load time    {:.2} s", facts.load_time.as_secs_f64()),
    ];
    if let Some(source) = &facts.source {
        lines.push(format!("source       {}/{}", source.endpoint, source.repository));
        lines.push(format!(
            "commit       {} (asked for: {})",
            source.commit, source.revision
        ));
    }
    if let Some(bytes) = facts.peak_memory {
        lines.push(format!("peak memory  {} MiB", number(bytes >> 20)));
    }
    for (field, space) in &folder.spaces {
        lines.push(String::new());
        lines.push(format!("{field}"));
        lines.push(format!("  dimension    {}", space.dimension));
        lines.push(format!("  fingerprint  {}", space.fingerprint()));
        lines.push(format!("  pooling      {}", space.pooling));
        let prepared = match field {
            VectorField::Image => folder.image.as_ref().map(|image| preprocessing(&image.preprocessing)),
            VectorField::Text => folder.text.as_ref().map(tokens),
        };
        lines.extend(prepared.map(|prepared| format!("  prepared     {prepared}")));
    }
    lines.join("\n")
}

/// What happens to a picture, in words.
fn preprocessing(spec: &ImagePreprocessing) -> String {
    let [height, width] = spec.crop;
    let filter = format!("{:?}", spec.resample).to_lowercase();
    let cut = if spec.pad { "filled up to" } else { "middle" };
    let resize = match spec.resize {
        Resize::ShortestEdge(edge) => format!("shorter edge to {edge} ({filter}), {cut} {height} x {width}"),
        Resize::Exact([rows, columns]) if [rows, columns] == spec.crop => format!("to {height} x {width} ({filter})"),
        Resize::Exact([rows, columns]) => format!("to {rows} x {columns} ({filter}), {cut} {height} x {width}"),
        Resize::Within([rows, columns]) => format!("to fit {rows} x {columns} ({filter}), {cut} {height} x {width}"),
        Resize::Bounded { longest, shortest } => format!(
            "shorter edge to {shortest}, the longer one to at most {longest} ({filter}), {cut} {height} x {width}"
        ),
        Resize::Keep => format!("as large as it is, {cut} {height} x {width}"),
    };
    format!(
        "{resize}; times {:.6}, minus {:?}, by {:?}",
        spec.rescale, spec.mean, spec.std
    )
}

/// What happens to a text, in words.
fn tokens(side: &TextSide) -> String {
    let mut words = format!("at most {} tokens", side.max_tokens);
    if matches!(side.padding, Padding::Full { .. }) {
        words.push_str(", filled up to as many");
    }
    if side.lowercase {
        words.push_str(", in lower case");
    }
    for (what, prefix) in [("documents", &side.prefix), ("queries", &side.query_prefix)] {
        if !prefix.is_empty() {
            words.push_str(&format!(", {what} begin with {prefix:?}"));
        }
    }
    words
}
