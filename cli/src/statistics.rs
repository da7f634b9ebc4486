//! `sightline collections statistics`: what is in a collection.

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::servers::Servers;
use crate::text::{count, id_of, items, plain, resource};
use sightline_proto::v1;

/// Asks for it and shows it.
pub(crate) async fn run(
    collection: &str,
    filter: &str,
    top_values: i32,
    servers: &Servers,
    console: Console,
) -> Outcome {
    let request = v1::GetCollectionStatisticsRequest {
        name: resource("collections", collection),
        filter: filter.to_owned(),
        top_values,
    };
    let answer = servers.search().await?.get_collection_statistics(request).await;
    let statistics = answer
        .map_err(|status| CliError::call("count what is in the collection", &status))?
        .into_inner();
    if console.is_json() {
        console.json(&json::of(&statistics)?)?;
    } else {
        console.say(&text(&statistics))?;
    }
    Ok(Exit::Success)
}

fn text(statistics: &v1::CollectionStatistics) -> String {
    let name = id_of(&statistics.name, "collections");
    let mut lines = vec![format!("{name}: {}", items(statistics.row_count))];
    values(&mut lines, "datasets", &statistics.datasets, 0);
    values(&mut lines, "labels", &statistics.labels, statistics.other_label_count);
    if !statistics.labels.is_empty() {
        lines.push(format!("  without a label  {}", count(statistics.unlabelled_count)));
    }
    for attribute in &statistics.attributes {
        lines.push(format!("{} (in {})", plain(&attribute.name), items(attribute.count)));
        if let (Some(least), Some(most), Some(mean)) = (attribute.minimum, attribute.maximum, attribute.mean) {
            lines.push(format!("  from {least} to {most}, mean {mean:.4}"));
        }
        counted(&mut lines, &attribute.values, attribute.other_count);
    }
    lines.join("\n")
}

fn values(lines: &mut Vec<String>, what: &str, values: &[v1::ValueCount], others: i64) {
    if !values.is_empty() {
        lines.push(what.to_owned());
        counted(lines, values, others);
    }
}

fn counted(lines: &mut Vec<String>, values: &[v1::ValueCount], others: i64) {
    for value in values {
        lines.push(format!("  {}  {}", plain(&value.value), count(value.count)));
    }
    if others > 0 {
        lines.push(format!("  others  {}", count(others)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_range_and_texts_their_most_frequent_values() {
        let value = |value: &str, count| v1::ValueCount {
            value: value.into(),
            count,
        };
        let statistics = v1::CollectionStatistics {
            name: "collections/chest".into(),
            row_count: 3,
            labels: vec![value("Mass", 2)],
            unlabelled_count: 1,
            attributes: vec![
                v1::AttributeStatistics {
                    name: "age".into(),
                    count: 2,
                    minimum: Some(40.0),
                    maximum: Some(61.0),
                    mean: Some(50.5),
                    ..Default::default()
                },
                v1::AttributeStatistics {
                    name: "view".into(),
                    count: 3,
                    values: vec![value("PA", 2)],
                    other_count: 1,
                    ..Default::default()
                },
            ],
            ..Default::default()
        };
        let expected = "chest: 3 items\nlabels\n  Mass  2\n  without a label  1\nage (in 2 items)\n  from 40 to 61, \
                        mean 50.5000\nview (in 3 items)\n  PA  2\n  others  1";
        assert_eq!(text(&statistics), expected);
    }
}
