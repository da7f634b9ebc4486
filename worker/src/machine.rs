//! The machine that a process runs on: how many cores and how much memory the kernel leaves it.

use std::path::{Path, PathBuf};

/// What a machine has for this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Cores, at least 1.
    pub(crate) cores: u32,
    /// Bytes of memory; none where that is not known.
    pub(crate) memory: Option<u64>,
}

impl Machine {
    /// The same wherever a simulation runs.
    pub(crate) const SIMULATED: Self = Self { cores: 2, memory: None };

    pub(crate) fn of_this_process() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        Self {
            cores,
            memory: memory(Path::new("/")),
        }
    }

    /// The machine for a process that may have no more than so much memory of it, if that is limited.
    pub(crate) fn limited_to(self, memory: Option<u64>) -> Self {
        Self {
            memory: self.memory.into_iter().chain(memory).min(),
            ..self
        }
    }
}

/// The smallest of the machine's memory and the limits of the control groups that this process is in.
fn memory(root: &Path) -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(root.join(path)).ok();
    let whole = read(Path::new("proc/meminfo")).and_then(|text| total(&text));
    let groups = read(Path::new("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files);
    // `max` of version 2 is no number; version 1 writes more bytes than any machine has.
    let limits = limits.filter_map(|file| read(&file)?.trim().parse::<u64>().ok());
    limits.chain(whole).min()
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The files with the limits of a control group and of all that it is in, by a line of `/proc/self/cgroup`; none for the
/// groups of other controllers. In a container version 1 tells a path of the host, of which only the end is there: its own
/// group is what is mounted.
fn limit_files(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (mounted, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let group = Path::new(group.trim_start_matches('/'));
    let within = group.ancestors().map(|group| Path::new(mounted).join(group).join(file));
    within.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory where these files are.
    fn with(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        memory(root.path())
    }

    const EIGHT_GIB: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:   1 kB\n");

    #[test]
    fn the_smallest_limit_counts_of_the_machine_s_and_those_of_all_groups_around() {
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[EIGHT_GIB]), Some(8 << 30));
        let own = ("proc/self/cgroup", "0::/a/b\n");
        let unlimited = ("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(with(&[EIGHT_GIB, own, unlimited]), Some(8 << 30));
        let around = ("sys/fs/cgroup/a/memory.max", "1073741824\n");
        assert_eq!(with(&[EIGHT_GIB, own, unlimited, around]), Some(1 << 30));
        let more = ("sys/fs/cgroup/memory.max", "99999999999\n");
        assert_eq!(with(&[EIGHT_GIB, own, more]), Some(8 << 30));
    }

    #[test]
    fn a_container_of_version_1_finds_its_own_group_where_its_path_is_not() {
        let own = ("proc/self/cgroup", "5:cpu:/pods/x\n4:memory,hugetlb:/pods/x\n0::/\n");
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
        assert_eq!(with(&[EIGHT_GIB, own, limit]), Some(512 << 20));
        let none = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(with(&[EIGHT_GIB, own, none]), Some(8 << 30));
    }

    #[test]
    fn this_machine_has_cores_and_memory_and_a_limit_makes_it_smaller() {
        let machine = Machine::of_this_process();
        assert!(machine.cores >= 1 && machine.memory.is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(machine.limited_to(None), machine);
        assert_eq!(machine.limited_to(Some(7)).memory, Some(7));
        assert_eq!(Machine::SIMULATED.limited_to(Some(7)).memory, Some(7));
    }
}
