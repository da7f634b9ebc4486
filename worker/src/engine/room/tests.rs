use super::*;
use futures::FutureExt as _;
use proptest::prelude::*;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

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

/// Has a thread take room for a picture of so many blocks, and give it back. Returns when it has asked; it tells how many blocks
/// were taken when it had them.
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
    drop(small);
    assert!(heard.try_recv().is_err(), "3 blocks and 4 of reading are no room for 8");
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
    assert!(some.try_recv().is_err(), "2 blocks have room, and it is not their turn");
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
    assert!(heard.try_recv().is_err());
    let held = held.kept(usize::try_from(BLOCK_BYTES).unwrap());
    assert!(heard.try_recv().is_err(), "2 blocks and 3 are no room for 6");
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
    assert!(alone.try_recv().is_err(), "another is being decoded");
    drop(other);
    assert_eq!(alone.recv_timeout(PATIENCE), Ok(16));
    huge.join().unwrap();

    let huge = room.take(u64::MAX);
    let (small, beside) = decode(&room, 0);
    drop(read_all);
    assert!(beside.try_recv().is_err(), "it is decoded alone");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Items as the pipeline has them: each is read, and holds what was read until it is decoded.
    #[test]
    fn every_item_ends_and_no_two_pictures_go_beyond_the_room(
        items in prop::collection::vec((0_u64..40, 0_u64..80), 1..60),
        threads in 1_usize..5,
    ) {
        let room = room(32);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let (jobs, queue) = std::sync::mpsc::channel::<(Fetched, u64)>();
        let queue = Arc::new(Mutex::new(queue));
        let decoding = Arc::new(Mutex::new(Vec::<u64>::new()));
        let decoders: Vec<_> = (0..threads).map(|_| {
            let (queue, room, decoding) = (Arc::clone(&queue), Arc::clone(&room), Arc::clone(&decoding));
            std::thread::spawn(move || {
                let mut done = 0_usize;
                loop {
                    let job = queue.lock().unwrap().recv();
                    let Ok((fetched, blocks)) = job else { return done };
                    let taken = room.take(blocks * BLOCK_BYTES);
                    {
                        let mut decoding = decoding.lock().unwrap();
                        decoding.push(blocks);
                        assert!(decoding.len() == 1 || decoding.iter().sum::<u64>() <= 32, "{decoding:?}");
                        assert!(blocks_taken(&room) <= 32);
                    }
                    std::thread::yield_now();
                    {
                        let mut decoding = decoding.lock().unwrap();
                        let at = decoding.iter().position(|other| *other == blocks).unwrap();
                        decoding.swap_remove(at);
                    }
                    drop(taken);
                    drop(fetched.kept(5000));
                    done += 1;
                }
            })
        }).collect();
        let count = items.len();
        let reading: Vec<_> = items.into_iter().map(|(read, decoded)| {
            let (room, jobs) = (Arc::clone(&room), jobs.clone());
            runtime.spawn(async move {
                let fetched = room.fetch(read * BLOCK_BYTES).await.unwrap();
                tokio::task::yield_now().await;
                jobs.send((fetched, decoded)).unwrap();
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
