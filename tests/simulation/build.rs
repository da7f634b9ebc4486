//! Has this crate's programs find libtorch at run time.

fn main() {
    sightline_link_libtorch::programs();
}
