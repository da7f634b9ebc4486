//! Hits as a table.

use crate::console::Console;
use crate::runs::{align_right, plain_table};
use crate::text::{plain, short};
use sightline_core::VectorField;
use sightline_proto::v1;
use sightline_proto::v1::search_response::Ranking;

const CAPTION: usize = 48;
const LABELS: usize = 32;
const PATH: usize = 60;

/// Rank, score, parts, group where there are groups, labels, caption and path of every hit; and how far the ranking is
/// proven.
pub(crate) fn text(response: &v1::SearchResponse, console: Console) -> String {
    let mut table = plain_table(console);
    let parts: Vec<VectorField> = VectorField::ALL
        .into_iter()
        .filter(|field| response.hits.iter().any(|hit| part(hit, *field).is_some()))
        .collect();
    let mut header = vec!["RANK", "SCORE"];
    header.extend(parts.iter().map(|field| match field {
        VectorField::Image => "PICTURE",
        VectorField::Text => "TEXT",
    }));
    let numbers = header.len();
    let grouped = response.hits.iter().any(|hit| !hit.group.is_empty());
    header.extend(grouped.then_some("GROUP"));
    header.extend(["LABELS", "CAPTION", "PATH"]);
    table.set_header(header);
    for (rank, hit) in response.hits.iter().enumerate() {
        let item = hit.item.clone().unwrap_or_default();
        let mut row = vec![(rank + 1).to_string(), format!("{:.4}", hit.score)];
        row.extend(
            parts
                .iter()
                .map(|field| part(hit, *field).map_or_else(|| "–".into(), |score| format!("{score:.4}"))),
        );
        row.extend(grouped.then(|| short(&hit.group, LABELS)));
        row.push(short(&item.labels.join(", "), LABELS));
        row.push(short(&item.report_text, CAPTION));
        row.push(path(&item));
        table.add_row(row);
    }
    for column in 0..numbers {
        align_right(&mut table, column);
    }
    match proven(response) {
        Some(words) => format!("{}\n{words}", table.trim_fmt()),
        None => table.trim_fmt(),
    }
}

fn part(hit: &v1::Hit, field: VectorField) -> Option<f64> {
    hit.parts
        .iter()
        .find(|part| part.field == field.as_str())
        .map(|part| part.score)
}

/// The end of a path says more than its beginning.
fn path(item: &v1::Item) -> String {
    let path = plain(if item.key.is_empty() {
        &item.image_path
    } else {
        &item.key
    });
    let characters = path.chars().count();
    if characters <= PATH {
        return path;
    }
    let end: String = path.chars().skip(characters - PATH + 1).collect();
    format!("…{end}")
}

/// How far the ranking is proven, in words.
pub(crate) fn proven(response: &v1::SearchResponse) -> Option<String> {
    match response.ranking() {
        Ranking::Unspecified => None,
        Ranking::Exact => Some("Exact: no item of the collection scores higher.".into()),
        Ranking::ExactOverCandidates => Some(format!(
            "Scores are exact; the candidates came from an approximate index. What it did not give scores at most {:.4}.",
            response.unseen_bound
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(text: Option<f64>) -> v1::Hit {
        let part = |field: VectorField, score: f64| v1::hit::Part {
            field: field.as_str().into(),
            score,
            weight: 0.5,
        };
        let item = v1::Item {
            key: "fruit/apple.png".into(),
            labels: vec!["food".into(), "fruit".into()],
            report_text: "A red\u{1b}[31m apple.".into(),
            ..v1::Item::default()
        };
        let parts = [
            Some(part(VectorField::Image, 0.81239)),
            text.map(|score| part(VectorField::Text, score)),
        ];
        v1::Hit {
            item: Some(item),
            score: 0.5,
            parts: parts.into_iter().flatten().collect(),
            ..v1::Hit::default()
        }
    }

    #[test]
    fn a_row_has_rank_score_parts_labels_caption_and_path() {
        let response = v1::SearchResponse {
            hits: vec![hit(Some(0.2)), hit(None)],
            ranking: Ranking::Exact.into(),
            ..v1::SearchResponse::default()
        };
        let text = text(&response, Console::of_process(false));
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows[0],
            ["RANK", "SCORE", "PICTURE", "TEXT", "LABELS", "CAPTION", "PATH"]
        );
        assert_eq!(
            rows[1],
            [
                "1",
                "0.5000",
                "0.8124",
                "0.2000",
                "food,",
                "fruit",
                "A",
                "red",
                "[31m",
                "apple.",
                "fruit/apple.png"
            ]
        );
        assert_eq!(rows[2][..4], ["2", "0.5000", "0.8124", "–"]);
        assert!(
            text.ends_with("no item of the collection scores higher.") && !text.contains('\u{1b}'),
            "{text}"
        );
    }

    #[test]
    fn groups_have_a_column_where_hits_are_grouped() {
        let of = |group: &str| v1::Hit {
            group: group.into(),
            ..hit(None)
        };
        let response = |hits| v1::SearchResponse {
            hits,
            ..v1::SearchResponse::default()
        };
        let console = Console::of_process(false);
        let grouped = text(&response(vec![of("patient-7"), of("")]), console);
        let rows: Vec<Vec<&str>> = grouped.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0][2..5], ["PICTURE", "GROUP", "LABELS"]);
        assert_eq!(rows[1][3], "patient-7");
        assert_eq!(rows[2][3], "food,", "a row without a value is a group of its own");
        assert!(!text(&response(vec![of("")]), console).contains("GROUP"));
    }

    #[test]
    fn a_long_path_keeps_its_end() {
        let item = v1::Item {
            key: format!("{}/apple.png", "folder".repeat(20)),
            ..v1::Item::default()
        };
        let path = path(&item);
        assert!(
            path.starts_with('…') && path.ends_with("/apple.png") && path.chars().count() == PATH,
            "{path}"
        );
    }
}
