//! For build scripts: has a crate's programs find libtorch at run time. Cargo hands such settings of the linker to no
//! crate but the one whose script prints them, so each crate with programs, or with tests of its own, asks for them.
//!
//! Where libtorch is, `sightline-models` finds out; what it is linked with at build time stays with `torch-sys`.

#![expect(clippy::print_stdout, reason = "build scripts tell Cargo what they want this way")]

use std::path::Path;

/// The programs of a crate that depends on `sightline-models`: libtorch is where it was at build time, or in `lib`
/// beside the folder of an installed program.
pub fn programs() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    // sightline-models says where libtorch was found, whichever way it was told.
    if let Some(lib) = std::env::var_os("DEP_SIGHTLINE_MODELS_LIBTORCH_LIB") {
        from(Path::new(&lib));
    }
}

/// The programs of the crate whose script this is, with libtorch in this folder.
pub fn from(lib: &Path) {
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if lib.join("libtorch_cuda.so").exists() {
        // Nothing calls into it by name: it registers itself when it is loaded.
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
    }
}
