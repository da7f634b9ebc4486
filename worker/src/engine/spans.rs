//! Spans of tars: pictures that lie side by side in a tar are read by one request.
//!
//! Promises: a span's bytes count against the shared budget from before they are read until the last picture in it is
//! decoded; every item of a span is in the pipeline before the span is read, so that what holds room never waits for a
//! place. What was wrong with the tar is found out once for all of them.

use super::item::{Passage, Stopped, ending, failed};
use super::lookup::LookedUp;
use super::read::{Source, short, unread};
use super::{pipeline::Pipeline, room::Fetched};
use crate::journal::JournalStage;
use bytes::Bytes;
use sightline_core::{FailureReason, Item, ObjectRef, TarMember};
use sightline_objects::ObjectError;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Most bytes of a span.
const MAX_BYTES: u64 = 8 << 20;
/// Bytes between two pictures that are rather read than asked for again: texts, and other files of their samples.
const MAX_GAP: u64 = 64 << 10;

/// How far items are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanLimits {
    /// Bytes of a span, but for one with a single picture.
    bytes: u64,
    /// And of its pictures' previews.
    previews: u64,
    items: usize,
}

impl SpanLimits {
    /// Limits that leave room for several spans in what may be read at once, and in the pipeline.
    pub(crate) fn new(fetched_bytes: u64, max_items: usize) -> Self {
        Self {
            bytes: (fetched_bytes / 8).clamp(1, MAX_BYTES),
            previews: fetched_bytes / 8,
            items: (max_items / 4).max(1),
        }
    }

    /// The same for pictures that have previews of up to so many bytes each: a span waits for room for all of them at once.
    pub(crate) fn with_previews(self, each: u64) -> Self {
        let Some(items) = self.previews.checked_div(each) else {
            return self;
        };
        let items = usize::try_from(items).unwrap_or(usize::MAX);
        Self {
            items: self.items.min(items).max(1),
            ..self
        }
    }
}

/// A part of a tar that is read at once.
#[derive(Debug)]
pub(crate) struct Span {
    tar: ObjectRef,
    bytes: Range<u64>,
    items: usize,
    held: OnceCell<Result<Held, ObjectError>>,
}

#[derive(Debug)]
struct Held {
    bytes: Bytes,
    _room: Fetched,
}

/// Items that enter the pipeline together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) items: Vec<LookedUp>,
    /// Where their pictures lie, if that is a tar.
    pub(crate) span: Option<Arc<Span>>,
}

/// Puts items together whose pictures lie side by side in one tar. The order stays.
pub(crate) fn grouped(items: Vec<LookedUp>, limits: SpanLimits) -> Vec<Group> {
    let mut groups: Vec<(Vec<LookedUp>, Option<Span>)> = Vec::new();
    for looked_up in items {
        let Some((tar, member)) = place(&looked_up.item.item) else {
            groups.push((vec![looked_up], None));
            continue;
        };
        let bytes = member.offset..member.offset.saturating_add(member.size);
        match groups.last_mut() {
            Some((items, Some(span))) if span.takes(tar, &bytes, limits) => {
                span.bytes.end = bytes.end;
                span.items += 1;
                items.push(looked_up);
            }
            _ => {
                let span = Span {
                    tar: tar.clone(),
                    bytes,
                    items: 1,
                    held: OnceCell::new(),
                };
                groups.push((vec![looked_up], Some(span)));
            }
        }
    }
    let group = |(items, span): (_, Option<Span>)| Group {
        items,
        span: span.map(Arc::new),
    };
    groups.into_iter().map(group).collect()
}

fn place(item: &Item) -> Option<(&ObjectRef, &TarMember)> {
    item.image.as_ref().zip(item.member.as_deref())
}

impl Span {
    fn takes(&self, tar: &ObjectRef, bytes: &Range<u64>, limits: SpanLimits) -> bool {
        self.tar == *tar
            && self.items < limits.items
            && bytes.start >= self.bytes.end
            && bytes.start - self.bytes.end <= MAX_GAP
            && bytes.end - self.bytes.start <= limits.bytes
    }

