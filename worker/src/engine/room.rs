//! Room in memory, in bytes, that what was read and what is being decoded share.
//!
//! Promises: a quarter is for reading, the rest is decoding's own, and a decode that needs more borrows what nobody reads into.
//! So both together stay within the room, but for what is too large by itself: an object of more than the quarter counts as all
//! of it, and a picture for which there is not enough is decoded while no other is. Pictures take their turns in the order in
//! which they ask, or small ones would pass one that is large for ever. Nothing waits for ever: a picture waits for those that
//! are being decoded, which need nothing more to end; who reads waits for them, too, and for what was read to be decoded.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of what is read are counted in blocks, since a semaphore's permits are few.
const BLOCK_BYTES: u64 = 4096;
/// What is read takes at most one part of so many.
const PARTS: u64 = 4;

/// The room.
#[derive(Debug)]
pub(crate) struct Room {
    /// Bytes that are decoding's own.
    own: u64,
    /// Blocks for reading, and how many nobody has.
    blocks: u32,
    free: Arc<Semaphore>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of decoding's own that are taken.
    taken: u64,
    /// Pictures that are being decoded.
    decoding: u64,
    /// Whether one is larger than what there was: no other is decoded beside it.
    alone: bool,
    /// Of who asks next.
    last: u64,
    /// Of who is served next.
    next: u64,
}

/// Bytes that a picture takes while it is decoded, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    room: &'a Room,
    own: u64,
    /// Of reading.
    lent: Option<OwnedSemaphorePermit>,
}

/// Bytes that were read, or will be, until this is dropped.
#[derive(Debug)]
pub(crate) struct Fetched {
    room: Arc<Room>,
    blocks: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new(bytes: u64) -> Self {
        let blocks = u32::try_from(bytes / PARTS / BLOCK_BYTES).unwrap_or(u32::MAX).max(1);
        Self {
            own: bytes.saturating_sub(u64::from(blocks) * BLOCK_BYTES),
            blocks,
            free: Arc::new(Semaphore::new(usize::try_from(blocks).unwrap_or(usize::MAX))),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Most bytes of what is read.
    pub(crate) fn fetched_limit(&self) -> u64 {
        u64::from(self.blocks) * BLOCK_BYTES
    }

    /// Bytes that are taken now, by either.
    pub(crate) fn taken(&self) -> u64 {
        let blocks = self.blocks.saturating_sub(self.free_blocks());
        self.state().taken + u64::from(blocks) * BLOCK_BYTES
    }

    /// Pictures that wait for their turn, or for room.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> u64 {
        let state = self.state();
        state.last - state.next
    }

    fn free_blocks(&self) -> u32 {
        u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for bytes that are going to be read. None where the engine is ending.
    pub(crate) async fn fetch(self: &Arc<Self>, bytes: u64) -> Option<Fetched> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK_BYTES)).unwrap_or(u32::MAX);
        let blocks = blocks.clamp(1, self.blocks);
        let blocks = Arc::clone(&self.free).acquire_many_owned(blocks).await.ok()?;
        Some(Fetched {
            room: Arc::clone(self),
            blocks: Some(blocks),
        })
    }

    /// Has a thread wait for room to decode a picture that takes so many bytes.
    pub(crate) fn take(&self, bytes: u64) -> Taken<'_> {
        let mut state = self.state();
        let turn = state.last;
        state.last += 1;
        let taken = loop {
            if state.next == turn
                && let Some(taken) = self.place(&mut state, bytes)
            {
                break taken;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.next += 1;
        drop(state);
        // The next may find room beside this one.
        self.changed.notify_all();
        taken
    }

    /// Takes what a picture needs, if that is there or it is to be decoded alone.
    fn place(&self, state: &mut State, bytes: u64) -> Option<Taken<'_>> {
        if state.alone {
            return None;
        }
        let own = bytes.min(self.own.saturating_sub(state.taken));
        let lacking = u32::try_from((bytes - own).div_ceil(BLOCK_BYTES)).unwrap_or(u32::MAX);
        let mut lent = self.lend(lacking);
        if lacking > 0 && lent.is_none() {
            if state.decoding > 0 {
                return None;
            }
            // What was read waits for being decoded: nobody could wait for more than this.
            lent = self.lend(lacking.min(self.free_blocks()));
            state.alone = true;
        }
        state.taken += own;
        state.decoding += 1;
        Some(Taken { room: self, own, lent })
    }

    /// Blocks that nobody reads into; who waits to read comes first.
    fn lend(&self, blocks: u32) -> Option<OwnedSemaphorePermit> {
        if blocks == 0 {
            return None;
        }
        Arc::clone(&self.free).try_acquire_many_owned(blocks).ok()
    }

    /// Has a picture that waits look for room again, after blocks were given back. Under the lock, or it might look just before
    /// and wait just after.
    fn tell(&self) {
        drop(self.state());
        self.changed.notify_all();
    }
}

impl Fetched {
    /// Gives back what is more than so many bytes need.
    pub(crate) fn kept(mut self, bytes: usize) -> Self {
        if let Some(held) = &mut self.blocks {
            let needed = (bytes as u64).div_ceil(BLOCK_BYTES);
            let needed = usize::try_from(needed).unwrap_or(usize::MAX);
            drop(held.split(held.num_permits().saturating_sub(needed)));
        }
        self.room.tell();
        self
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        drop(self.blocks.take());
        self.room.tell();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        drop(self.lent.take());
        let mut state = self.room.state();
        state.taken = state.taken.saturating_sub(self.own);
        state.decoding = state.decoding.saturating_sub(1);
        state.alone = false;
        drop(state);
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
