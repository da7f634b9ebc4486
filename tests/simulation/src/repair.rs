//! What is done between runs so that a run of parts of another has something to do.

use crate::machines::Site;
use crate::pictures;
use crate::scenario::Scenario;
use sightline_coordinator::CoordinatorService;
use sightline_core::{DatasetName, ItemKey, Outcome, RowId};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::collections::BTreeSet;
use tokio_stream::StreamExt;
use tonic::Request;

/// Some of the pictures that failed are written anew, some are deleted.
pub(crate) fn mend(site: &Site, failed: &BTreeSet<String>) {
    for key in failed {
        match site.world.below(4) {
            0 => pictures::delete(site, key),
            1 | 2 => pictures::write(site, key),
            _ => {}
        }
    }
}

/// Deletes a row behind all backs, which the audit has to find, and gives its key; none where there is no row. None of
/// that where something is wrong, which was told.
pub(crate) async fn lose_a_row(last: &Scenario) -> Option<Option<String>> {
    let site = &last.site;
    let there = last.keys_that(|outcome| matches!(outcome, Outcome::Indexed { .. } | Outcome::Unchanged { .. }));
    let at = usize::try_from(site.world.below(there.len() as u64)).unwrap();
    let Some(key) = there.into_iter().nth(at) else {
        return Some(None);
    };
    site.world.note(format!("the row of {key} is lost"));
    let dataset = DatasetName::new("pictures").unwrap();
    site.rows
        .take(&[RowId::of_item(&dataset, &ItemKey::new(&key).unwrap())]);
    let audit = async |api: CoordinatorService| {
        let name = last.client.name();
        let audits = api.verify_run(Request::new(v1::VerifyRunRequest { name })).await;
        let mut audits = audits?.into_inner();
        let mut audit = None;
        while let Some(told) = audits.next().await {
            audit = told?.audit;
        }
        Ok(audit)
    };
    let audit = last.client.until("VerifyRun", audit).await?.unwrap_or_default();
    if audit.verified || audit.missing_rows != 1 {
        site.world.violation(format!(
            "the audit does not find that the row of {key} is lost: {audit:?}"
        ));
    }
    Some(Some(key))
}
