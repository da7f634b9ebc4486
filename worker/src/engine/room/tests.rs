use super::*;
use futures::FutureExt as _;
use proptest::prelude::*;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// The room that things are tried in, and its two parts, in blocks.
const ALL: u64 = 32;
const QUARTER: u64 = 8;
const OWN: u64 = 24;

/// Room of so many blocks, a quarter of them for reading.
fn room(blocks: u64) -> Arc<Room> {
    Arc::new(Room::new(blocks * BLOCK_BYTES))
}

fn blocks_taken(room: &Room) -> u64 {
    room.taken() / BLOCK_BYTES
}

/// Reads blocks into the room, where that need not wait.
fn read(room: &Arc<Room>, blocks: u64) -> Option<Fetched> {
    room.fetch(blocks * BLOCK_BYTES).now_or_never().flatten()
}

/// A picture of so many blocks, if there is room for it now, were it its turn.
fn place(room: &Room, blocks: u64) -> Option<Taken<'_>> {
    room.place(&mut room.state(), blocks.saturating_mul(BLOCK_BYTES))
}

/// Has a thread take room for a picture of so many blocks, and give it back. Returns when it has looked for room once: who asks
/// looks before anybody else can; it tells how many blocks were taken when it had them.
fn decode(room: &Arc<Room>, blocks: u64) -> (JoinHandle<()>, Receiver<u64>) {
    let turns = room.state().last;
    let (told, heard) = channel();
    let own = Arc::clone(room);
    let thread = std::thread::spawn(move || {
        let taken = own.take(blocks.saturating_mul(BLOCK_BYTES));
        told.send(blocks_taken(&own)).unwrap();
        drop(taken);
    });
    while room.state().last == turns {
        std::thread::yield_now();
    }
    (thread, heard)
}

#[test]
fn who_finds_no_room_waits_until_it_is_given_back() {
    let room = room(16);
    let large = room.take(9 * BLOCK_BYTES);
    let small = room.take(3 * BLOCK_BYTES);
    let (thread, heard) = decode(&room, 8);
    assert_eq!(room.waiting(), 1);
    drop(small);
    // Whoever looks, however late: the one that waits, or who asks here.
    assert!(place(&room, 8).is_none(), "3 blocks and 4 of reading are no room for 8");
    assert_eq!(room.waiting(), 1);
    drop(large);
    assert_eq!(heard.recv_timeout(PATIENCE), Ok(8));
    thread.join().unwrap();
    assert_eq!(room.taken(), 0);
}

#[test]
fn who_needs_much_is_not_passed_by_those_who_need_little() {
    let room = room(16);
    let small = room.take(BLOCK_BYTES);
    let (large, all) = decode(&room, 16);
    let (little, some) = decode(&room, 2);
    assert!(place(&room, 2).is_some(), "there is room for them");
    assert_eq!(room.waiting(), 2, "and it is not their turn");
    drop(small);
    assert_eq!(all.recv_timeout(PATIENCE), Ok(16));
    some.recv_timeout(PATIENCE).unwrap();
    large.join().unwrap();
    little.join().unwrap();
    assert_eq!(room.taken(), 0);
}

#[test]
fn decoding_takes_what_nobody_reads_into_and_reading_gets_it_back() {
    let room = room(16);
    let first = room.take(12 * BLOCK_BYTES);
    let second = room.take(3 * BLOCK_BYTES);
    assert_eq!(blocks_taken(&room), 15);
    let one = read(&room, 1).unwrap();
    assert!(read(&room, 1).is_none(), "the others are lent");
    drop(second);
    let three = read(&room, 3).unwrap();
    assert!(read(&room, 1).is_none(), "a quarter is the most that is read");
    assert_eq!(blocks_taken(&room), 16);
    drop((one, three, first));
    assert_eq!(room.taken(), 0);
}

#[test]
fn what_is_read_no_more_is_room_for_who_waits_to_decode() {
    let room = room(16);
    let (held, first) = (read(&room, 4).unwrap(), room.take(10 * BLOCK_BYTES));
    let (thread, heard) = decode(&room, 6);
    assert_eq!(room.waiting(), 1);
    let held = held.kept(usize::try_from(BLOCK_BYTES).unwrap());
    assert!(place(&room, 6).is_none(), "2 blocks and 3 are no room for 6");
    assert_eq!(room.waiting(), 1);
    drop(held);
    assert_eq!(heard.recv_timeout(PATIENCE), Ok(16));
    thread.join().unwrap();
    drop(first);
    assert_eq!(room.taken(), 0);
}

#[test]
fn a_picture_larger_than_all_is_decoded_alone_whatever_was_read() {
    let room = room(16);
    let read_all = read(&room, 1000).unwrap();
    assert_eq!(blocks_taken(&room), 4, "a large object takes what reading has");
    let other = room.take(BLOCK_BYTES);
    let (huge, alone) = decode(&room, u64::MAX);
    assert_eq!(room.waiting(), 1, "another is being decoded");
    drop(other);
    assert_eq!(alone.recv_timeout(PATIENCE), Ok(16));
    huge.join().unwrap();

    let huge = room.take(u64::MAX);
    let (small, beside) = decode(&room, 0);
    drop(read_all);
    assert!(place(&room, 0).is_none(), "it is decoded alone");
    assert_eq!(room.waiting(), 1);
    assert!(
        read(&room, 4).is_some(),
        "reading does not wait for it where it had all of its part"
    );
    drop(huge);
    beside.recv_timeout(PATIENCE).unwrap();
    small.join().unwrap();
    assert_eq!(room.taken(), 0);
}

