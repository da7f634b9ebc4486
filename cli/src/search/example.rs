//! What a search is like, or not like: pictures, items and words, each with a weight.

use crate::error::CliError;
use crate::ingest::FieldArg;
use sightline_core::VectorField;
use sightline_proto::v1;
use sightline_service::config::DEFAULT_MAX_MESSAGE_BYTES;
use std::path::Path;

/// One example.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    /// What it is.
    pub(crate) input: Input,
    /// Beside the other examples: finite, not 0; below 0 for "not like this".
    pub(crate) weight: f64,
}

/// What an example is.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A picture.
    Picture(Picture),
    /// Words.
    Text(String),
}

/// A picture to search with.
#[derive(Debug, Clone)]
pub(crate) enum Picture {
    /// A file.
    File {
        /// Its name, for people.
        name: String,
        /// Its bytes.
        content: Vec<u8>,
    },
    /// The vector of an indexed item.
    Item(String),
}

impl Picture {
    /// Reads a file.
    pub(crate) async fn read(path: &Path) -> Result<Self, CliError> {
        let wrong = |why: String| CliError::Usage(format!("cannot search with {}: {why}", path.display()));
        let size = tokio::fs::metadata(path)
            .await
            .map_err(|error| wrong(error.to_string()))?
            .len();
        // The request has to fit into one message, with room for the rest of it.
        let most = (DEFAULT_MAX_MESSAGE_BYTES as u64).saturating_sub(1 << 20);
        if size > most {
            return Err(wrong(format!("it has {size} bytes, a query may have {most}")));
        }
        let content = tokio::fs::read(path).await.map_err(|error| wrong(error.to_string()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self::File { name, content })
    }
}

impl Example {
    /// "Like this picture".
    #[cfg(any(feature = "local", test))]
    pub(crate) fn picture(picture: Picture) -> Self {
        Self {
            input: Input::Picture(picture),
            weight: 1.0,
        }
    }

    /// "Like these words".
    #[cfg(any(feature = "local", test))]
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            input: Input::Text(text.into()),
            weight: 1.0,
        }
    }

    /// Whether it is a picture or an item, not words.
    pub(crate) fn is_picture(&self) -> bool {
        matches!(self.input, Input::Picture(_))
    }

    /// The field whose vectors it is compared with, where all are compared with one, or else its own.
    pub(crate) fn field(&self, against: Option<FieldArg>) -> VectorField {
        match (against, &self.input) {
            (Some(FieldArg::Image), _) | (None, Input::Picture(_)) => VectorField::Image,
            (Some(FieldArg::Text), _) | (None, Input::Text(_)) => VectorField::Text,
        }
    }

    /// What it is, in a few words.
    pub(crate) fn name(&self) -> String {
        match &self.input {
            Input::Picture(Picture::File { name, .. }) => name.clone(),
            Input::Picture(Picture::Item(id)) => format!("item {id}"),
            Input::Text(text) => format!("“{text}”"),
        }
    }

    /// The leg of a request, with the weight that it has there.
    pub(crate) fn leg(&self, against: Option<FieldArg>, weight: f64) -> v1::Leg {
        use v1::leg::Query as Leg;
        let query = match &self.input {
            Input::Picture(Picture::File { content, .. }) => Leg::Image(content.clone()),
            Input::Picture(Picture::Item(id)) => Leg::Item(id.clone()),
            Input::Text(text) => Leg::Text(text.clone()),
        };
        v1::Leg {
            field: against.map(FieldArg::name).unwrap_or_default(),
            weight,
            query: Some(query),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_picture_that_is_not_there_is_named() {
        let error = Picture::read(Path::new("/no/such.png")).await.unwrap_err();
        assert!(error.to_string().contains("/no/such.png"), "{error}");
    }

    #[test]
    fn an_example_is_compared_with_its_own_kind_unless_all_are_compared_with_one() {
        let (picture, words) = (Example::picture(Picture::Item("ab".into())), Example::text("a"));
        assert_eq!(
            (picture.field(None), words.field(None)),
            (VectorField::Image, VectorField::Text)
        );
        assert_eq!(words.field(Some(FieldArg::Image)), VectorField::Image);
        assert_eq!(picture.field(Some(FieldArg::Text)), VectorField::Text);
        assert_eq!(picture.leg(None, 0.5).field, "", "the gateway chooses");
    }
}
