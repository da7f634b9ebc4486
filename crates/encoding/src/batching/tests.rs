use super::*;
use crate::testing::{CountingModel, vector_of};
use futures::future::join_all;
use sightline_telemetry::Metrics;

fn start(model: CountingModel, config: &BatchingConfig) -> BatchingEncoder<CountingModel> {
    let metrics = EncodingMetrics::new(&Metrics::new("test", "0")).unwrap();
    BatchingEncoder::start(model, config, metrics)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn vectors(texts: &[&str]) -> Vec<Encoded> {
    texts.iter().map(|text| Ok(vector_of(text.as_bytes(), 8))).collect()
}

async fn query(encoder: &BatchingEncoder<CountingModel>, given: &[&str]) -> Result<Vec<Encoded>, EncodeError> {
    let described = encoder.description();
    encoder.encode_texts(&described, texts(given), TextRole::Query).await
}

#[tokio::test(start_paused = true)]
async fn sixty_four_callers_share_batches_and_each_gets_its_own_vectors() {
    let model = CountingModel::new("m");
    let batches = Arc::clone(&model.batches);
    let encoder = start(model, &BatchingConfig::default());
    let given: Vec<String> = (0..64).map(|number| format!("caller {number}")).collect();
    let answers = join_all(
        given
            .iter()
            .map(|text| async { query(&encoder, &[text.as_str()]).await }),
    )
    .await;
    for (text, answer) in given.iter().zip(answers) {
        assert_eq!(answer.unwrap(), vectors(&[text.as_str()]), "{text}");
    }
    let sizes: Vec<usize> = batches.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [32, 32]);
}

#[tokio::test(start_paused = true)]
async fn a_lonely_input_waits_no_longer_than_it_is_told_and_batches_are_sorted_by_length() {
    let model = CountingModel::new("m");
    let batches = Arc::clone(&model.batches);
    let config = BatchingConfig {
        max_wait_ms: 20,
        ..BatchingConfig::default()
    };
    let encoder = start(model, &config);
    let started = tokio::time::Instant::now();
    let given = ["long enough", "b", "middle"];
    assert_eq!(query(&encoder, &given).await.unwrap(), vectors(&given));
    assert_eq!(started.elapsed(), Duration::from_millis(20));
    assert_eq!(*batches.lock().unwrap(), [["q:b", "q:middle", "q:long enough"]]);
}

#[tokio::test(start_paused = true)]
async fn documents_and_queries_never_share_a_batch() {
    let model = CountingModel::new("m");
    let batches = Arc::clone(&model.batches);
    let encoder = start(model, &BatchingConfig::default());
    let described = encoder.description();
    let documents = encoder.encode_texts(&described, texts(&["a"]), TextRole::Document);
    let (documents, queries) = tokio::join!(documents, query(&encoder, &["a"]));
    documents.unwrap();
    queries.unwrap();
    let mut seen = batches.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [["d:a"], ["q:a"]]);
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_what_may_wait_are_refused_at_once_with_the_time_to_come_again() {
    let model = CountingModel::closed("m");
    let gate = Arc::clone(&model.gate);
    let config = BatchingConfig {
        max_inputs: 3,
        ..BatchingConfig::default()
    };
    let encoder = start(model, &config);
    let held = async { query(&encoder, &["a", "b"]).await };
    let refused = async {
        tokio::task::yield_now().await;
        let refused = query(&encoder, &["c", "d"]).await.unwrap_err();
        assert!(matches!(refused, EncodeError::Busy { .. }), "{refused}");
        assert!(refused.retry_after().is_some());
        gate.add_permits(2);
    };
    let (held, ()) = tokio::join!(held, refused);
    assert_eq!(held.unwrap(), vectors(&["a", "b"]));
    // The places are free again.
    assert_eq!(query(&encoder, &["c", "d", "e"]).await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_as_well() {
    let model = CountingModel::closed("m");
    let gate = Arc::clone(&model.gate);
    let config = BatchingConfig {
        max_bytes: 1 << 20,
        ..BatchingConfig::default()
    };
    let encoder = start(model, &config);
    let large = "x".repeat(600 << 10);
    let large = [large.as_str()];
    let refused = async {
        tokio::task::yield_now().await;
        assert!(matches!(query(&encoder, &large).await, Err(EncodeError::Busy { .. })));
        gate.add_permits(1);
    };
    let (held, ()) = tokio::join!(query(&encoder, &large), refused);
    assert_eq!(held.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn inputs_of_callers_that_went_away_never_reach_the_model() {
    let model = CountingModel::closed("m");
    let (batches, gate) = (Arc::clone(&model.batches), Arc::clone(&model.gate));
    let config = BatchingConfig {
        max_batch: 1,
        max_inputs: 3,
        ..BatchingConfig::default()
    };
    let encoder = Arc::new(start(model, &config));
    let call = |text: &'static str| {
        let encoder = Arc::clone(&encoder);
        tokio::spawn(async move { query(&encoder, &[text]).await })
    };
    let first = call("first");
    // The first is with the model, the others wait.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (gone, last) = (call("gone"), call("last"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    gate.add_permits(8);
    assert!(first.await.unwrap().is_ok() && last.await.unwrap().is_ok());
    assert_eq!(*batches.lock().unwrap(), [["q:first"], ["q:last"]]);
    assert_eq!(query(&encoder, &["a", "b", "c"]).await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_bad_input_and_one_that_breaks_its_batch_fail_alone() {
    let model = CountingModel::new("m");
    let encoder = start(model, &BatchingConfig::default());
    let good = async { query(&encoder, &["good", "better"]).await };
    let (poison, good, nothing) = tokio::join!(query(&encoder, &["poison"]), good, query(&encoder, &["nothing", "a"]));
    assert!(matches!(poison, Err(EncodeError::Model(_))));
    assert_eq!(good.unwrap(), vectors(&["good", "better"]));
    let nothing = nothing.unwrap();
    assert!(nothing[0].is_err() && nothing[1].is_ok());
    let described = encoder.description();
    let images = vec![Bytes::from_static(b"picture:a"), Bytes::from_static(b"rubbish")];
    let encoded = encoder.encode_images(&described, images).await.unwrap();
    assert_eq!(encoded[0], Ok(vector_of(b"a", 8)));
    assert_eq!(encoded[1], Err(InputError("the file is no picture".into())));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_much_for_the_device_is_computed_in_parts() {
    let model = CountingModel {
        most: 3,
        ..CountingModel::new("m")
    };
    let batches = Arc::clone(&model.batches);
    let encoder = start(model, &BatchingConfig::default());
    let given = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg", "hhhhhhhh"];
    assert_eq!(query(&encoder, &given).await.unwrap(), vectors(&given));
    let sizes: Vec<usize> = batches.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [8, 4, 2, 2, 4, 2, 2]);
}
