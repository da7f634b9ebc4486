//! A run that has ended, in words.

use crate::text::{between, count, duration, id_of, items, plain, rate};
use sightline_proto::v1;
use sightline_proto::v1::run::{ReasonCount, State};

/// How the run ended, and the command that lists the failures.
pub(crate) fn text(run: &v1::Run, flag: &str) -> String {
    let facts = facts(run);
    if run.counts.is_none_or(|counts| counts.failed == 0) {
        return facts;
    }
    format!(
        "{facts}\nlist the failures with: sightline runs failures {}{flag}",
        id_of(&run.name, "runs")
    )
}

/// How the run ended: items by outcome, reasons, rate.
pub(crate) fn facts(run: &v1::Run) -> String {
    let counts = run.counts.unwrap_or_default();
    let ended = counts.indexed + counts.unchanged + counts.skipped + counts.failed;
    let mut lines = vec![headline(run, ended)];
    let mut add = |name: &str, number: i64, more: &str| lines.push(format!("  {name:<10} {:>9}{more}", count(number)));
    add("indexed", counts.indexed, "");
    add("unchanged", counts.unchanged, "");
    add("skipped", counts.skipped, &reasons(&run.skips));
    add("failed", counts.failed, &reasons(&run.failures));
    if counts.stale > 0 {
        let whose = if counts.stale == 1 {
            "item keeps its"
        } else {
            "items keep their"
        };
        lines.push(format!("  of the failed, {} {whose} older row", count(counts.stale)));
    }
    if run.deleted_rows > 0 {
        let whose = if run.deleted_rows == 1 {
            "row was deleted: the dataset holds its item"
        } else {
            "rows were deleted: the dataset holds their items"
        };
        lines.push(format!("  {} {whose} no more", count(run.deleted_rows)));
    }
    if run.unprocessed_items > 0 {
        lines.push(format!("  {} were not processed", items(run.unprocessed_items)));
    }
    if !run.plan_complete && matches!(run.state(), State::Failed | State::Cancelled) {
        lines.push("  the dataset was not listed to its end: it may hold more items".into());
    }
    if ended == 0 && is_of_empty_table(run) {
        lines.push("  warning: the table holds no rows: check that it is the one that was meant".into());
    }
    lines.join("\n")
}

/// Whether a run read a table to its end and found nothing in it: more often a mistake than meant. A run of another's items
/// has none where there was nothing to mend.
fn is_of_empty_table(run: &v1::Run) -> bool {
    use v1::dataset::Source;
    let Some(spec) = &run.spec else { return false };
    let source = spec.dataset.as_ref().and_then(|dataset| dataset.source.as_ref());
    let is_table = matches!(
        source,
        Some(Source::Manifest(_) | Source::Embeddings(_) | Source::ClipRetrieval(_))
    );
    is_table && run.state() == State::Succeeded && run.planned_items == 0 && spec.parent_run.is_empty()
}

fn headline(run: &v1::Run, ended: i64) -> String {
    let how = match run.state() {
        State::Succeeded => "succeeded",
        State::PartiallySucceeded => "ended, some items failed",
        State::Failed => "failed",
        State::Cancelled => "was cancelled",
        other => other.as_str_name(),
    };
    let mut line = format!("{} {how}", run.name);
    if !run.state_message.is_empty() && matches!(run.state(), State::Failed | State::Cancelled) {
        line = format!("{line}: {}", plain(&run.state_message));
    }
    let Some(took) = between(run.create_time.as_ref(), run.end_time.as_ref()) else {
        return line;
    };
    line = format!("{line}: {} in {}", items(ended), duration(took));
    if took.as_secs_f64() > 0.0 && ended > 0 {
        line = format!("{line} ({})", rate(ended as f64 / took.as_secs_f64()));
    }
    line
}

fn reasons(reasons: &[ReasonCount]) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let listed: Vec<String> = reasons
        .iter()
        .map(|reason| format!("{} {}", count(reason.count), plain(&reason.reason)))
        .collect();
    format!("  ({})", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    #[test]
    fn a_partial_run_groups_reasons_and_says_how_to_list_the_failures() {
        let run = v1::Run {
            name: "runs/ab".into(),
            state: State::PartiallySucceeded.into(),
            create_time: Some(Timestamp { seconds: 100, nanos: 0 }),
            end_time: Some(Timestamp { seconds: 120, nanos: 0 }),
            counts: Some(v1::run::Counts {
                indexed: 785,
                failed: 3,
                stale: 1,
                skipped: 12,
                unchanged: 0,
            }),
            failures: vec![
                ReasonCount {
                    reason: "corrupt_image".into(),
                    count: 2,
                },
                ReasonCount {
                    reason: "image_too_large".into(),
                    count: 1,
                },
            ],
            skips: vec![ReasonCount {
                reason: "unsupported_type".into(),
                count: 12,
            }],
            ..v1::Run::default()
        };
        assert_eq!(
            text(&run, " --server http://h:1"),
            "runs/ab ended, some items failed: 800 items in 20 s (40.0/s)\n\
             \x20 indexed          785\n\
             \x20 unchanged          0\n\
             \x20 skipped           12  (12 unsupported_type)\n\
             \x20 failed             3  (2 corrupt_image, 1 image_too_large)\n\
             \x20 of the failed, 1 item keeps its older row\n\
             list the failures with: sightline runs failures ab --server http://h:1"
        );
    }

    #[test]
    fn a_table_without_rows_is_warned_of_and_a_folder_without_pictures_or_a_repair_of_nothing_is_not() {
        use v1::dataset::Source;
        let of = |source: Source, parent_run: &str| v1::Run {
            name: "runs/ab".into(),
            state: State::Succeeded.into(),
            plan_complete: true,
            spec: Some(v1::RunSpec {
                dataset: Some(v1::Dataset {
                    source: Some(source),
                    ..v1::Dataset::default()
                }),
                parent_run: parent_run.into(),
                ..v1::RunSpec::default()
            }),
            ..v1::Run::default()
        };
        let table = || Source::Embeddings(v1::EmbeddingsSource::default());
        let warned = |run: &v1::Run| facts(run).contains("warning: the table holds no rows");
        assert!(warned(&of(table(), "")));
        assert!(!warned(&of(table(), "runs/cd")));
        assert!(!warned(&of(Source::Prefix(v1::PrefixSource {}), "")));
        let full = v1::Run {
            planned_items: 3,
            counts: Some(v1::run::Counts {
                unchanged: 3,
                ..v1::run::Counts::default()
            }),
            ..of(table(), "")
        };
        assert!(!warned(&full));
    }

    #[test]
    fn a_stopped_run_says_why_and_what_it_did_not_reach() {
        let run = v1::Run {
            name: "runs/ab".into(),
            state: State::Failed.into(),
            state_message: "the collection holds another model".into(),
            unprocessed_items: 40,
            ..v1::Run::default()
        };
        let text = text(&run, "");
        assert!(
            text.starts_with("runs/ab failed: the collection holds another model\n"),
            "{text}"
        );
        assert!(
            text.contains("40 items were not processed\n  the dataset was not listed to its end")
                && !text.contains("runs failures"),
            "{text}"
        );
    }
}
