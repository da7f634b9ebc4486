//! A search as a person asks it.

use crate::error::CliError;
use crate::ingest::FieldArg;
use crate::text::resource;
use sightline_proto::v1;
use sightline_service::config::DEFAULT_MAX_MESSAGE_BYTES;
use std::path::Path;

/// What is searched for, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// The collection, by its name.
    pub(crate) collection: String,
    /// A picture to search with.
    pub(crate) picture: Option<Picture>,
    /// Words to search with.
    pub(crate) text: Option<String>,
    /// With both: the picture's weight.
    pub(crate) alpha: Option<f64>,
    /// The field that a lone query is compared with, where it is not its own.
    pub(crate) against: Option<FieldArg>,
    /// Hits wanted.
    pub(crate) top_k: i32,
    /// Only items for which this holds; empty for all.
    pub(crate) filter: String,
    /// What is read; all but the vectors where empty.
    pub(crate) fields: Vec<String>,
    /// How widely an approximate index looks; 0 for its default.
    pub(crate) effort: i32,
    /// The recall that an approximate index has to reach instead.
    pub(crate) recall_target: Option<f64>,
    /// Only hits that score at least this.
    pub(crate) min_score: Option<f64>,
    /// One hit a value of this field; empty for all.
    pub(crate) group_by: String,
    /// Whether ranks are fused, not scores.
    pub(crate) by_rank: bool,
    /// The longer side of the hits' pictures; 0 for none.
    pub(crate) thumbnail_pixels: i32,
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

impl Query {
    /// Whether parts of it contradict each other: told before any server is asked.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let wrong = |text: &str| Err(CliError::Usage(text.to_owned()));
        let both = self.picture.is_some() && self.text.is_some();
        if self.alpha.is_some() && !both {
            return wrong("--alpha weighs a picture against a text: give both, or leave it out");
        }
        if self.against.is_some() && both {
            return wrong("--against is for a lone picture or text: leave out one of them, or --against");
        }
        Ok(())
    }

    /// The request.
    pub(crate) fn to_api(&self) -> v1::SearchRequest {
        let mut request = v1::SearchRequest {
            collection: resource("collections", &self.collection),
            top_k: Some(self.top_k),
            filter: self.filter.clone(),
            fields: self.fields.clone(),
            effort: self.effort,
            recall_target: self.recall_target,
            thumbnail_pixels: self.thumbnail_pixels,
            min_score: self.min_score,
            group_by: self.group_by.clone(),
            fusion: self.fusion().into(),
            ..v1::SearchRequest::default()
        };
        if let Some(field) = self.against {
            request.legs = vec![self.leg(field)];
            return request;
        }
        request.image = self.picture.as_ref().map(|picture| {
            let source = match picture {
                Picture::File { content, .. } => v1::image_query::Source::Content(content.clone()),
                Picture::Item(id) => v1::image_query::Source::Item(id.clone()),
            };
            v1::ImageQuery { source: Some(source) }
        });
        request.text = self.text.clone().unwrap_or_default();
        request.alpha = self.alpha;
        request
    }

    fn fusion(&self) -> v1::search_request::Fusion {
        if self.by_rank {
            v1::search_request::Fusion::ReciprocalRank
        } else {
            v1::search_request::Fusion::WeightedSum
        }
    }

    fn leg(&self, field: FieldArg) -> v1::Leg {
        use v1::leg::Query as Leg;
        let query = match (&self.picture, &self.text) {
            (Some(Picture::File { content, .. }), _) => Some(Leg::Image(content.clone())),
            (Some(Picture::Item(id)), _) => Some(Leg::Item(id.clone())),
            (None, Some(text)) => Some(Leg::Text(text.clone())),
            (None, None) => None,
        };
        v1::Leg {
            field: field.name(),
            weight: 1.0,
            query,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_words() -> Query {
        Query {
            collection: "stamps".into(),
            text: Some("a red apple".into()),
            top_k: 5,
            ..Query::default()
        }
    }

    #[test]
    fn the_everyday_form_is_sent_as_it_is() {
        let picture = Picture::File {
            name: "a.png".into(),
            content: b"png".to_vec(),
        };
        let request = Query {
            picture: Some(picture),
            alpha: Some(0.25),
            ..by_words()
        }
        .to_api();
        assert_eq!(request.collection, "collections/stamps");
        assert_eq!(
            (request.text.as_str(), request.alpha, request.top_k),
            ("a red apple", Some(0.25), Some(5))
        );
        let source = request.image.unwrap().source.unwrap();
        assert_eq!(source, v1::image_query::Source::Content(b"png".to_vec()));
        assert!(request.legs.is_empty());
    }

    #[test]
    fn what_is_asked_beside_the_query_is_sent() {
        let request = Query {
            min_score: Some(0.5),
            group_by: "uid".into(),
            by_rank: true,
            ..by_words()
        }
        .to_api();
        assert_eq!((request.min_score, request.group_by.as_str()), (Some(0.5), "uid"));
        assert_eq!(request.fusion(), v1::search_request::Fusion::ReciprocalRank);
    }

    #[test]
    fn words_against_pictures_are_one_leg() {
        let request = Query {
            against: Some(FieldArg::Image),
            ..by_words()
        }
        .to_api();
        assert!(request.text.is_empty() && request.image.is_none());
        let leg = &request.legs[0];
        assert_eq!((leg.field.as_str(), leg.weight), ("image_embedding", 1.0));
        assert_eq!(leg.query, Some(v1::leg::Query::Text("a red apple".into())));
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        let alone = Query {
            alpha: Some(0.5),
            ..by_words()
        }
        .check()
        .unwrap_err();
        assert!(alone.to_string().contains("--alpha"), "{alone}");
        let both = Query {
            picture: Some(Picture::Item("ab".into())),
            against: Some(FieldArg::Text),
            ..by_words()
        };
        assert!(both.check().unwrap_err().to_string().contains("--against"));
    }

    #[tokio::test]
    async fn a_picture_that_is_not_there_is_named() {
        let error = Picture::read(Path::new("/no/such.png")).await.unwrap_err();
        assert!(error.to_string().contains("/no/such.png"), "{error}");
    }
}
