//! The engine's own limit of memory: it dies of it, and not the supervisor beside it. At a control group's limit the
//! kernel may kill the whole group, as kubelets ask it to; then nobody is left to say which picture it was.

use crate::control_groups::memory_limit;
use std::path::Path;
use std::time::Duration;

/// How often it is looked at. Pictures in decoding, and batches, are bounded: in this time the rest of the group's
/// memory is not filled.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the engine may take where nobody says otherwise: nine tenths of the least limit of its control group and of those
/// around it, if one of them is limited. The rest is for the supervisor, and for what the kernel counts and can give back
/// only slowly.
#[must_use]
pub fn usual_engine_memory() -> Option<u64> {
    usual_below(Path::new("/"))
}

fn usual_below(root: &Path) -> Option<u64> {
    memory_limit(root).map(|limit| limit / 10 * 9)
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
    use crate::control_groups::testing::root_with;

    fn usual(files: &[(&str, &str)]) -> Option<u64> {
        usual_below(root_with(files).path())
    }

    #[test]
    fn a_group_without_limit_limits_no_engine_and_one_with_a_limit_leaves_the_supervisor_a_tenth() {
        let own = ("proc/self/cgroup", "0::/a/b\n");
        let limit = |limit| ("sys/fs/cgroup/a/b/memory.max", limit);
        assert_eq!(usual(&[own, limit("max\n")]), None);
        assert_eq!(usual(&[own, limit("1073741824\n")]), Some(966_367_638));
    }

    #[test]
    fn an_engine_is_limited_too_where_a_group_around_is_and_where_groups_are_of_version_1() {
        let around = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "1073741824\n"),
        ];
        assert_eq!(usual(&around), Some(966_367_638));
        let older = |limit| {
            let own = ("proc/self/cgroup", "4:memory:/pods/x\n");
            usual(&[own, ("sys/fs/cgroup/memory/memory.limit_in_bytes", limit)])
        };
        assert_eq!(older("1073741824\n"), Some(966_367_638));
        assert_eq!(older("9223372036854771712\n"), None);
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
