//! Makes this crate's own test programs find libtorch at run time, and tells binary crates where it is.
//!
//! A binary crate that depends on this one reads `DEP_SIGHTLINE_MODELS_LIBTORCH_LIB` in its own build script.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    // torch-sys says where it found libtorch, whichever way it was told.
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    let lib = lib.to_string_lossy();
    println!("cargo:libtorch_lib={lib}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    if Path::new(&*lib).join("libtorch_cuda.so").exists() {
        // Nothing calls into it by name: it registers itself when it is loaded.
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
    }
}
