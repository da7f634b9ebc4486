//! Compiles the protos with a compiler written in Rust, so that nobody has to install protoc.

use std::error::Error;
use std::path::PathBuf;

#[expect(
    clippy::disallowed_methods,
    reason = "cargo gives build scripts their folder in the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let protos =
        ["coordinator", "embedding", "run", "search", "worker"].map(|name| format!("sightline/v1/{name}.proto"));
    println!("cargo:rerun-if-changed=sightline");
    println!("cargo:rerun-if-changed=third_party");
    let mut compiler = protox::Compiler::new([".", "third_party"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(&protos)?;
    let path = PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(&path, compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
