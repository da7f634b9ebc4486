//! The engine's own limit of memory: it dies of it, and not the supervisor beside it. At a control group's limit the
//! kernel may kill the whole group, as kubelets ask it to; then nobody is left to say which picture it was.

use super::death::own_group;
use std::time::Duration;

/// How often it is looked at. Pictures in decoding, and batches, are bounded: in this time the rest of the group's
/// memory is not filled.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the engine may take where nobody says otherwise: nine tenths of its control group's memory, if that is limited.
/// The rest is for the supervisor, and for what the kernel counts and can give back only slowly.
#[must_use]
pub fn usual_engine_memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limit = std::fs::read_to_string(own_group(&groups)?.join("memory.max")).ok()?;
    share(&limit)
}

fn share(limit: &str) -> Option<u64> {
    let limit: u64 = limit.trim().parse().ok()?;
    Some(limit / 10 * 9)
}

/// What a process has of its own, in bytes: memory that no file backs. None where that cannot be told.
pub(crate) fn own_memory(pid: u32) -> Option<u64> {
    own_bytes(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn own_bytes(status: &str) -> Option<u64> {
    let of = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some((of("RssAnon:")? + of("RssShmem:")?) << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_limit_limits_no_engine_and_one_with_a_limit_leaves_the_supervisor_a_tenth() {
        assert_eq!(share("max\n"), None);
        assert_eq!(share("1073741824\n"), Some(966_367_638));
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let status =
            "Name:\tsightline\nVmRSS:\t  900 kB\nRssAnon:\t     300 kB\nRssFile:\t     500 kB\nRssShmem:\t   100 kB\n";
        assert_eq!(own_bytes(status), Some(400 << 10));
        assert_eq!(own_bytes("Name:\tkthreadd\n"), None);
        assert!(own_memory(std::process::id()).is_some_and(|bytes| bytes > 1 << 16));
    }
}
