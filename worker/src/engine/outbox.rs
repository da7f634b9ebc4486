//! What goes to the supervisor: collected into frames, written by a thread of its own.

use super::stages::ItemTimes;
use crate::ipc::{FrameError, FromEngine, Interruption, ItemEnded, WorkId, write_frame};
use std::collections::BTreeMap;
use std::io::Write;
use tokio::sync::mpsc;

/// Notes that may wait to be written.
const WAITING_NOTES: usize = 4096;
/// Notes that are written together.
const NOTES_A_FRAME: usize = 512;

/// One thing to tell the supervisor.
#[derive(Debug)]
pub(crate) enum Note {
    /// An item ended.
    Ended {
        work: WorkId,
        item: ItemEnded,
        times: ItemTimes,
    },
    /// A work cannot go on.
    Interrupted { work: WorkId, why: Interruption },
    /// Anything that is a frame already.
    Frame(FromEngine),
}

/// The way to the supervisor.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(mpsc::Sender<Note>);

impl Outbox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Note>) {
        let (sender, receiver) = mpsc::channel(WAITING_NOTES);
        (Self(sender), receiver)
    }

    /// Waits for room. Where the supervisor is gone nobody is left to tell, and the process is about to end.
    pub(crate) async fn send(&self, note: Note) {
        let _told = self.0.send(note).await;
    }
}

/// Writes notes until there is nobody left to send any, or the pipe breaks.
pub(crate) fn write_notes(mut notes: mpsc::Receiver<Note>, to: &mut impl Write) -> Result<(), FrameError> {
    while let Some(first) = notes.blocking_recv() {
        for frame in frames_of(with_waiting(first, &mut notes)) {
            write_frame(to, &frame)?;
        }
    }
    Ok(())
}

/// Passes notes on as frames until there is nobody left to send any, or to hear them.
pub(crate) async fn pass_notes(mut notes: mpsc::Receiver<Note>, to: mpsc::Sender<FromEngine>) {
    while let Some(first) = notes.recv().await {
        for frame in frames_of(with_waiting(first, &mut notes)) {
            if to.send(frame).await.is_err() {
                return;
            }
        }
    }
}

/// A note and those that wait behind it, as many as are written together.
fn with_waiting(first: Note, notes: &mut mpsc::Receiver<Note>) -> Vec<Note> {
    let mut batch = vec![first];
    while batch.len() < NOTES_A_FRAME
        && let Ok(note) = notes.try_recv()
    {
        batch.push(note);
    }
    batch
}

/// Notes as frames: ends of items of one work together, before anything else that came with them.
fn frames_of(notes: Vec<Note>) -> Vec<FromEngine> {
    let mut ended: BTreeMap<WorkId, (Vec<ItemEnded>, ItemTimes)> = BTreeMap::new();
    let mut others = Vec::new();
    for note in notes {
        match note {
            Note::Ended { work, item, times } => {
                let (items, sums) = ended.entry(work).or_default();
                items.push(item);
                for (stage, us) in times {
                    *sums.entry(stage).or_default() += us;
                }
            }
            Note::Interrupted { work, why } => others.push(FromEngine::Interrupted { work, why }),
            Note::Frame(frame) => others.push(frame),
        }
    }
    let ended = ended
        .into_iter()
        .map(|(work, (items, stage_us))| FromEngine::Ended { work, items, stage_us });
    ended.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::read_frame;
    use crate::journal::JournalStage;
    use sightline_core::Outcome;

    #[tokio::test]
    async fn ends_of_one_work_share_a_frame_and_come_before_its_interruption() {
        let (outbox, notes) = Outbox::new();
        let ended = |index| Note::Ended {
            work: 7,
            item: ItemEnded {
                index,
                outcome: Outcome::Indexed { digest: "d".into() },
            },
            times: ItemTimes::from([(JournalStage::Fetch, 5)]),
        };
        outbox.send(ended(0)).await;
        outbox
            .send(Note::Interrupted {
                work: 7,
                why: Interruption::Waiting("index".into()),
            })
            .await;
        outbox.send(ended(1)).await;
        drop(outbox);
        let written = tokio::task::spawn_blocking(move || {
            let mut pipe = Vec::new();
            write_notes(notes, &mut pipe).unwrap();
            pipe
        });
        let pipe = written.await.unwrap();
        let mut from = pipe.as_slice();
        let Some(FromEngine::Ended {
            work: 7,
            items,
            stage_us,
        }) = read_frame(&mut from).unwrap()
        else {
            panic!("no ends of items first");
        };
        assert_eq!((items.len(), stage_us[&JournalStage::Fetch]), (2, 10));
        assert!(matches!(
            read_frame(&mut from).unwrap(),
            Some(FromEngine::Interrupted { work: 7, .. })
        ));
        assert!(read_frame::<FromEngine>(&mut from).unwrap().is_none());
    }
}
