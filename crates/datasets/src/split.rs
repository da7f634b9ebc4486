//! Cutting what is left of a prefix into ranges that several processes read at once.
//!
//! Cuts lie before folders, which a folded listing finds: first the folders beside the topmost one that is being read,
//! then those a level deeper, as long as more parts are wanted. A part is an interval of the order of keys, so that
//! the parts are disjoint and leave nothing out whatever is written meanwhile. How much a part holds is looked at before
//! it is made: neighbours that hold little become one part, so that thousands of small folders are not thousands of
//! parts, and one folder that holds nearly everything is cut further when its turn comes.

use crate::prefix::list;
use crate::{DatasetError, Reader};
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::plan::Range;
use sightline_objects::{MAX_LIST_LIMIT, after_prefix};

/// Listings of one cut that are asked for side by side.
const CONCURRENT_LISTINGS: usize = 8;

/// What is wanted of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Parts at most, with what is left of the range itself.
    pub most: usize,
    /// A part with no more objects than this is small.
    pub small: usize,
    /// Small neighbours become one part while they hold no more objects together.
    pub gathered: usize,
}

/// A part that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it ends.
    pub range: Range,
    /// Behind what it starts.
    pub start_after: String,
    /// Whether it holds more than a small part does.
    pub large: bool,
}

/// A range cut in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The range that goes on where it was, with its end before the first part.
    pub rest: Range,
    /// The parts, in the order of keys.
    pub parts: Vec<Part>,
}

/// A place to cut at, and how many objects lie between it and the next one; none where they are many.
struct Cut {
    at: String,
    holds: Option<usize>,
}

pub(crate) async fn split(
    reader: &Reader,
    range: &Range,
    after: &str,
    parts: Parts,
) -> Result<Option<Split>, DatasetError> {
    let mut cuts: Vec<Cut> = Vec::new();
    for (folder, start) in levels(range, after) {
        let large = cuts.iter().filter(|cut| cut.holds.is_none()).count();
        let gathered = usize::from(large < cuts.len());
        let room = parts.most.saturating_sub(1 + large + gathered);
        if room == 0 {
            break;
        }
        let end = cuts.first().map(|cut| cut.at.clone()).or_else(|| range.until.clone());
        let level = Range {
            prefix: folder,
            until: end.clone(),
        };
        let mut starts = starts_of_folders(reader, &level, start).await?;
        // The range itself goes on with what comes next.
        starts.retain(|at| at.as_str() > after);
        let starts = spread(starts, room);
        let ends = starts.iter().skip(1).cloned().map(Some).chain([end]);
        let intervals: Vec<_> = starts.iter().cloned().zip(ends).collect();
        let mut found: Vec<Cut> = stream::iter(intervals)
            .map(|(at, end)| measured(reader, range, at, end, parts.small))
            .buffered(CONCURRENT_LISTINGS)
            .try_collect()
            .await?;
        found.append(&mut cuts);
        cuts = found;
    }
    let cuts = gather(cuts, parts.gathered);
    let Some(first) = cuts.first() else { return Ok(None) };
    let rest = between(range, after, Some(first.at.clone()));
    let ends = cuts.iter().skip(1).map(|cut| Some(cut.at.clone()));
    let ends: Vec<_> = ends.chain([range.until.clone()]).collect();
    let parts = cuts.into_iter().zip(ends).map(|(cut, end)| Part {
        range: between(range, &cut.at, end),
        start_after: cut.at,
        large: cut.holds.is_none(),
    });
    Ok(Some(Split {
        rest,
        parts: parts.collect(),
    }))
}

/// The folders that `after` lies in, from the range's own down, each with the place to go on from behind what is being
/// read of it.
fn levels(range: &Range, after: &str) -> Vec<(String, String)> {
    let Some(below) = after.strip_prefix(range.prefix.as_str()) else {
        return Vec::new();
    };
    let mut levels = Vec::new();
    let mut folder = range.prefix.clone();
    for (slash, _) in below.match_indices('/') {
        let inner = &after[..=range.prefix.len() + slash];
        // A key may sort behind even this.
        let behind = after_prefix(inner).max(after.to_owned());
        levels.push((std::mem::replace(&mut folder, inner.to_owned()), behind));
    }
    levels.push((folder, after.to_owned()));
    levels
}

/// For each of the next folders of a level that end within it: the place in the order of keys just before it.
async fn starts_of_folders(reader: &Reader, level: &Range, start: String) -> Result<Vec<String>, DatasetError> {
    let page = list(reader, level, Some(start.clone()), MAX_LIST_LIMIT, true).await?;
    let objects = page.objects.into_iter().map(|object| (object.key, false));
    let folders = page.common_prefixes.into_iter().map(|prefix| (prefix, true));
    let mut entries: Vec<(String, bool)> = objects.chain(folders).collect();
    entries.sort_unstable();
    let mut starts = Vec::new();
    let mut before = start;
    for (entry, is_folder) in entries {
        let behind = if is_folder { after_prefix(&entry) } else { entry.clone() };
        let within = level.until.as_ref().is_none_or(|until| behind <= *until);
        if is_folder && within && before < entry {
            starts.push(before);
        }
        before = behind;
    }
    Ok(starts)
}

/// At most `most` of the starts, as far apart from each other as can be; always the first.
fn spread(starts: Vec<String>, most: usize) -> Vec<String> {
    let count = starts.len();
    if count <= most {
        return starts;
    }
    let chosen = (0..most).map(|part| starts[part * count / most].clone());
    chosen.collect()
}

async fn measured(
    reader: &Reader,
    range: &Range,
    at: String,
    end: Option<String>,
    small: usize,
) -> Result<Cut, DatasetError> {
    let part = between(range, &at, end);
    let page = list(reader, &part, Some(at.clone()), small.saturating_add(1), false).await?;
    let holds = (page.next.is_none() && page.objects.len() <= small).then_some(page.objects.len());
    Ok(Cut { at, holds })
}

/// The range of what lies between two places of a range, with the longest prefix that all of it has: what sorts between
/// two texts starts with what both start with.
fn between(range: &Range, after: &str, end: Option<String>) -> Range {
    let Some(end) = end else { return range.clone() };
    let common = after
        .bytes()
        .zip(end.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    let folder = after.as_bytes()[..common].iter().rposition(|byte| *byte == b'/');
    let prefix = folder.map_or("", |slash| &after[..=slash]);
    Range {
        prefix: if prefix.len() > range.prefix.len() {
            prefix.to_owned()
        } else {
            range.prefix.clone()
        },
        until: Some(end),
    }
}

/// Leaves cuts out between parts that hold little.
fn gather(cuts: Vec<Cut>, most: usize) -> Vec<Cut> {
    let mut gathered: Vec<Cut> = Vec::new();
    for cut in cuts {
        match gathered.last_mut() {
            Some(Cut {
                holds: Some(before), ..
            }) if cut.holds.is_some_and(|holds| *before + holds <= most) => {
                *before += cut.holds.unwrap_or_default();
            }
            _ => gathered.push(cut),
        }
    }
    gathered
}
