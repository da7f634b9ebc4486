//! A directory as a store.

use sightline_objects::LocalStore;
use sightline_objects::conformance::Fixture;

async fn fixture() -> Fixture {
    // In memory where the machine has such a place: 10,000 files that are synced one by one wear out nobody's disk.
    let dir = tempfile::Builder::new()
        .tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    Fixture::new(LocalStore::open(dir.path()).await.unwrap(), dir)
}

sightline_objects::conformance!(fixture);
