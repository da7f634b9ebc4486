//! What the control groups that a process is in, of version 1 or 2, say of their memory.

use std::path::Path;

/// A version 1 group without limit has one all the same: the largest number of whole pages. No machine has so much.
const NO_LIMIT: u64 = 1 << 62;

/// A file of a group, by its name in each version.
struct GroupFile {
    version_1: &'static str,
    version_2: &'static str,
}

const LIMIT: GroupFile = GroupFile {
    version_1: "memory.limit_in_bytes",
    version_2: "memory.max",
};
/// Among others with a line `oom_kill` and a number.
const KILLS: GroupFile = GroupFile {
    version_1: "memory.oom_control",
    version_2: "memory.events",
};

/// The least limit of memory, in bytes, of this process's control group and of all that it is in; none where none of them
/// has one. `root` is where the machine's files lie.
pub(crate) fn memory_limit(root: &Path) -> Option<u64> {
    let limits = read(root, &LIMIT);
    // `max` of version 2 is no number.
    let limits = limits.iter().filter_map(|limit| limit.trim().parse::<u64>().ok());
    limits.filter(|bytes| *bytes < NO_LIMIT).min()
}

/// How often the kernel killed a process of this process's control group for memory; none where that is not known.
pub(crate) fn oom_kills(root: &Path) -> Option<u64> {
    // Where its own group counts no memory, what it takes is counted in the next one around it that does.
    read(root, &KILLS).first().and_then(|events| count_of_kills(events))
}

fn count_of_kills(events: &str) -> Option<u64> {
    let line = events.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    line.trim().parse().ok()
}

/// What a file says in the group of this process and in those around it, from the inside out, as far as they have it. In a
/// container version 1 tells a path of the host, of which only the end is there: its own group is what is mounted.
fn read(root: &Path, file: &GroupFile) -> Vec<String> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (mounted, name) = if controllers.is_empty() {
            ("sys/fs/cgroup", file.version_2)
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("sys/fs/cgroup/memory", file.version_1)
        } else {
            continue;
        };
        let (mounted, group) = (root.join(mounted), Path::new(group.trim_start_matches('/')));
        let files = group.ancestors().map(|around| mounted.join(around).join(name));
        found.extend(files.filter_map(|file| std::fs::read_to_string(file).ok()));
    }
    found
}

#[cfg(test)]
pub(crate) mod testing {
    /// A folder with these files, by their paths from the machine's root.
    pub(crate) fn root_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use super::testing::root_with;
    use super::*;

    const IN_2: (&str, &str) = ("proc/self/cgroup", "0::/a/b\n");
    const IN_1: (&str, &str) = (
        "proc/self/cgroup",
        "5:cpu:/pods/x\n4:memory,hugetlb:/pods/x\n1:name=systemd:/pods/x\n0::/\n",
    );
    const UNLIMITED_1: &str = "9223372036854771712\n";

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        memory_limit(root_with(files).path())
    }

    fn kills(files: &[(&str, &str)]) -> Option<u64> {
        oom_kills(root_with(files).path())
    }

    #[test]
    fn of_version_2_the_least_limit_counts_of_all_groups_around() {
        let own = |limit| ("sys/fs/cgroup/a/b/memory.max", limit);
        let around = |limit| ("sys/fs/cgroup/a/memory.max", limit);
        let outermost = |limit| ("sys/fs/cgroup/memory.max", limit);
        assert_eq!(limit(&[IN_2, own("max\n")]), None);
        assert_eq!(limit(&[IN_2, own("1073741824\n"), around("max\n")]), Some(1 << 30));
        assert_eq!(limit(&[IN_2, own("max\n"), around("1073741824\n")]), Some(1 << 30));
        let all = [IN_2, own("3000\n"), around("1000\n"), outermost("2000\n")];
        assert_eq!(limit(&all), Some(1000));
        let of_others = ("sys/fs/cgroup/a/c/memory.max", "1\n");
        assert_eq!(limit(&[IN_2, outermost("2000\n"), of_others]), Some(2000));
    }

    #[test]
    fn of_version_1_the_least_limit_counts_and_its_largest_number_is_none() {
        let own = |limit| ("sys/fs/cgroup/memory/pods/x/memory.limit_in_bytes", limit);
        let around = |limit| ("sys/fs/cgroup/memory/pods/memory.limit_in_bytes", limit);
        assert_eq!(limit(&[IN_1, own(UNLIMITED_1)]), None);
        // The same of pages of 64 KiB.
        assert_eq!(limit(&[IN_1, own("9223372036854710272\n")]), None);
        assert_eq!(limit(&[IN_1, own("536870912\n"), around(UNLIMITED_1)]), Some(512 << 20));
        assert_eq!(limit(&[IN_1, own(UNLIMITED_1), around("536870912\n")]), Some(512 << 20));
        let of_version_2 = ("sys/fs/cgroup/pods/x/memory.max", "1\n");
        let of_the_processor = ("sys/fs/cgroup/cpu/pods/x/memory.limit_in_bytes", "1\n");
        assert_eq!(limit(&[IN_1, of_version_2, of_the_processor]), None);
    }

    #[test]
    fn a_container_of_version_1_finds_its_own_group_where_its_path_is_not() {
        let mounted = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
        assert_eq!(limit(&[IN_1, mounted]), Some(512 << 20));
        let events = ("sys/fs/cgroup/memory/memory.oom_control", "oom_kill 3\n");
        assert_eq!(kills(&[IN_1, events]), Some(3));
    }

    #[test]
    fn kills_are_those_of_the_group_that_counts_the_process_s_memory() {
        let own = |events| ("sys/fs/cgroup/a/b/memory.events", events);
        let around = ("sys/fs/cgroup/a/memory.events", "oom 9\noom_kill 7\n");
        let counted = own("low 0\noom 3\noom_kill 2\noom_group_kill 0\n");
        assert_eq!(kills(&[IN_2, counted, around]), Some(2));
        assert_eq!(kills(&[IN_2, around]), Some(7));
        let own = |events| ("sys/fs/cgroup/memory/pods/x/memory.oom_control", events);
        let counted = own("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
        assert_eq!(kills(&[IN_1, counted]), Some(4));
        // Kernels before 4.13 count none.
        let uncounted = own("oom_kill_disable 0\nunder_oom 0\n");
        assert_eq!(kills(&[IN_1, uncounted]), None);
    }

    #[test]
    fn a_machine_without_control_groups_limits_and_counts_nothing() {
        assert_eq!((limit(&[]), kills(&[])), (None, None));
        let strange = ("proc/self/cgroup", "nonsense\n0::/../../outside\n");
        assert_eq!((limit(&[strange]), kills(&[strange])), (None, None));
    }
}