    /// The part of what was read that a picture is.
    fn part(&self, held: &Held, member: &TarMember) -> Option<Bytes> {
        let from = usize::try_from(member.offset.checked_sub(self.bytes.start)?).ok()?;
        let to = from.checked_add(usize::try_from(member.size).ok()?)?;
        (to <= held.bytes.len()).then(|| held.bytes.slice(from..to))
    }
}

impl Passage<'_> {
    /// A picture's bytes. They are in the budget as long as somebody holds the span.
    pub(super) async fn fetch_member(&mut self, item: &Item, span: &Span) -> Result<Bytes, Stopped> {
        let held = span
            .held
            .get_or_try_init(async || self.read_span(item, span).await)
            .await?;
        let held = held.as_ref().map_err(|error| unread(error.clone()))?;
        let part = item.member.as_ref().and_then(|member| span.part(held, member));
        part.ok_or_else(|| {
            failed(
                FailureReason::Internal,
                "its place is not in the part of the tar that was read",
            )
        })
    }

    /// Reads a span for all items in it. What can succeed later is an error, and nobody's answer.
    async fn read_span(&mut self, item: &Item, span: &Span) -> Result<Result<Held, ObjectError>, Stopped> {
        let pipeline: &Pipeline = self.pipeline;
        let waiting = pipeline.stages.wait(JournalStage::Fetch);
        let previews = self.work.preview_bytes().saturating_mul(span.items as u64);
        let bytes = span.bytes.end - span.bytes.start + previews;
        let room = pipeline.room_for(bytes).await.ok_or_else(ending)?;
        let store = self.open_store().await?;
        let source = Source::new(store.as_ref(), &span.tar.key, Some(span.bytes.clone()));
        let read = async || {
            let bytes = store
                .get_range(&span.tar.key, span.bytes.clone(), Some(&span.tar.etag))
                .await?;
            whole(span, bytes)
        };
        let result = self.read_in_turn(item, span.items, source, waiting, read).await?;
        Ok(result.map(|bytes| Held { bytes, _room: room }))
    }
}

/// The span's bytes, if they are all: of one version no other number can be right.
fn whole(span: &Span, bytes: Bytes) -> Result<Bytes, ObjectError> {
    let wanted = span.bytes.end - span.bytes.start;
    if bytes.len() as u64 == wanted {
        return Ok(bytes);
    }
    Err(short(&span.tar.key, &bytes, wanted))
}

#[cfg(test)]
mod tests {
    use super::super::lookup::Existing;
    use super::super::room::Room;
    use super::*;
    use crate::ipc::WorkItem;
    use futures::FutureExt as _;
    use sightline_core::ItemKey;

    fn looked_up(index: u32, tar: &str, offset: u64, size: u64) -> LookedUp {
        let mut item = Item::new(ItemKey::new(format!("{index}")).unwrap());
        item.image = Some(ObjectRef {
            key: tar.into(),
            etag: "e".into(),
            size: 1 << 40,
        });
        let path = index.to_string();
        item.member = (size > 0).then(|| Box::new(TarMember { path, offset, size }));
        LookedUp {
            item: WorkItem { index, item },
            digest: String::new(),
            existing: Existing::None,
        }
    }

    /// Items of each group, and the bytes of its span.
    fn shape(groups: &[Group]) -> Vec<(Vec<u32>, Option<Range<u64>>)> {
        let shape = |group: &Group| {
            let items = group.items.iter().map(|item| item.item.index).collect();
            (items, group.span.as_ref().map(|span| span.bytes.clone()))
        };
        groups.iter().map(shape).collect()
    }

