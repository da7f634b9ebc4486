//! Room in memory, in bytes, that threads wait for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many bytes for all, in the order in which they are asked for: or small ones would pass one that is large for ever.
#[derive(Debug)]
pub(crate) struct Room {
    limit: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    /// Of who asks next.
    last: u64,
    /// Of who is served next.
    next: u64,
}

/// Bytes that are taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are taken now.
    pub(crate) fn taken(&self) -> u64 {
        self.state().taken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room. Who needs more than all of it gets all of it.
    pub(crate) fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.limit);
        let mut state = self.state();
        let turn = state.last;
        state.last += 1;
        let mut state = self
            .changed
            .wait_while(state, |state| state.next != turn || state.taken > self.limit - bytes)
            .unwrap_or_else(PoisonError::into_inner);
        state.taken += bytes;
        state.next += 1;
        drop(state);
        // The next may find room beside this one.
        self.changed.notify_all();
        Taken { room: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.taken = state.taken.saturating_sub(self.bytes);
        drop(state);
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    #[test]
    fn who_finds_no_room_waits_until_it_is_given_back() {
        let room = Arc::new(Room::new(100));
        let large = room.take(80);
        let small = room.take(20);
        let (told, heard) = channel();
        let waiting = std::thread::spawn({
            let room = Arc::clone(&room);
            move || {
                let taken = room.take(90);
                told.send(room.taken()).unwrap();
                drop(taken);
            }
        });
        drop(small);
        assert!(heard.try_recv().is_err(), "20 bytes are no room for 90");
        drop(large);
        assert_eq!(heard.recv().unwrap(), 90);
        waiting.join().unwrap();
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn who_needs_much_is_not_passed_by_those_who_need_little() {
        let room = Arc::new(Room::new(100));
        let small = room.take(10);
        let (told, heard) = channel();
        let mut waiting = Vec::new();
        for bytes in [100, 20, 30] {
            let (turns, room, told) = (room.state().last, Arc::clone(&room), told.clone());
            let asks = Arc::clone(&room);
            waiting.push(std::thread::spawn(move || {
                let taken = room.take(bytes);
                told.send(bytes).unwrap();
                drop(taken);
            }));
            while asks.state().last == turns {
                std::thread::yield_now();
            }
        }
        assert!(
            heard.try_recv().is_err(),
            "20 bytes have room, and it is not their turn"
        );
        drop(small);
        assert_eq!(heard.recv().unwrap(), 100);
        for thread in waiting {
            thread.join().unwrap();
        }
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn who_needs_more_than_there_is_gets_all_of_it() {
        let room = Room::new(100);
        let all = room.take(u64::MAX);
        assert_eq!(room.taken(), 100);
        drop(all);
        assert_eq!(room.taken(), 0);
    }
}
