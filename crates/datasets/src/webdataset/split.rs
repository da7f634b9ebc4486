//! Cutting what is left of a WebDataset into ranges that several processes read at once: between tars.

use super::{Place, is_tar, list};
use crate::split::{Part, Parts, Split};
use crate::{DatasetError, Reader};
use sightline_core::plan::Range;

/// Cuts what lies behind a cursor. It costs one listing; tars behind its end are cut when their turn comes.
pub(crate) async fn split(
    reader: &Reader,
    prefix: &str,
    range: &Range,
    after: &str,
    parts: Parts,
) -> Result<Option<Split>, DatasetError> {
    // The tar that is being read is the first of the rest.
    let (mut tars, behind) = match Place::read(after)? {
        Place::Within { tar, .. } => (vec![tar.clone()], tar),
        Place::Behind { behind } => (Vec::new(), behind),
    };
    let listed = list(reader, prefix, range, Some(behind)).await?;
    let more = listed.next.is_some();
    tars.extend(
        listed
            .objects
            .into_iter()
            .map(|object| object.key)
            .filter(|key| is_tar(key)),
    );
    let wanted = parts.most.min(tars.len());
    if wanted < 2 {
        return Ok(None);
    }
    let starts: Vec<usize> = (0..wanted).map(|part| part * tars.len() / wanted).collect();
    let part = |number: usize| {
        let end = starts.get(number + 1).copied();
        Part {
            range: Range {
                prefix: range.prefix.clone(),
                // What lies behind its last tar, tar or not, is of the next part.
                until: end.map_or_else(|| range.until.clone(), |end| Some(tars[end - 1].clone())),
            },
            start_after: Place::Behind {
                behind: tars[starts[number] - 1].clone(),
            }
            .write(),
            large: end.unwrap_or(tars.len()) - starts[number] > 1 || (more && end.is_none()),
        }
    };
    Ok(Some(Split {
        rest: Range {
            prefix: range.prefix.clone(),
            until: Some(tars[starts[1] - 1].clone()),
        },
        parts: (1..wanted).map(part).collect(),
    }))
}
