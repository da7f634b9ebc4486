//! Previews: written beside the embedding of their pictures, and always before the rows that name them.

use super::item::{Passage, Stopped, ending};
use super::tokens::Again;
use crate::ipc::Interruption;
use crate::journal::JournalStage;
use bytes::Bytes;
use sightline_core::PreviewSpec;
use sightline_objects::ObjectError;

impl Passage<'_> {
    /// Writes the preview of a picture; answers where it lies. Without it there is to be no row, which would count as unchanged
    /// for ever.
    pub(super) async fn write_preview(
        &self,
        content_hash: &str,
        preview: Option<Vec<u8>>,
    ) -> Result<Option<String>, Stopped> {
        let (job, pipeline) = (&self.work.job, self.pipeline);
        let (Some(spec), Some(preview)) = (&job.previews, preview) else {
            return Ok(None);
        };
        let unwritten = |error: ObjectError| Stopped::Interrupted(unwritten(spec, &error));
        let opened = pipeline.datasets.previews(spec.root.as_deref()).await;
        let store = opened.map_err(unwritten)?;
        let key = spec.key(content_hash, job.dicom.frame, pipeline.decoding());
        let body = Bytes::from(preview);
        let waiting = pipeline.stages.wait(JournalStage::Fetch);
        let _turn = pipeline.fetches.acquire().await.map_err(|_| ending())?;
        drop(waiting);
        // The place is taken by no item of the stage: that of the preview has passed it.
        let _stage = pipeline.stages.enter(JournalStage::Fetch, 0);
        let put = || store.put_as(&key, body.clone(), spec.format.media_type());
        pipeline.retry.run(Again::of_store, put).await.map_err(unwritten)?;
        Ok(Some(format!("{}/{key}", store.root())))
    }
}

/// What it means that a preview cannot be written. A store that is away is waited for. So is the workers' own root where they
/// have no right to it for a while: their results go there, too. With any other root something is wrong for this run alone,
/// which others do not wait for.
fn unwritten(spec: &PreviewSpec, error: &ObjectError) -> Interruption {
    let waits = match error {
        ObjectError::AccessDenied { .. } => spec.root.is_none(),
        error => error.is_retryable(),
    };
    match &spec.root {
        _ if waits => Interruption::Waiting(format!("a preview cannot be written: {error}")),
        None => Interruption::PreviewsUnwritable(format!(
            "previews cannot be written below the workers' own root: {error}"
        )),
        Some(root) => Interruption::PreviewsUnwritable(format!(
            "previews cannot be written below {root}: {error}. Give the workers the right to write there, or name another root"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::PreviewFormat;
    use sightline_objects::Symptom;

    fn of(root: Option<&str>, error: &ObjectError) -> Interruption {
        let spec = PreviewSpec {
            width: 100,
            height: 100,
            format: PreviewFormat::Png,
            root: root.map(str::to_owned),
        };
        unwritten(&spec, error)
    }

    #[test]
    fn a_store_that_is_away_is_waited_for_and_a_root_that_can_never_be_written_stops_its_run() {
        let (action, key) = ("write", String::from("previews/x"));
        let away = ObjectError::Unavailable {
            action,
            key: key.clone(),
            message: "503".into(),
            symptom: Symptom::Answered,
        };
        let denied = ObjectError::AccessDenied {
            action,
            key: key.clone(),
            message: "403".into(),
        };
        let no_bucket = ObjectError::Invalid {
            action,
            key,
            message: "there is no bucket".into(),
        };
        let pages = Some("s3://pages");
        for (root, error) in [(None, &away), (pages, &away), (None, &denied)] {
            assert!(matches!(of(root, error), Interruption::Waiting(_)), "{root:?} {error}");
        }
        for (root, error) in [(pages, &denied), (pages, &no_bucket), (None, &no_bucket)] {
            let Interruption::PreviewsUnwritable(why) = of(root, error) else {
                panic!("{root:?} {error}");
            };
            assert!(why.contains(root.unwrap_or("own root")), "{why}");
        }
    }
}
