//! From a `SearchRequest` to a query of which every part is known to be good, before anything is read or encoded.

use super::mask::ReadMask;
use super::names::collection_name;
use super::options::Options;
use super::violations::Violations;
use crate::error::GatewayError;
use bytes::Bytes;
use sightline_core::filter::{self, Filter};
use sightline_core::{CollectionName, RowId, VectorField};
use sightline_encoding::check;
use sightline_proto::v1;

/// Most legs of a query.
pub const MAX_LEGS: usize = 32;
/// Most hits that come with thumbnails.
pub const MAX_THUMBNAILS: usize = 256;
const DEFAULT_ALPHA: f64 = 0.5;
const THUMBNAIL_PIXELS: std::ops::RangeInclusive<i32> = 16..=1024;

/// A search as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) collection: CollectionName,
    /// One or more.
    pub(crate) legs: Vec<Leg>,
    pub(crate) options: Options,
    pub(crate) filter: Option<Filter>,
    pub(crate) effort: Option<u32>,
    pub(crate) mask: ReadMask,
    pub(crate) thumbnail_pixels: Option<u32>,
}

/// One part of a query.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    /// Where it stands in the request: `text`, `legs[2]`.
    pub(crate) place: String,
    pub(crate) field: LegField,
    /// Finite, not 0.
    pub(crate) weight: f64,
    pub(crate) input: Input,
}

/// Which field a leg is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegField {
    /// This one.
    Named(VectorField),
    /// The text's field, or the picture's where the collection has no texts: a text that names no field.
    TextOrImage,
}

/// What a leg looks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    Image(Bytes),
    Text(String),
    Item(RowId),
    Vector(Vec<f32>),
}

impl Query {
    /// Checks a request.
    pub(crate) fn of_request(request: v1::SearchRequest, max_image_bytes: usize) -> Result<Self, GatewayError> {
        let mut violations = Violations::default();
        let checks = &mut violations;
        let collection = checks.take("collection", collection_name(&request.collection));
        let options = Options::of_request(&request, checks);
        let filter = match request.filter.as_str() {
            "" => None,
            text => checks.take("filter", filter::parse(text)),
        };
        let mask = ReadMask::parse(&request.fields, checks);
        let effort = match u32::try_from(request.effort) {
            Ok(effort) => Some(effort).filter(|effort| *effort > 0),
            Err(_) => {
                checks.add("effort", "is negative: give 0 for the index's default, or more");
                None
            }
        };
        let thumbnail_pixels = thumbnail_pixels(request.thumbnail_pixels, options.wanted, checks);
        let legs = legs(request, max_image_bytes, checks);
        violations.check()?;
        Ok(Self {
            collection: collection.ok_or_else(GatewayError::nothing)?,
            legs,
            options,
            filter,
            effort,
            mask,
            thumbnail_pixels,
        })
    }

    /// Whether the fields that are searched depend on whether the collection holds texts. The pages after the first have
    /// theirs from the first.
    pub(crate) fn chooses_by_texts(&self) -> bool {
        let is_later_page = self.options.page.as_ref().is_some_and(|page| page.after.is_some());
        !is_later_page && self.legs.iter().any(|leg| leg.field == LegField::TextOrImage)
    }
}

fn thumbnail_pixels(pixels: i32, wanted: usize, violations: &mut Violations) -> Option<u32> {
    if pixels == 0 {
        return None;
    }
    if !THUMBNAIL_PIXELS.contains(&pixels) {
        let (least, most) = (THUMBNAIL_PIXELS.start(), THUMBNAIL_PIXELS.end());
        violations.add(
            "thumbnail_pixels",
            format!("is {pixels}: give {least} to {most}, or 0 for no thumbnails"),
        );
    }
    if wanted > MAX_THUMBNAILS {
        violations.add(
            "thumbnail_pixels",
            format!("thumbnails come with a top_k of at most {MAX_THUMBNAILS}"),
        );
    }
    u32::try_from(pixels).ok()
}

fn legs(request: v1::SearchRequest, max_image_bytes: usize, violations: &mut Violations) -> Vec<Leg> {
    let inputs = Inputs { max_image_bytes };
    let everyday = request.image.is_some() || !request.text.is_empty();
    let legs = if request.legs.is_empty() {
        if !everyday {
            // An empty text that was given cannot be told from one that was not: the words fit both.
            violations.add("text", "is empty, and there is no image: give image, text or legs");
        }
        everyday_legs(&inputs, request, violations)
    } else {
        if everyday {
            violations.add("legs", "give either legs, or image and text");
        }
        if request.alpha.is_some() {
            violations.add("alpha", "belongs to image and text; legs have weights");
        }
        if request.legs.len() > MAX_LEGS {
            violations.add(
                "legs",
                format!("has {} legs: give at most {MAX_LEGS}", request.legs.len()),
            );
        }
        let numbered = request.legs.into_iter().enumerate().take(MAX_LEGS);
        numbered
            .filter_map(|(position, leg)| general_leg(&inputs, format!("legs[{position}]"), leg, violations))
            .collect()
    };
    let all_finite = legs.iter().all(|leg| leg.weight.is_finite());
    if all_finite && !legs.iter().map(|leg| leg.weight.abs()).sum::<f64>().is_finite() {
        violations.add("legs", "the weights' sum is not finite: scale them down");
    }
    legs
}

