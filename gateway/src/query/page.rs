//! Where a page ended. The token holds the folded query too, so that the next page is scored with the same bits, which
//! gateway ever answers and whatever else its model encodes meanwhile.

use crate::fusion::Window;
use crate::retrieval::FieldQuery;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use serde::{Deserialize, Serialize};
use sightline_core::digest::PartsDigest;
use sightline_core::{CollectionDescription, RowId, VectorField};
use sightline_proto::v1;

const VERSION: u32 = 1;
const WRONG: &str = "is no token of this gateway: pass next_page_token of the page before, or nothing";

/// Where a page ended, and what was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageToken {
    version: u32,
    request: String,
    /// Hits of all pages so far.
    seen: usize,
    /// Bits of the last hit's score.
    score: u64,
    id: RowId,
    /// The collection itself, whatever alias named it; "" in tokens of older gateways.
    #[serde(default)]
    collection: String,
    queries: Vec<TokenQuery>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenQuery {
    field: VectorField,
    fingerprint: String,
    /// Bits of the weight.
    weight: u64,
    /// f32, little endian, in base64.
    vector: String,
}

impl PageToken {
    /// A digest of what has to be the same in all pages of a search.
    pub(crate) fn digest(request: &v1::SearchRequest) -> String {
        let common = v1::SearchRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        PartsDigest::new("sightline search page")
            .part(&common.encode_to_vec())
            .short_hex()
    }

    /// The token after a page that ended with this hit.
    pub(crate) fn new(
        request: &str,
        seen: usize,
        (score, id): (f64, RowId),
        queries: &[FieldQuery],
        description: &CollectionDescription,
    ) -> Self {
        let query = |query: &FieldQuery| {
            let bytes: Vec<u8> = query.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            TokenQuery {
                field: query.field,
                fingerprint: fingerprint(description, query.field),
                weight: query.weight.to_bits(),
                vector: URL_SAFE_NO_PAD.encode(bytes),
            }
        };
        Self {
            version: VERSION,
            request: request.into(),
            seen,
            score: score.to_bits(),
            id,
            collection: description.name.to_string(),
            queries: queries.iter().map(query).collect(),
        }
    }

    /// As it is given out.
    pub(crate) fn text(&self) -> String {
        // A structure of texts and numbers has a form in JSON.
        serde_json::to_vec(self).map_or_else(|_| String::new(), |json| URL_SAFE_NO_PAD.encode(json))
    }

    /// Reads one, which has to belong to this request.
    pub(crate) fn read(text: &str, request: &str) -> Result<Self, &'static str> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| WRONG)?;
        let token: Self = serde_json::from_slice(&json).map_err(|_| WRONG)?;
        if token.version != VERSION || f64::from_bits(token.score).is_nan() {
            return Err(WRONG);
        }
        if token.request != request {
            return Err("belongs to another search: only page_size may differ between pages");
        }
        Ok(token)
    }

    /// What comes after the page.
    pub(crate) fn window(&self) -> Window {
        Window {
            floor: None,
            after: Some((f64::from_bits(self.score), self.id.clone())),
            seen: self.seen,
            is_page: true,
        }
    }

    /// Hits of all pages so far.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    /// The query that was asked; an error where the collection is not the one that it was asked of.
    pub(crate) fn queries(&self, description: &CollectionDescription) -> Result<Vec<FieldQuery>, &'static str> {
        if !self.collection.is_empty() && self.collection != description.name.as_str() {
            return Err("is of the collection that the alias named before: begin again");
        }
        let read = |query: &TokenQuery| {
            if fingerprint(description, query.field) != query.fingerprint {
                return Err("is of a collection that has been made anew with another model: begin again");
            }
            let bytes = URL_SAFE_NO_PAD.decode(&query.vector).map_err(|_| WRONG)?;
            let (values, rest) = bytes.as_chunks::<4>();
            let vector: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
            let weight = f64::from_bits(query.weight);
            let is_query = rest.is_empty() && vector.iter().all(|value| value.is_finite());
            if !is_query || !weight.is_finite() || weight == 0.0 {
                return Err(WRONG);
            }
            Ok(FieldQuery {
                field: query.field,
                vector,
                weight,
            })
        };
        self.queries.iter().map(read).collect()
    }
}

fn fingerprint(description: &CollectionDescription, field: VectorField) -> String {
    let described = description.fields.get(&field);
    described.map_or_else(String::new, |described| described.fingerprint.to_string())
}
