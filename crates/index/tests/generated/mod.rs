//! Generated filters against their meaning in memory, on every implementation: names and values that are hostile, or any
//! text at all.
//!
//! How many: `SIGHTLINE_FILTER_CASES` an implementation (`make filter-values` asks for 10,000), or a share that `make test`
//! has time for. They are the same at every run.

use futures::stream::{self, StreamExt};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sightline_core::filter::{Comparison, Field, Filter, Literal, TextField};
use sightline_core::{CollectionName, Row};
use sightline_index::conformance::{Subject, fixture};
use sightline_index::{IndexError, Projection};

/// Scans under way at once: a server with a clock lets each wait for it.
const AT_ONCE: usize = 32;
/// Disagreements that are shown.
const SHOWN: usize = 20;

fn any_filter() -> impl Strategy<Value = Filter> {
    let names = [
        "age",
        "View Position",
        "smoker",
        "note",
        "list",
        "large",
        "small",
        "missing",
        "\"",
        "[0]",
    ];
    let name = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    let text = prop_oneof![
        prop::sample::select(fixture::HOSTILE.to_vec()).prop_map(str::to_owned),
        Just("PA".to_owned()),
        any::<String>(),
    ];
    let number = prop_oneof![
        -10.0..250.0_f64,
        (0..220_i32).prop_map(f64::from),
        Just(9_007_199_254_740_993.0)
    ];
    let op = prop::sample::select(Comparison::ALL.to_vec());
    let literal = prop_oneof![
        text.clone().prop_map(Literal::Text),
        number.prop_map(Literal::Number),
        any::<bool>().prop_map(Literal::Bool),
        Just(Literal::Number(1_700_000_000_100.0)),
    ];
    let field = prop_oneof![
        prop::sample::select(TextField::ALL.to_vec()).prop_map(Field::Text),
        prop::sample::select(vec![Field::HasImage, Field::HasText, Field::IndexedAt]),
        name.clone().prop_map(Field::Attribute),
    ];
    let leaf = prop_oneof![
        text.prop_map(Filter::HasLabel),
        Just(Filter::Labelled),
        name.prop_map(Filter::HasAttribute),
        (field, op, literal).prop_map(|(field, op, value)| Filter::Compare { field, op, value }),
    ];
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

/// Whether a text of the filter has what milvus-lite's grammar has no escape for.
fn has_line_break(filter: &Filter) -> bool {
    let breaks = |text: &str| text.contains(['\n', '\r']);
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(has_line_break),
        Filter::Not(part) => has_line_break(part),
        Filter::HasLabel(text) | Filter::HasAttribute(text) => breaks(text),
        Filter::Labelled => false,
        Filter::Compare { value, .. } => matches!(value, Literal::Text(text) if breaks(text)),
    }
}

async fn disagreement(subject: &Subject, name: &CollectionName, rows: &[Row], filter: Filter) -> Option<String> {
    let scan = subject
        .index
        .scan(name, Some(&filter), None, 1000, Projection::Metadata);
    let found = match scan.await {
        Ok(found) => fixture::sorted_ids(&found),
        Err(IndexError::Refused { .. }) if !subject.line_breaks_in_filters && has_line_break(&filter) => return None,
        Err(error) => return Some(format!("{filter}: {error}")),
    };
    let expected = fixture::sorted_ids(rows.iter().filter(|row| filter.matches(row)));
    (found != expected).then(|| format!("{filter}: {} rows, not {}", found.len(), expected.len()))
}

/// Asks so many generated filters, or a share.
pub(crate) async fn any_filter_means_the_same(subject: Subject, share: usize) {
    let cases = std::env::var("SIGHTLINE_FILTER_CASES").map_or(share, |cases| cases.parse().unwrap());
    let description = subject.create(4).await;
    let name = &description.name;
    let mut rows: Vec<Row> = fixture::rows(220, &subject.fields, 4);
    rows.iter_mut().step_by(3).for_each(|row| row.image_embedding = None);
    rows.iter_mut().step_by(5).for_each(|row| row.text_embedding = None);
    subject.index.upsert(name, &rows).await.unwrap();
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let filters = any_filter();
    let filters = (0..cases).map(|_| filters.new_tree(&mut runner).unwrap().current());
    let asked = stream::iter(filters).map(|filter| disagreement(&subject, name, &rows, filter));
    let wrong: Vec<String> = asked
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    let shown: Vec<&str> = wrong.iter().take(SHOWN).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} of {cases} filters disagree:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    subject.drop(name).await;
}