#[test]
fn a_small_room_has_some_for_either() {
    let room = Arc::new(Room::new(1));
    let _read = read(&room, 1).unwrap();
    drop(room.take(u64::MAX));
    assert_eq!(room.taken(), BLOCK_BYTES);
}

/// What is read and what is being decoded, by the blocks that were asked for: both are together at most the room, but for what is
/// too large by itself.
#[derive(Default)]
struct Held {
    read: Vec<u64>,
    decoding: Vec<u64>,
}

impl Held {
    /// Blocks that count as read: an object of more than a quarter is all of it, one of nothing a block.
    fn counted(&self) -> u64 {
        self.read.iter().map(|blocks| (*blocks).clamp(1, QUARTER)).sum()
    }

    /// Whether the one picture that is being decoded is more than decoding has of its own.
    fn is_alone(&self) -> bool {
        matches!(self.decoding.as_slice(), [blocks] if *blocks > OWN)
    }

    fn check(&self) -> Result<(), String> {
        let (read, decoding) = (self.read.iter().sum::<u64>(), self.decoding.iter().sum::<u64>());
        let reading = read <= QUARTER || self.read.len() == 1;
        let all = self.counted() + decoding <= ALL || self.is_alone();
        if reading && all {
            return Ok(());
        }
        Err(format!("read {:?}, decoding {:?}", self.read, self.decoding))
    }
}

/// Writes down what changes, and checks what is there then.
fn note(held: &Mutex<Held>, change: impl FnOnce(&mut Held)) -> Result<(), String> {
    let mut held = held.lock().unwrap();
    change(&mut held);
    held.check()
}

fn take_out(from: &mut Vec<u64>, blocks: u64) {
    let at = from.iter().position(|other| *other == blocks).unwrap();
    from.swap_remove(at);
}

proptest! {
    #[test]
    fn reading_and_decoding_stay_within_the_room_whatever_comes_and_goes(
        steps in prop::collection::vec((0_u8..4, 0_u64..40, any::<prop::sample::Index>()), 1..120),
    ) {
        let room = room(ALL);
        let (mut fetched, mut taken) = (Vec::new(), Vec::new());
        let mut held = Held::default();
        for (step, blocks, which) in steps {
            match step {
                0 => if let Some(one) = read(&room, blocks) {
                    fetched.push(one);
                    held.read.push(blocks);
                },
                1 => match place(&room, blocks) {
                    Some(one) => {
                        taken.push(one);
                        held.decoding.push(blocks);
                    }
                    None => prop_assert!(!taken.is_empty(), "{blocks} would wait for ever"),
                },
                2 if !fetched.is_empty() => {
                    let at = which.index(fetched.len());
                    drop(fetched.swap_remove(at));
                    held.read.swap_remove(at);
                }
                3 if !taken.is_empty() => {
                    let at = which.index(taken.len());
                    drop(taken.swap_remove(at));
                    held.decoding.swap_remove(at);
                }
                _ => {}
            }
            prop_assert_eq!(held.check(), Ok(()));
            let (all, counted) = (held.counted() + held.decoding.iter().sum::<u64>(), blocks_taken(&room));
            prop_assert!(counted == all || (held.is_alone() && counted < all), "{counted} of {all}");
        }
        drop((fetched, taken));
        prop_assert_eq!(room.taken(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Items as the pipeline has them: each is read, and holds what was read until it is decoded.
    #[test]
    fn every_item_ends_and_all_that_are_there_at_once_stay_within_the_room(
        items in prop::collection::vec((0_u64..40, 0_u64..80), 1..60),
        threads in 1_usize..5,
    ) {
        let room = room(ALL);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let (jobs, queue) = std::sync::mpsc::channel::<(Fetched, u64, u64)>();
        let queue = Arc::new(Mutex::new(queue));
        // Written after room was taken and before it is given back: never more than what is there.
        let held = Arc::new(Mutex::new(Held::default()));
        let decoders: Vec<_> = (0..threads).map(|_| {
            let (queue, room, held) = (Arc::clone(&queue), Arc::clone(&room), Arc::clone(&held));
            std::thread::spawn(move || {
                let mut done = 0_usize;
                loop {
                    let job = queue.lock().unwrap().recv();
                    let Ok((fetched, read, blocks)) = job else { return done };
                    let taken = room.take(blocks * BLOCK_BYTES);
                    note(&held, |held| held.decoding.push(blocks)).unwrap();
                    std::thread::yield_now();
                    note(&held, |held| take_out(&mut held.decoding, blocks)).unwrap();
                    drop(taken);
                    note(&held, |held| take_out(&mut held.read, read)).unwrap();
                    drop(fetched.kept(5000));
                    done += 1;
                }
            })
        }).collect();
        let count = items.len();
        let reading: Vec<_> = items.into_iter().map(|(read, decoded)| {
            let (room, held, jobs) = (Arc::clone(&room), Arc::clone(&held), jobs.clone());
            runtime.spawn(async move {
                let fetched = room.fetch(read * BLOCK_BYTES).await.unwrap();
                note(&held, |held| held.read.push(read)).unwrap();
                tokio::task::yield_now().await;
                jobs.send((fetched, read, decoded)).unwrap();
            })
        }).collect();
        drop(jobs);
        let all = async { for one in reading { one.await.unwrap(); } };
        let timely = runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await });
        prop_assert!(timely.is_ok(), "somebody waits for ever to read");
        let done: usize = decoders.into_iter().map(|decoder| decoder.join().unwrap()).sum();
        prop_assert_eq!(done, count);
        prop_assert_eq!(room.taken(), 0);
    }
}