fn everyday_legs(inputs: &Inputs, request: v1::SearchRequest, violations: &mut Violations) -> Vec<Leg> {
    let alpha = request.alpha.unwrap_or(DEFAULT_ALPHA);
    if !(0.0..=1.0).contains(&alpha) {
        violations.add("alpha", format!("is {alpha}: give a number from 0 to 1"));
    }
    let both = request.image.is_some() && !request.text.is_empty();
    let image = request.image.and_then(|image| {
        let (place, input) = match image.source {
            Some(v1::image_query::Source::Content(bytes)) => (
                "image.content",
                inputs.image("image.content", Bytes::from(bytes), violations),
            ),
            Some(v1::image_query::Source::Item(id)) => ("image.item", inputs.item("image.item", id, violations)),
            None => {
                violations.add("image", "is empty: give content or item");
                return None;
            }
        };
        Some(Leg {
            place: place.into(),
            field: LegField::Named(VectorField::Image),
            weight: if both { alpha } else { 1.0 },
            input: input?,
        })
    });
    let text = Some(request.text).filter(|text| !text.is_empty()).and_then(|text| {
        Some(Leg {
            place: "text".into(),
            field: LegField::TextOrImage,
            weight: if both { 1.0 - alpha } else { 1.0 },
            input: inputs.text("text", text, violations)?,
        })
    });
    // At 0 or 1 one side is not asked for at all: its rows must not become hits with a score of 0.
    image.into_iter().chain(text).filter(|leg| leg.weight != 0.0).collect()
}

fn general_leg(inputs: &Inputs, place: String, leg: v1::Leg, violations: &mut Violations) -> Option<Leg> {
    let field = leg_field(&leg);
    // What is missing altogether is told once.
    let empty = leg.field.is_empty() && leg.query.is_none();
    if field.is_none() && !empty {
        let known = VectorField::ALL.map(VectorField::as_str).join(" or ");
        violations.add(format!("{place}.field"), format!("give {known}"));
    }
    if !leg.weight.is_finite() || leg.weight == 0.0 {
        violations.add(
            format!("{place}.weight"),
            format!("is {}: give a finite number other than 0", leg.weight),
        );
    }
    use v1::leg::Query as Asked;
    let (name, input) = match leg.query {
        Some(Asked::Image(bytes)) => (
            "image",
            inputs.image(&format!("{place}.image"), Bytes::from(bytes), violations),
        ),
        Some(Asked::Text(text)) => ("text", inputs.text(&format!("{place}.text"), text, violations)),
        Some(Asked::Item(id)) => ("item", inputs.item(&format!("{place}.item"), id, violations)),
        Some(Asked::Vector(vector)) => ("vector", inputs.vector(&format!("{place}.vector"), vector, violations)),
        None => {
            violations.add(place, "has nothing to search for: give image, text, item or vector");
            return None;
        }
    };
    Some(Leg {
        place: format!("{place}.{name}"),
        field: field?,
        weight: leg.weight,
        input: input?,
    })
}

/// The field that a leg names, or that of its own kind; none where there is no such field, or a vector names none.
fn leg_field(leg: &v1::Leg) -> Option<LegField> {
    use v1::leg::Query as Asked;
    match (leg.field.as_str(), leg.query.as_ref()) {
        ("", Some(Asked::Image(_) | Asked::Item(_))) => Some(LegField::Named(VectorField::Image)),
        ("", Some(Asked::Text(_))) => Some(LegField::TextOrImage),
        (name, _) => {
            let named = VectorField::ALL.into_iter().find(|field| field.as_str() == name);
            named.map(LegField::Named)
        }
    }
}

/// Checks of single inputs.
struct Inputs {
    max_image_bytes: usize,
}

impl Inputs {
    fn image(&self, place: &str, bytes: Bytes, violations: &mut Violations) -> Option<Input> {
        check_image(place, &bytes, self.max_image_bytes, violations).then_some(Input::Image(bytes))
    }

    fn text(&self, place: &str, text: String, violations: &mut Violations) -> Option<Input> {
        check_text(place, &text, violations).then_some(Input::Text(text))
    }

    fn item(&self, place: &str, id: String, violations: &mut Violations) -> Option<Input> {
        violations.take(place, RowId::new(id)).map(Input::Item)
    }

    fn vector(&self, place: &str, vector: v1::Vector, violations: &mut Violations) -> Option<Input> {
        if vector.values.is_empty() {
            violations.add(place, "is empty: give as many values as the field's dimension");
            return None;
        }
        Some(Input::Vector(vector.values))
    }
}

/// Checks a picture's file; whether it is a picture shows when it is decoded.
pub(crate) fn check_image(place: &str, bytes: &[u8], limit: usize, violations: &mut Violations) -> bool {
    violations.take(place, check::image(bytes, limit)).is_some()
}

/// Checks a text.
pub(crate) fn check_text(place: &str, text: &str, violations: &mut Violations) -> bool {
    violations.take(place, check::text(text)).is_some()
}
