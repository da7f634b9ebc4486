//! What is in a collection, counted by label and attribute. One pass over its rows without vectors, in parts side by side,
//! since each page waits for the server's clock; what is held is bounded, however many values there are.

use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::query::names::{self, collection_name};
use crate::query::violations::Violations;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use sightline_core::filter::{self, Comparison, Field, Filter, Literal, TextField};
use sightline_core::{CollectionName, Row, RowId};
use sightline_index::Projection;
use sightline_proto::v1;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// Rows that are read at once.
const PAGE_ROWS: usize = 1000;
/// Parts that are read at once.
const PARTS_AT_ONCE: usize = 8;
/// Different values that are told apart in one place.
const MAX_VALUES: usize = 10_000;
/// Attributes that are counted.
const MAX_ATTRIBUTES: usize = 256;
/// Longest value that is told apart, in bytes; a longer one is cut.
const MAX_VALUE_BYTES: usize = 256;
const DEFAULT_TOP: usize = 20;
const MAX_TOP: i32 = 1000;

/// Values and how often each was seen.
#[derive(Debug, Default)]
struct Values {
    counts: HashMap<String, i64>,
    /// Of values that came when the table was full.
    beyond: i64,
}

impl Values {
    fn see(&mut self, value: &str) {
        let value = sightline_core::row::cut_text(value, MAX_VALUE_BYTES);
        if let Some(count) = self.counts.get_mut(value) {
            *count += 1;
        } else if self.counts.len() < MAX_VALUES {
            self.counts.insert(value.to_owned(), 1);
        } else {
            self.beyond += 1;
        }
    }

    /// The most frequent, equal ones by name, and how many rows have another.
    fn top(self, most: usize) -> (Vec<v1::ValueCount>, i64) {
        let mut all: Vec<(String, i64)> = self.counts.into_iter().collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rest: i64 = all.iter().skip(most).map(|(_, count)| count).sum();
        all.truncate(most);
        let values = all.into_iter().map(|(value, count)| v1::ValueCount { value, count });
        (values.collect(), rest + self.beyond)
    }
}

/// One attribute.
#[derive(Debug, Default)]
struct Attribute {
    rows: i64,
    values: Values,
    numbers: i64,
    sum: f64,
    range: Option<(f64, f64)>,
}

impl Attribute {
    fn see(&mut self, value: &Value) {
        self.rows += 1;
        match value {
            Value::Number(number) => {
                let Some(number) = number.as_f64() else { return };
                self.numbers += 1;
                self.sum += number;
                let (least, most) = self.range.unwrap_or((number, number));
                self.range = Some((least.min(number), most.max(number)));
            }
            Value::String(text) => self.values.see(text),
            Value::Bool(flag) => self.values.see(if *flag { "true" } else { "false" }),
            Value::Array(values) => {
                for value in values {
                    match value {
                        Value::String(text) => self.values.see(text),
                        other => self.values.see(&other.to_string()),
                    }
                }
            }
            Value::Null | Value::Object(_) => {}
        }
    }

    fn told(self, name: String, top: usize) -> v1::AttributeStatistics {
        let (values, other_count) = self.values.top(top);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a mean of more than 2^53 numbers is out of reach"
        )]
        let mean = (self.numbers > 0).then(|| self.sum / self.numbers as f64);
        v1::AttributeStatistics {
            name,
            count: self.rows,
            values,
            other_count,
            minimum: self.range.map(|range| range.0),
            maximum: self.range.map(|range| range.1),
            mean,
        }
    }
}

#[derive(Debug, Default)]
struct Statistics {
    rows: i64,
    unlabelled: i64,
    labels: Values,
    datasets: Values,
    attributes: BTreeMap<String, Attribute>,
}

