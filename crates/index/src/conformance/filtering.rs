//! Filters against their meaning in memory.

use super::Subject;
use super::filters::FILTERS;
use super::fixture::{self, HOSTILE};
use crate::{IndexError, Projection};
use sightline_core::filter::{Comparison, Field, Filter, Literal, MAX_FILTER_DEPTH, TextField, parse};
use sightline_core::{CollectionName, Row};

/// Rows of which some lack a side.
fn rows(subject: &Subject) -> Vec<Row> {
    let mut rows = fixture::rows(220, &subject.fields, 4);
    for row in rows.iter_mut().step_by(3) {
        row.image_embedding = None;
    }
    for row in rows.iter_mut().step_by(5) {
        row.text_embedding = None;
    }
    rows
}

async fn disagreement(subject: &Subject, name: &CollectionName, rows: &[Row], filter: &Filter) -> Option<String> {
    let expected = fixture::sorted_ids(rows.iter().filter(|row| filter.matches(row)));
    let found = match subject
        .index
        .scan(name, Some(filter), None, 10_000, Projection::Metadata)
        .await
    {
        Ok(found) => fixture::sorted_ids(&found),
        Err(IndexError::Refused { .. }) if !subject.line_breaks_in_filters && has_line_break(filter) => return None,
        Err(error) => return Some(format!("{filter}: {error}")),
    };
    if found != expected {
        return Some(format!("{filter}: {} rows, not {}", found.len(), expected.len()));
    }
    let count = subject.index.count(name, Some(filter)).await;
    match count {
        Ok(count) if count == expected.len() as u64 => None,
        other => Some(format!("{filter}: count {other:?}, not {}", expected.len())),
    }
}

fn has_line_break(filter: &Filter) -> bool {
    match filter {
        Filter::HasLabel(text) | Filter::HasAttribute(text) => text.contains('\n'),
        Filter::Compare {
            value: Literal::Text(text),
            ..
        } => text.contains('\n'),
        _ => false,
    }
}

async fn check(subject: &Subject, filters: Vec<Filter>) {
    let description = subject.create(4).await;
    let rows = rows(subject);
    subject.index.upsert(&description.name, &rows).await.unwrap();
    let mut wrong = Vec::new();
    for filter in &filters {
        wrong.extend(disagreement(subject, &description.name, &rows, filter).await);
    }
    assert!(
        wrong.is_empty(),
        "{} filters disagree:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    subject.drop(&description.name).await;
}

pub async fn every_kind_of_filter_agrees_with_its_meaning(subject: &Subject) {
    let filters = FILTERS.map(|text| parse(text).unwrap_or_else(|error| panic!("{text}: {error}")));
    check(subject, filters.into()).await;
}

pub async fn hostile_values_stay_values(subject: &Subject) {
    let mut filters = Vec::new();
    for text in HOSTILE {
        let compare = |field, op| Filter::Compare {
            field,
            op,
            value: Literal::Text(text.into()),
        };
        filters.push(compare(Field::Text(TextField::Uid), Comparison::Equal));
        filters.push(compare(Field::Text(TextField::Uid), Comparison::LessOrEqual));
        filters.push(compare(Field::Attribute("note".into()), Comparison::Equal));
        filters.push(compare(Field::Attribute("note".into()), Comparison::NotEqual));
        filters.push(Filter::HasLabel(text.into()));
        if !text.is_empty() {
            filters.push(Filter::HasAttribute(text.into()));
            filters.push(compare(Field::Attribute(text.into()), Comparison::Equal));
        }
    }
    check(subject, filters).await;
}

pub async fn a_long_and_a_deep_filter_are_answered_and_one_too_deep_is_refused(subject: &Subject) {
    let wide: Vec<String> = (0..2000)
        .map(|number| format!("image_id=image-{}", number % 9))
        .collect();
    let long = format!("report_text = \"{}\"", "가".repeat(21_000));
    let filters = [wide.join(" OR "), long, nested(20), nested(40)];
    check(subject, filters.iter().map(|text| parse(text).unwrap()).collect()).await;

    let description = subject.create(4).await;
    let deepest = parse(&nested(MAX_FILTER_DEPTH)).unwrap();
    match subject.index.count(&description.name, Some(&deepest)).await {
        Ok(_) => {}
        Err(error) => assert!(matches!(error, IndexError::Refused { .. }), "{error}"),
    }
    subject.drop(&description.name).await;
}

/// A filter of so many nested parentheses.
fn nested(depth: usize) -> String {
    let mut filter = "image_id = image-3".to_owned();
    for level in 0..depth {
        let operator = if level % 2 == 0 { "AND" } else { "OR" };
        filter = format!("image_id != image-{} {operator} ({filter})", level % 11);
    }
    filter
}
