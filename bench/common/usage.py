"""What processes take of the machine, as the kernel counts it."""

import importlib.util
import os
import re
from pathlib import Path
from typing import Dict, List

REPOSITORY = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid: int) -> float:
    """User and system time of a process since it began; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid: int) -> float:
    """The largest resident set that a process had since it began, or since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Has the kernel count the largest resident set from now on. An OSError where it does not: the peak stays that of all the
    process's life."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def resident_mib(pid: int) -> float:
    """Its resident set now."""
    return _status(pid, "VmRSS")


def _status(pid: int, what: str) -> float:
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if not found:
        raise RuntimeError(f"the kernel does not say {what} of process {pid}: it has ended")
    return int(found.group(1)) / 1024


def children(pid: int) -> List[int]:
    """The processes that it started: a worker's engine."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def servers() -> Dict[str, List[int]]:
    """The processes of each server that `deploy/dev/dev.py run` started, by its name."""
    # By its path: the end-to-end tests have a module of this name, too.
    spec = importlib.util.spec_from_file_location("dev_processes", REPOSITORY / "deploy/dev/processes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = os.environ["SIGHTLINE_TEST_DEV_DATA"]
    return {Path(name).name: pids for name, pids in module.marked().items() if name.startswith(f"{folder}/")}


def most_of(cores: Dict[str, float]) -> str:
    """What was short, in words, from the cores that each kept busy."""
    name, have = max(cores, key=lambda part: cores[part]), os.cpu_count() or 1
    used = sum(cores.values())
    if used > 0.9 * have:
        return f"the machine's cores, most of them for {name}"
    return f"no lack of cores ({used:.1f} of {have} busy, most of them for {name})"


def bf16_native() -> bool:
    """Whether the processor multiplies bf16 in instructions of its own: what a worker's precision `auto` asks, too."""
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return bool(flags and {"avx512_bf16", "bf16"} & set(flags.group(1).split()))
