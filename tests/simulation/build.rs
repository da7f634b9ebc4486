//! Makes this crate's programs find libtorch at run time: where it was at build time, or in `lib` beside the folder
//! of an installed program.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    // sightline-models says where libtorch was found, whichever way it was told.
    let Some(lib) = std::env::var_os("DEP_SIGHTLINE_MODELS_LIBTORCH_LIB") else {
        return;
    };
    let lib = lib.to_string_lossy();
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    if Path::new(&*lib).join("libtorch_cuda.so").exists() {
        // Nothing calls into it by name: it registers itself when it is loaded.
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
    }
}
