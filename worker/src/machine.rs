//! The machine that a process runs on: how many cores and how much memory the kernel leaves it.

use crate::control_groups::memory_limit;
use std::path::Path;

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
        Self {
            cores: cores(),
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

/// Cores that this process may use: those of its affinity, or of its control groups' quota where that is less.
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}

/// The smallest of the machine's memory and the limits of the control groups that this process is in.
fn memory(root: &Path) -> Option<u64> {
    let meminfo = std::fs::read_to_string(root.join("proc/meminfo")).ok();
    let whole = meminfo.and_then(|text| total(&text));
    whole.into_iter().chain(memory_limit(root)).min()
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_groups::testing::root_with;

    const EIGHT_GIB: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:   1 kB\n");

    #[test]
    fn the_smaller_counts_of_the_machine_s_memory_and_the_control_groups_limit() {
        let with = |files: &[(&str, &str)]| memory(root_with(files).path());
        let own = ("proc/self/cgroup", "0::/a/b\n");
        let around = |limit| ("sys/fs/cgroup/a/memory.max", limit);
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[EIGHT_GIB]), Some(8 << 30));
        assert_eq!(with(&[EIGHT_GIB, own, around("1073741824\n")]), Some(1 << 30));
        assert_eq!(with(&[EIGHT_GIB, own, around("99999999999\n")]), Some(8 << 30));
        assert_eq!(with(&[own, around("1073741824\n")]), Some(1 << 30));
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
