//! Memory for tensors that come and go.

/// Keeps freed blocks for the next tensor, up to a bound, instead of giving their pages back to the system: a pass asks for
/// the same sizes again and again, and fresh pages cost more than the arithmetic on them (measured: a third of the
/// processor time of ViT-B/16 in f32).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed_blocks() {
    // Older versions of glibc refuse a size of which two do not fit into one of its heaps: 32 MiB is what they take.
    const LARGEST_KEPT: [i32; 2] = [256 << 20, 32 << 20];
    const KEPT_IN_ALL: i32 = 512 << 20;
    let largest = LARGEST_KEPT
        .into_iter()
        .find(|bytes| is_set(libc::M_MMAP_THRESHOLD, *bytes));
    let in_all = is_set(libc::M_TRIM_THRESHOLD, KEPT_IN_ALL);
    if largest.is_none() || !in_all {
        tracing::debug!(?largest, in_all, "not all of the allocator's settings are taken");
    }
}

/// Sets one of the allocator's numbers; whether it is taken.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn is_set(parameter: i32, value: i32) -> bool {
    #[expect(
        unsafe_code,
        reason = "glibc's settings of its allocator; they take numbers and touch no memory of ours"
    )]
    let taken = unsafe { libc::mallopt(parameter, value) };
    taken == 1
}

/// Other allocators have their own rules.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_blocks() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn every_version_takes_the_smaller_size_and_the_bound_in_all() {
        keep_freed_blocks();
        assert!(is_set(libc::M_MMAP_THRESHOLD, 32 << 20));
        assert!(is_set(libc::M_TRIM_THRESHOLD, 512 << 20));
    }
}
