//! Who is told of the calls to a server.

use crate::IndexError;
use sightline_core::CollectionName;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A call to the server of an index that has ended, whatever parts it was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexCall<'a> {
    /// The kind of server, as OpenTelemetry's `db.system.name` has it.
    pub system: &'static str,
    /// What was asked for, as the call's span says it: `upsert`, `search`.
    pub operation: &'static str,
    /// The collection.
    pub collection: &'a CollectionName,
    /// Which error it ended with, as the call's span says it.
    pub error: Option<&'static str>,
    /// Until it ended.
    pub took: Duration,
}

/// Who is told of each call; nobody by default. An index in a file has no calls to tell of.
#[derive(Clone)]
pub struct CallRecorder(Arc<dyn Fn(&IndexCall<'_>) + Send + Sync>);

impl CallRecorder {
    /// Tells `record`, which must not wait: the call's answer waits for it.
    #[must_use]
    pub fn new(record: impl Fn(&IndexCall<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }

    /// Makes a call and tells of it. One that is given up is not told of.
    pub(crate) async fn timed<T>(
        &self,
        system: &'static str,
        operation: &'static str,
        collection: &CollectionName,
        call: impl Future<Output = Result<T, IndexError>>,
    ) -> Result<T, IndexError> {
        let began = Instant::now();
        let result = call.await;
        (self.0)(&IndexCall {
            system,
            operation,
            collection,
            error: result.as_ref().err().map(IndexError::kind),
            took: began.elapsed(),
        });
        result
    }
}

impl Default for CallRecorder {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for CallRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallRecorder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[tokio::test]
    async fn a_call_is_told_by_its_operation_and_collection_and_by_the_error_that_it_ended_with() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&told);
        let recorder = CallRecorder::new(move |call| {
            let line = format!(
                "{} {} {} {:?}",
                call.system, call.operation, call.collection, call.error
            );
            record.lock().unwrap().push(line);
        });
        let stamps = CollectionName::new("stamps").unwrap();
        let answer = recorder.timed("milvus", "count", &stamps, async { Ok(7) }).await;
        assert_eq!(answer.unwrap(), 7);
        let away = async {
            Err::<(), _>(IndexError::Unavailable {
                action: "write rows",
                message: "refused".into(),
            })
        };
        assert!(recorder.timed("milvus", "upsert", &stamps, away).await.is_err());
        let expected = ["milvus count stamps None", "milvus upsert stamps Some(\"unavailable\")"];
        assert_eq!(*told.lock().unwrap(), expected);
    }
}
