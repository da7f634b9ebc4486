//! Which links follow a link whose range is not at its end.

use sightline_core::Link;
use sightline_datasets::{Part, Split};

/// Fewer open ranges than this are not worth the listings that a cut costs.
pub(crate) const LEAST: u32 = 4;
/// Parts that one cut makes at most, with what is left of the range itself.
pub(crate) const MOST_PARTS: u32 = 16;

/// The links of a range's parts and the one that goes on from `cursor`. Together they may be cut in `fan_out` open
/// ranges: the large ones share what the small ones leave. A range that could not be cut may be cut in one fewer, so
/// that a flat prefix is soon no longer asked for folders that it does not have.
pub(crate) fn following(link: &Link, fan_out: u32, cursor: String, split: Option<Split>) -> (Vec<Link>, Link) {
    let Some(Split { rest, parts }) = split else {
        let next = Link {
            range: link.range.clone(),
            start_after: Some(cursor),
            fan_out: Some(fan_out.saturating_sub(1).max(1)),
        };
        return (Vec::new(), next);
    };
    let count =
        |large: bool| u32::try_from(parts.iter().filter(|part| part.large == large).count()).unwrap_or(u32::MAX);
    let shared = fan_out.saturating_sub(count(false));
    let sharers = count(true) + 1;
    let share = (shared / sharers).max(1);
    let next = Link {
        range: rest,
        start_after: Some(cursor),
        fan_out: Some(shared.saturating_sub(share * (sharers - 1)).max(1)),
    };
    let child = |part: Part| Link {
        range: part.range,
        start_after: Some(part.start_after),
        fan_out: Some(if part.large { share } else { 1 }),
    };
    (parts.into_iter().map(child).collect(), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::plan::Range;

    fn split(large: &[bool]) -> Split {
        let parts = large.iter().enumerate().map(|(at, large)| Part {
            range: Range::default(),
            start_after: at.to_string(),
            large: *large,
        });
        Split {
            rest: Range::default(),
            parts: parts.collect(),
        }
    }

    #[test]
    fn a_range_never_gives_its_parts_more_than_it_has() {
        for fan_out in LEAST..40 {
            for large in 0..fan_out.min(MOST_PARTS) {
                let some: Vec<bool> = (0..fan_out.min(MOST_PARTS) - 1).map(|at| at < large).collect();
                let (children, next) = following(&Link::default(), fan_out, "c".into(), Some(split(&some)));
                let given = |link: &Link| link.fan_out.unwrap();
                let sum: u32 = children.iter().chain([&next]).map(given).sum();
                assert_eq!(sum, fan_out, "{fan_out} {large}");
            }
        }
    }

    #[test]
    fn a_range_that_cannot_be_cut_is_asked_less_and_less() {
        let (children, next) = following(&Link::default(), 5, "c".into(), None);
        assert!(children.is_empty());
        assert_eq!(next.fan_out, Some(4));
        assert_eq!(following(&next, 1, "d".into(), None).1.fan_out, Some(1));
    }
}
