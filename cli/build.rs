//! Has this crate's programs find libtorch at run time. Without the feature `local` nothing links libtorch.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "local")]
    sightline_link_libtorch::programs();
}
