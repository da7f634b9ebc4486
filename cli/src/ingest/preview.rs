//! `sightline ingest --dry-run`: what a run would do, counted without doing it.

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::servers::Servers;
use crate::text::{count, plain};
use sightline_proto::v1;

/// Asks for the counts, and prints the last of them.
pub(crate) async fn run(spec: v1::RunSpec, servers: &Servers, console: Console) -> Outcome {
    let failed = |status: tonic::Status| CliError::call("count what the run would do", &status);
    let request = v1::PreviewRunRequest { spec: Some(spec) };
    let mut client = servers.coordinator().await?;
    let mut told = client.preview_run(request).await.map_err(failed)?.into_inner();
    while let Some(so_far) = told.message().await.map_err(failed)? {
        if !so_far.complete {
            console.note(&format!("{} items so far", count(so_far.items)));
            continue;
        }
        if console.is_json() {
            console.json(&json::of(&so_far)?)?;
        } else {
            console.say(&text(&so_far))?;
        }
        return Ok(Exit::Success);
    }
    Err(CliError::Failed(
        "the coordinator ended before it had counted everything: ask again".into(),
    ))
}

fn text(preview: &v1::PreviewRunResponse) -> String {
    let mut lines = vec![format!(
        "{} items in at least {} shards, {} bytes to read; nothing was written",
        count(preview.items),
        count(preview.shards),
        count(preview.bytes)
    )];
    for of in &preview.types {
        lines.push(format!(
            "  {} {}, {} bytes",
            count(of.items),
            plain(&of.r#type),
            count(of.bytes)
        ));
    }
    if let Some(unchanged) = preview.unchanged_items {
        lines.push(format!(
            "  {} of them unchanged: they would not be read",
            count(unchanged)
        ));
    }
    if let Some(deleted) = preview.deleted_rows {
        lines.push(format!(
            "  {} rows would be deleted: the dataset holds their items no more",
            count(deleted)
        ));
    }
    if let Some(why) = &preview.mirror_refusal {
        lines.push(format!("  none of these rows would be deleted: {}", plain(why)));
    }
    for (what, reasons) in [("skipped", &preview.skips), ("failed", &preview.failures)] {
        for reason in reasons {
            lines.push(format!(
                "  {} would be {what}: {}",
                count(reason.count),
                plain(&reason.reason)
            ));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_told_with_types_and_reasons() {
        let preview = v1::PreviewRunResponse {
            complete: true,
            items: 1200,
            bytes: 5000,
            shards: 5,
            types: vec![v1::preview_run_response::TypeCount {
                r#type: "png".into(),
                items: 1199,
                bytes: 5000,
            }],
            skips: vec![v1::run::ReasonCount {
                reason: "unsupported_type".into(),
                count: 1,
            }],
            failures: vec![],
            unchanged_items: Some(7),
            deleted_rows: Some(2),
            mirror_refusal: Some("that is more than 50% of them".into()),
        };
        assert_eq!(
            text(&preview),
            "1,200 items in at least 5 shards, 5,000 bytes to read; nothing was written\n  1,199 png, 5,000 bytes\n  \
             7 of them unchanged: they would not be read\n  2 rows would be deleted: the dataset holds their items no more\n  none of these rows would be deleted: that is more than 50% of them\n  1 would be skipped: unsupported_type"
        );
    }
}
