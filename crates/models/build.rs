//! Compiles the calls into libtorch that tch does not pass on and the kernels beside them, makes this crate's own test
//! programs find libtorch at run time, and tells binary crates where it is.
//!
//! A binary crate that depends on this one reads `DEP_SIGHTLINE_MODELS_LIBTORCH_LIB` in its own build script.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cpp");
    for name in ["LIBTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    // torch-sys says where it found libtorch, whichever way it was told.
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    compile(Path::new(&lib));
    println!("cargo:libtorch_lib={}", lib.display());
    sightline_link_libtorch::from(Path::new(&lib));
}

/// As torch-sys compiles its own, for the same libtorch.
fn compile(lib: &Path) {
    let root = std::env::var_os("LIBTORCH_INCLUDE").map(PathBuf::from);
    let include = root.unwrap_or_else(|| lib.join("..")).join("include");
    let abi = std::env::var_os("LIBTORCH_CXX11_ABI").unwrap_or_else(|| "1".into());
    cc::Build::new()
        .cpp(true)
        // Intrinsics are arithmetic in registers only where the compiler optimises.
        .opt_level(3)
        .pic(true)
        .warnings(false)
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .flag("-std=c++17")
        .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={}", abi.display()))
        .file("cpp/attention.cpp")
        .file("cpp/layer_norm.cpp")
        .file("cpp/onednn_linear.cpp")
        .compile("sightline_libtorch");
}
