//! Memory for tensors that come and go.

/// Keeps freed blocks for the next tensor, up to a bound, instead of giving their pages back to the system: a pass asks for
/// the same sizes again and again, and fresh pages cost more than the arithmetic on them (measured: a third of the
/// processor time of ViT-B/16 in f32).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed_blocks() {
    const LARGEST_KEPT: i32 = 256 << 20;
    const KEPT_IN_ALL: i32 = 512 << 20;
    #[expect(
        unsafe_code,
        reason = "glibc's settings of its allocator; they take numbers and touch no memory of ours"
    )]
    let set = unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_KEPT) == 1
            && libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_IN_ALL) == 1
    };
    if !set {
        tracing::debug!("the allocator's settings stay as they are");
    }
}

/// Other allocators have their own rules.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_blocks() {}
