//! A search as a person asks it.

use super::example::{Example, Input, Picture};
use crate::error::CliError;
use crate::ingest::FieldArg;
use crate::text::resource;
use sightline_proto::v1;

const DEFAULT_ALPHA: f64 = 0.5;

/// What is searched for, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// The collection, by its name.
    pub(crate) collection: String,
    /// What is looked for, and what not: one or more.
    pub(crate) examples: Vec<Example>,
    /// With pictures and words: the pictures' share of the score, 0 to 1.
    pub(crate) alpha: Option<f64>,
    /// The field that all examples are compared with, where it is not their own.
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

impl Query {
    /// Whether parts of it contradict each other: told before any server is asked.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let wrong = |text: String| Err(CliError::Usage(text));
        let pictures = self.examples.iter().any(Example::is_picture);
        let words = self.examples.iter().any(|example| !example.is_picture());
        match self.alpha {
            Some(_) if !(pictures && words) => {
                wrong("--alpha weighs pictures against words: give both, or leave it out".into())
            }
            Some(alpha) if !(0.0..=1.0).contains(&alpha) => wrong(format!("--alpha is {alpha}: give 0 to 1")),
            _ => Ok(()),
        }
    }

    /// The examples with their weights in the score: the magnitudes' sum is 1, or with alpha that of the pictures is
    /// alpha and that of the words 1 − alpha. An example of no weight is left out.
    pub(crate) fn weighted(&self) -> Vec<(&Example, f64)> {
        let sum = |is_picture: Option<bool>| -> f64 {
            let of_kind = self
                .examples
                .iter()
                .filter(|example| is_picture.is_none_or(|is| is == example.is_picture()));
            of_kind.map(|example| example.weight.abs()).sum()
        };
        let share = |example: &Example| match self.alpha {
            None => example.weight / sum(None),
            Some(alpha) if example.is_picture() => example.weight * alpha / sum(Some(true)),
            Some(alpha) => example.weight * (1.0 - alpha) / sum(Some(false)),
        };
        let shares = self.examples.iter().map(|example| (example, share(example)));
        shares.filter(|(_, weight)| *weight != 0.0).collect()
    }

    /// At most one picture and at most one text, both of weight 1, each compared with its own kind: with alpha where there
    /// are both.
    pub(crate) fn everyday(&self) -> Option<(Option<&Picture>, Option<&str>, f64)> {
        let (mut picture, mut text) = (None, None);
        for example in &self.examples {
            let taken = match &example.input {
                Input::Picture(given) => picture.replace(given).is_some(),
                Input::Text(given) => text.replace(given.as_str()).is_some(),
            };
            if taken || example.weight.total_cmp(&1.0).is_ne() {
                return None;
            }
        }
        let found = self.against.is_none() && !self.examples.is_empty();
        found.then_some((picture, text, self.alpha.unwrap_or(DEFAULT_ALPHA)))
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
        let Some((picture, text, _)) = self.everyday() else {
            let legs = self.weighted().into_iter();
            request.legs = legs
                .map(|(example, weight)| example.leg(self.against, weight))
                .collect();
            return request;
        };
        request.image = picture.map(|picture| {
            let source = match picture {
                Picture::File { content, .. } => v1::image_query::Source::Content(content.clone()),
                Picture::Item(id) => v1::image_query::Source::Item(id.clone()),
            };
            v1::ImageQuery { source: Some(source) }
        });
        request.text = text.unwrap_or_default().to_owned();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_words() -> Query {
        Query {
            collection: "stamps".into(),
            examples: vec![Example::text("a red apple")],
            top_k: 5,
            ..Query::default()
        }
    }

    fn item(id: &str, weight: f64) -> Example {
        Example {
            weight,
            ..Example::picture(Picture::Item(id.into()))
        }
    }

    fn words(text: &str, weight: f64) -> Example {
        Example {
            weight,
            ..Example::text(text)
        }
    }

    fn legs(query: &Query) -> Vec<(String, f64)> {
        let legs = query.to_api().legs.into_iter();
        legs.map(|leg| (leg.field, leg.weight)).collect()
    }

    #[test]
    fn the_everyday_form_is_sent_as_it_is() {
        let picture = Picture::File {
            name: "a.png".into(),
            content: b"png".to_vec(),
        };
        let request = Query {
            examples: vec![Example::text("a red apple"), Example::picture(picture)],
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
    fn several_examples_share_the_score_by_their_weights() {
        let examples = vec![item("a", 1.0), words("b", 2.0), item("c", -1.0)];
        let query = Query { examples, ..by_words() };
        let own = String::new;
        assert_eq!(legs(&query), [(own(), 0.25), (own(), 0.5), (own(), -0.25)]);
        let with_alpha = Query {
            alpha: Some(0.75),
            ..query.clone()
        };
        assert_eq!(legs(&with_alpha), [(own(), 0.375), (own(), 0.25), (own(), -0.375)]);
        let against = Query {
            against: Some(FieldArg::Image),
            ..query.clone()
        };
        assert!(legs(&against).iter().all(|(field, _)| field == "image_embedding"));
        let only_words = Query {
            alpha: Some(0.0),
            ..query
        };
        assert_eq!(legs(&only_words), [(own(), 1.0)]);
    }

    #[test]
    fn one_example_to_keep_away_from_is_a_leg_of_weight_minus_1() {
        let query = Query {
            examples: vec![words("b", -3.0)],
            ..by_words()
        };
        assert_eq!(legs(&query), [(String::new(), -1.0)]);
    }

    #[test]
    fn a_weight_that_says_the_same_as_an_alpha_gives_the_same_score() {
        let by_weight = Query {
            examples: vec![item("a", 3.0), words("b", 1.0)],
            ..by_words()
        };
        let by_alpha = Query {
            examples: vec![item("a", 1.0), words("b", 1.0)],
            alpha: Some(0.75),
            ..by_words()
        };
        let weights = |query: &Query| {
            query
                .weighted()
                .into_iter()
                .map(|(_, weight)| weight)
                .collect::<Vec<_>>()
        };
        assert_eq!(weights(&by_weight), weights(&by_alpha));
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        let alone = Query {
            alpha: Some(0.5),
            ..by_words()
        };
        assert!(alone.check().unwrap_err().to_string().contains("--alpha"));
        let both = |alpha| Query {
            examples: vec![item("ab", 1.0), words("c", -1.0)],
            alpha: Some(alpha),
            ..by_words()
        };
        assert!(both(0.3).check().is_ok());
        for alpha in [-0.1, 1.1, f64::NAN] {
            assert!(
                both(alpha).check().unwrap_err().to_string().contains("0 to 1"),
                "{alpha}"
            );
        }
    }
}
