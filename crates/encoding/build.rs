//! Has this crate's test programs find libtorch at run time.

fn main() {
    sightline_link_libtorch::programs();
}
