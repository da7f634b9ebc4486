//! Previews: written beside the embedding of their pictures, and always before the rows that name them.

use super::item::{Passage, Stopped, ending};
use crate::ipc::Interruption;
use bytes::Bytes;
use sightline_objects::ObjectError;

impl Passage<'_> {
    /// Writes the preview of a picture; answers where it lies. A store that cannot be written is waited for, whatever the
    /// reason: a row without its preview would count as unchanged for ever.
    pub(super) async fn write_preview(
        &self,
        content_hash: &str,
        preview: Option<Vec<u8>>,
    ) -> Result<Option<String>, Stopped> {
        let (job, pipeline) = (&self.work.job, self.pipeline);
        let (Some(spec), Some(preview)) = (&job.previews, preview) else {
            return Ok(None);
        };
        let waiting = |error: ObjectError| {
            Stopped::Interrupted(Interruption::Waiting(format!("a preview cannot be written: {error}")))
        };
        let opened = pipeline.datasets.previews(spec.root.as_deref()).await;
        let store = opened.map_err(waiting)?;
        let (key, body) = (spec.key(content_hash, job.dicom.frame), Bytes::from(preview));
        let _turn = pipeline.fetches.acquire().await.map_err(|_| ending())?;
        let put = || store.put(&key, body.clone());
        pipeline
            .retry
            .run(ObjectError::is_retryable, put)
            .await
            .map_err(waiting)?;
        Ok(Some(format!("{}/{key}", store.root())))
    }
}
