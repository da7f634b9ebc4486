//! Room in memory, in bytes, that threads wait for.

use std::sync::{Condvar, Mutex, PoisonError};

/// So many bytes for all.
#[derive(Debug)]
pub(crate) struct Room {
    limit: u64,
    taken: Mutex<u64>,
    freed: Condvar,
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
            taken: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are taken now.
    pub(crate) fn taken(&self) -> u64 {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room. Who needs more than all of it gets all of it.
    pub(crate) fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.limit);
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self
            .freed
            .wait_while(taken, |taken| *taken > self.limit - bytes)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += bytes;
        Taken { room: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(self.bytes);
        drop(taken);
        self.room.freed.notify_all();
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
    fn who_needs_more_than_there_is_gets_all_of_it() {
        let room = Room::new(100);
        let all = room.take(u64::MAX);
        assert_eq!(room.taken(), 100);
        drop(all);
        assert_eq!(room.taken(), 0);
    }
}
