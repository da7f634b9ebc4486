//! What a trace shows of a search.

use crate::memory_index::MemoryIndex;
use crate::rows::{collection, row};
use sightline_core::VectorField;
use sightline_gateway::{FieldQuery, Retrieval, retrieve};
use sightline_index::VectorIndex;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Spans as they begin: name and fields.
#[derive(Debug, Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut text = Text(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

#[tokio::test]
async fn every_leg_has_a_span_of_its_own_that_says_its_field_and_depth() {
    let spans = Spans::default();
    let index = MemoryIndex::default();
    let rows: Vec<_> = ["aab", "abb", "bbb"]
        .map(|word| row(word, Some(word), Some(word)))
        .into();
    index.upsert(&collection("c"), &rows).await.unwrap();
    let query = |field| FieldQuery {
        field,
        vector: crate::encoder::vector_of(b"aab"),
        weight: 0.5,
    };
    let retrieval = Retrieval::new(VectorField::ALL.map(query).into(), 2);
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let name = collection("c");
    retrieve(&index, &name, &retrieval)
        .with_subscriber(subscriber)
        .await
        .unwrap();
    let mut begun = spans.0.lock().unwrap().clone();
    begun.sort();
    assert_eq!(
        begun,
        [
            "read candidates rows=3",
            "search leg field=image_embedding depth=100",
            "search leg field=text_embedding depth=100",
        ]
    );
}