    #[test]
    fn pictures_side_by_side_are_one_span_and_gaps_tars_sizes_and_numbers_end_it() {
        let limits = SpanLimits {
            bytes: 1 << 20,
            previews: 0,
            items: 3,
        };
        let items = vec![
            looked_up(0, "a.tar", 512, 1000),
            looked_up(1, "a.tar", 2048, 1000),
            looked_up(2, "a.tar", 2048 + 1000 + MAX_GAP, 1),
            looked_up(3, "a.tar", 80_000, 1),
            looked_up(4, "a.tar", 80_001 + MAX_GAP + 1, 1),
            looked_up(5, "b.tar", 80_001 + MAX_GAP + 2, 10),
            looked_up(6, "b.tar", 200_000, 2 << 20),
            looked_up(7, "plain.jpg", 0, 0),
            looked_up(8, "b.tar", 512, 5),
            looked_up(9, "b.tar", 512, 5),
        ];
        let expected = [
            (vec![0, 1, 2], Some(512..2048 + 1001 + MAX_GAP)),
            (vec![3], Some(80_000..80_001)),
            (vec![4], Some(80_001 + MAX_GAP + 1..80_001 + MAX_GAP + 2)),
            (vec![5], Some(80_001 + MAX_GAP + 2..80_001 + MAX_GAP + 12)),
            (vec![6], Some(200_000..200_000 + (2 << 20))),
            (vec![7], None),
            (vec![8], Some(512..517)),
            (vec![9], Some(512..517)),
        ];
        assert_eq!(shape(&grouped(items, limits)), expected);
    }

    #[test]
    fn a_span_with_its_previews_leaves_room_for_others_unless_a_single_one_does_not() {
        let limits = SpanLimits::new(64 << 20, 1024);
        for (preview, items) in [(0, 256), (1 << 20, 8), (3 << 20, 2), (64 << 20, 1)] {
            let limits = limits.with_previews(preview);
            assert_eq!(limits.items, items, "{preview}");
            let bytes = limits.bytes + preview * items as u64;
            assert!(bytes <= (64 << 20) / 4 || items == 1, "{preview}: {bytes}");
        }
        let picture = |index: u32| looked_up(index, "a.tar", u64::from(index) * 1024, 1000);
        let pictures = || (0..20).map(picture).collect();
        assert_eq!(grouped(pictures(), limits).len(), 1);
        assert_eq!(grouped(pictures(), limits.with_previews(3 << 20)).len(), 10);
    }

    proptest::proptest! {
        #[test]
        fn every_item_is_in_one_group_in_its_order_and_its_picture_in_its_span(
            places in proptest::collection::vec((0_u8..2, 0_u64..300_000, 0_u64..9000), 0..40),
            bytes in 1_u64..100_000,
            items in 1_usize..9,
        ) {
            let mut made = Vec::new();
            for (index, (tar, offset, size)) in (0..).zip(places) {
                made.push(looked_up(index, &tar.to_string(), offset, size));
            }
            let count = made.len();
            let groups = grouped(made, SpanLimits { bytes, previews: 0, items });
            let order: Vec<u32> = groups.iter().flat_map(|group| &group.items).map(|item| item.item.index).collect();
            proptest::prop_assert_eq!(order, (0..).take(count).collect::<Vec<u32>>());
            for group in &groups {
                proptest::prop_assert!(group.items.len() <= items);
                for looked_up in &group.items {
                    let member = looked_up.item.item.member.as_ref();
                    proptest::prop_assert_eq!(member.is_some(), group.span.is_some());
                    let Some((member, span)) = member.zip(group.span.as_ref()) else { continue };
                    proptest::prop_assert!(group.items.len() == 1 || span.bytes.end - span.bytes.start <= bytes);
                    let held = Held {
                        bytes: Bytes::from(vec![0; usize::try_from(span.bytes.end - span.bytes.start).unwrap()]),
                        _room: Arc::new(Room::new(1)).fetch(1).now_or_never().flatten().unwrap(),
                    };
                    proptest::prop_assert_eq!(span.part(&held, member).unwrap().len() as u64, member.size);
                }
            }
        }
    }
}
