//! Where a page ended: behind a score, or, where ranks make the scores, behind the rows that were shown; and which groups
//! were shown, where rows are grouped. The token holds the folded query too, so that the next page is scored with the same
//! bits, which gateway ever answers and whatever else its model encodes meanwhile.

use super::options::{Fusing, Page};
use crate::fusion::{Fused, Window};
use crate::grouping::Group;
use crate::retrieval::FieldQuery;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use serde::{Deserialize, Serialize};
use sightline_core::digest::PartsDigest;
use sightline_core::{CollectionDescription, RowId, VectorField};
use sightline_proto::v1;
use std::collections::HashSet;
use std::sync::Arc;

const VERSION: u32 = 1;
const WRONG: &str = "is no token of this gateway: pass next_page_token of the page before, or nothing";
/// Of a gateway before this one, which wrote less.
const UNTOLD: &str = "does not tell what was shown: begin again";

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
    /// Hits of all pages so far, 16 bytes each in base64, where a row's score changes with other rows; else "".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    shown: String,
    /// Digests of the groups of all pages so far, one a hit, in the same way; "" where rows are not grouped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    groups: String,
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

    /// The token after a page of these hits; none after one without any.
    pub(crate) fn after(
        page: &Page,
        fusing: Fusing,
        hits: &[Fused],
        groups: &[Group],
        queries: &[FieldQuery],
        description: &CollectionDescription,
    ) -> Option<Self> {
        let last = hits.last()?;
        let before = page.after.as_ref();
        let shown = match fusing {
            Fusing::WeightedSum => Vec::new(),
            Fusing::ReciprocalRank => {
                let before = before.and_then(Self::shown).unwrap_or_default();
                before
                    .into_iter()
                    .chain(hits.iter().map(|hit| hit.id.clone()))
                    .collect()
            }
        };
        let groups_before = before.and_then(Self::groups).unwrap_or_default();
        let groups = groups.iter().map(|group| group.digest);
        let query = |query: &FieldQuery| {
            let bytes: Vec<u8> = query.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            TokenQuery {
                field: query.field,
                fingerprint: fingerprint(description, query.field),
                weight: query.weight.to_bits(),
                vector: URL_SAFE_NO_PAD.encode(bytes),
            }
        };
        Some(Self {
            version: VERSION,
            request: page.request.clone(),
            seen: before.map_or(0, |token| token.seen).saturating_add(hits.len()),
            score: last.score.to_bits(),
            id: last.id.clone(),
            shown: packed(shown.iter().map(id_bits)),
            groups: packed(groups_before.into_iter().chain(groups)),
            collection: description.name.to_string(),
            queries: queries.iter().map(query).collect(),
        })
    }

    /// As it is given out.
    pub(crate) fn text(&self) -> String {
        // A structure of texts and numbers has a form in JSON.
        serde_json::to_vec(self).map_or_else(|_| String::new(), |json| URL_SAFE_NO_PAD.encode(json))
    }

    /// Reads one, which has to belong to this request.
    pub(crate) fn read(text: &str, request: &str, fusing: Fusing, is_grouped: bool) -> Result<Self, &'static str> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| WRONG)?;
        let token: Self = serde_json::from_slice(&json).map_err(|_| WRONG)?;
        if token.version != VERSION || f64::from_bits(token.score).is_nan() {
            return Err(WRONG);
        }
        if token.request != request {
            return Err("belongs to another search: only page_size may differ between pages");
        }
        let shown = token.shown().ok_or(WRONG)?.len();
        let groups = token.groups().ok_or(WRONG)?.len();
        match fusing {
            Fusing::WeightedSum if shown > 0 => Err(WRONG),
            Fusing::ReciprocalRank if shown != token.seen => Err(UNTOLD),
            _ if is_grouped && groups != token.seen => Err(UNTOLD),
            _ => Ok(token),
        }
    }

    /// What comes after the page.
    pub(crate) fn window(&self) -> Window {
        let shown: HashSet<RowId> = self.shown().into_iter().flatten().collect();
        let end = (f64::from_bits(self.score), self.id.clone());
        Window {
            floor: None,
            after: Some(end).filter(|_| shown.is_empty()),
            shown: Arc::new(shown),
            groups: Arc::new(self.groups().into_iter().flatten().collect()),
            seen: self.seen,
            is_page: true,
        }
    }

    /// Rows that were shown, where the token tells them; none where they cannot be read.
    fn shown(&self) -> Option<Vec<RowId>> {
        let id = |bits: u128| RowId::new(format!("{bits:032x}")).ok();
        unpacked(&self.shown)?.into_iter().map(id).collect()
    }

    /// Digests of the groups that were shown; none where they cannot be read.
    fn groups(&self) -> Option<Vec<u128>> {
        unpacked(&self.groups)
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

/// The 128 bits that an id's digits stand for.
fn id_bits(id: &RowId) -> u128 {
    u128::from_str_radix(id.as_str(), 16).unwrap_or_default()
}

/// Ids or digests as a token holds them.
fn packed(all: impl Iterator<Item = u128>) -> String {
    let bytes: Vec<u8> = all.flat_map(u128::to_be_bytes).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unpacked(text: &str) -> Option<Vec<u128>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (all, rest) = bytes.as_chunks::<16>();
    let all = all.iter().map(|bytes| u128::from_be_bytes(*bytes));
    rest.is_empty().then(|| all.collect())
}

fn fingerprint(description: &CollectionDescription, field: VectorField) -> String {
    let described = description.fields.get(&field);
    described.map_or_else(String::new, |described| described.fingerprint.to_string())
}
