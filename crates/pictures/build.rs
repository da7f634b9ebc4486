//! Compiles the calls into libjpeg that `turbojpeg-sys`, which links it, does not pass on.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=c");
    let mut build = cc::Build::new();
    // Of the libjpeg-turbo that is linked; where it is the system's, its headers lie where the compiler looks.
    #[expect(clippy::disallowed_methods, reason = "Cargo tells build scripts this way")]
    let told = std::env::var("DEP_TURBOJPEG_INCLUDE").unwrap_or_default();
    for include in told.split(',').filter(|include| !include.is_empty()) {
        build.include(include);
    }
    build.opt_level(2).file("c/scanlines.c").compile("sightline_scanlines");
}
