//! What a search asks for beside its legs: how they fuse, which part of the ranking, one hit a group.

use super::page::PageToken;
use super::violations::Violations;
use crate::grouping::GroupKey;
use crate::retrieval::{Retrieval, Retrieved, retrieve, retrieve_by_rank};
use sightline_core::CollectionName;
use sightline_index::{IndexError, MAX_HITS, VectorIndex};
use sightline_proto::v1;
use sightline_proto::v1::search_request::Fusion;

const DEFAULT_TOP_K: usize = 10;

/// How legs become one ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fusing {
    /// Σ weight · cos.
    WeightedSum,
    /// Σ weight / (60 + rank).
    ReciprocalRank,
}

impl Fusing {
    /// Retrieves in this way.
    pub(crate) async fn retrieve(
        self,
        index: &dyn VectorIndex,
        collection: &CollectionName,
        retrieval: &Retrieval,
    ) -> Result<Retrieved, IndexError> {
        match self {
            Self::WeightedSum => retrieve(index, collection, retrieval).await,
            Self::ReciprocalRank => retrieve_by_rank(index, collection, retrieval).await,
        }
    }
}

/// The options of a search.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Hits wanted: `top_k`, or `page_size`.
    pub(crate) wanted: usize,
    pub(crate) fusing: Fusing,
    pub(crate) min_score: Option<f64>,
    pub(crate) group: Option<GroupKey>,
    /// None where pages were not asked for.
    pub(crate) page: Option<Page>,
    /// The recall that an approximate index has to reach; above 0, at most 1.
    pub(crate) recall_target: Option<f64>,
}

/// A page that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Digest of what all pages of a search have in common.
    pub(crate) request: String,
    /// Where the page before ended; none for the first.
    pub(crate) after: Option<PageToken>,
}

impl Options {
    /// Checks those of a request.
    pub(crate) fn of_request(request: &v1::SearchRequest, checks: &mut Violations) -> Self {
        let fusing = match Fusion::try_from(request.fusion) {
            Ok(Fusion::Unspecified | Fusion::WeightedSum) => Fusing::WeightedSum,
            Ok(Fusion::ReciprocalRank) => Fusing::ReciprocalRank,
            Err(_) => {
                checks.add("fusion", "is unknown: give WEIGHTED_SUM or RECIPROCAL_RANK");
                Fusing::WeightedSum
            }
        };
        if let Some(score) = request.min_score {
            if !score.is_finite() {
                checks.add("min_score", format!("is {score}: give a finite number"));
            }
            if fusing == Fusing::ReciprocalRank {
                checks.add("min_score", "bounds weighted sums: leave it out with RECIPROCAL_RANK");
            }
        }
        let group = Some(request.group_by.as_str()).filter(|name| !name.is_empty());
        let group = group.and_then(|name| checks.take("group_by", GroupKey::of_name(name)));
        let page = page(request, fusing, checks);
        let wanted = if request.page_size == 0 {
            hits("top_k", request.top_k, checks)
        } else {
            if request.top_k.is_some() {
                checks.add("top_k", "give either top_k or page_size");
            }
            hits("page_size", Some(request.page_size), checks)
        };
        Self {
            wanted,
            fusing,
            min_score: request.min_score,
            group,
            page,
            recall_target: recall_target(request, checks),
        }
    }
}

fn recall_target(request: &v1::SearchRequest, checks: &mut Violations) -> Option<f64> {
    let recall = request.recall_target?;
    if !(recall > 0.0 && recall <= 1.0) {
        checks.add(
            "recall_target",
            format!("is {recall}: give a number above 0, at most 1"),
        );
    }
    if request.effort != 0 {
        checks.add("recall_target", "give either effort or recall_target");
    }
    Some(recall)
}

fn hits(field: &str, asked: Option<i32>, checks: &mut Violations) -> usize {
    let Some(asked) = asked else { return DEFAULT_TOP_K };
    match usize::try_from(asked) {
        Ok(hits @ 1..=MAX_HITS) => hits,
        _ => {
            checks.add(field, format!("is {asked}: give 1 to {MAX_HITS}"));
            DEFAULT_TOP_K
        }
    }
}

fn page(request: &v1::SearchRequest, fusing: Fusing, checks: &mut Violations) -> Option<Page> {
    if request.page_size == 0 {
        if !request.page_token.is_empty() {
            checks.add("page_token", "needs a page_size: give the hits a page");
        }
        return None;
    }
    let digest = PageToken::digest(request);
    let token = Some(request.page_token.as_str()).filter(|token| !token.is_empty());
    let is_grouped = !request.group_by.is_empty();
    let read = |token: &str| PageToken::read(token, &digest, fusing, is_grouped);
    let after = token.and_then(|token| checks.take("page_token", read(token)));
    Some(Page { request: digest, after })
}