impl Statistics {
    fn see(&mut self, row: &Row) {
        self.rows += 1;
        self.datasets.see(row.dataset.as_str());
        if row.labels.is_empty() {
            self.unlabelled += 1;
        }
        for label in &row.labels {
            self.labels.see(label);
        }
        for (name, value) in row.attributes.iter().filter(|(_, value)| !value.is_null()) {
            if !self.attributes.contains_key(name) {
                if self.attributes.len() == MAX_ATTRIBUTES {
                    continue;
                }
                self.attributes.insert(name.clone(), Attribute::default());
            }
            if let Some(attribute) = self.attributes.get_mut(name) {
                attribute.see(value);
            }
        }
    }
}

/// Conditions that each row's id satisfies one of: ids begin with a hexadecimal digit, each as frequent as any other.
fn parts() -> impl Iterator<Item = Filter> {
    let id = |op, text: char| Filter::Compare {
        field: Field::Text(TextField::Id),
        op,
        value: Literal::Text(text.to_string()),
    };
    let digits: Vec<char> = "123456789abcdef".chars().collect();
    let between = |pair: &[char]| {
        let from = id(Comparison::GreaterOrEqual, pair[0]);
        Filter::And(vec![from, id(Comparison::Less, pair[1])])
    };
    let between: Vec<Filter> = digits.windows(2).map(between).collect();
    let ends = [id(Comparison::Less, '1'), id(Comparison::GreaterOrEqual, 'f')];
    ends.into_iter().chain(between)
}

async fn count_part(
    shared: &Shared,
    collection: &CollectionName,
    filter: Option<&Filter>,
    part: Filter,
    statistics: &Mutex<Statistics>,
) -> Result<(), GatewayError> {
    let condition = match filter {
        Some(filter) => Filter::And(vec![part, filter.clone()]),
        None => part,
    };
    let mut after: Option<RowId> = None;
    loop {
        let scan = shared.index.scan(
            collection,
            Some(&condition),
            after.as_ref(),
            PAGE_ROWS,
            Projection::Metadata,
        );
        let rows = scan.await?;
        let mut statistics = statistics.lock().unwrap_or_else(PoisonError::into_inner);
        for row in &rows {
            statistics.see(row);
        }
        drop(statistics);
        if rows.len() < PAGE_ROWS {
            return Ok(());
        }
        after = rows.into_iter().next_back().map(|row| row.id);
    }
}

/// Reads all rows of a collection, or those that a filter leaves, and counts.
pub(crate) async fn statistics(
    shared: &Shared,
    request: v1::GetCollectionStatisticsRequest,
) -> Result<v1::CollectionStatistics, GatewayError> {
    let mut violations = Violations::default();
    let collection = violations.take("name", collection_name(&request.name));
    let filter = match request.filter.as_str() {
        "" => None,
        text => violations.take("filter", filter::parse(text)),
    };
    let top = match request.top_values {
        0 => DEFAULT_TOP,
        given if (1..=MAX_TOP).contains(&given) => usize::try_from(given).unwrap_or(DEFAULT_TOP),
        given => {
            violations.add("top_values", format!("is {given}: give 1 to {MAX_TOP}"));
            DEFAULT_TOP
        }
    };
    violations.check()?;
    let collection = collection.ok_or_else(GatewayError::nothing)?;
    let description = shared.collection(&collection).await?;
    let statistics = Mutex::new(Statistics::default());
    let parts = parts().map(|part| count_part(shared, &description.name, filter.as_ref(), part, &statistics));
    stream::iter(parts)
        .buffer_unordered(PARTS_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let statistics = statistics.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (labels, other_labels) = statistics.labels.top(top);
    let (datasets, _) = statistics.datasets.top(top);
    let attributes = statistics.attributes.into_iter();
    Ok(v1::CollectionStatistics {
        name: names::of_collection(&description.name),
        row_count: statistics.rows,
        labels,
        other_label_count: other_labels,
        unlabelled_count: statistics.unlabelled,
        datasets,
        attributes: attributes.map(|(name, attribute)| attribute.told(name, top)).collect(),
    })
}
