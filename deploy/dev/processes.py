"""Starting processes that can be found again, and ending them for certain.

Every process gets an environment variable that names its component's folder, and its children inherit
it. So they are found without a list that could be lost: by reading /proc, also after a crash of the
program that started them, and in whatever session or process group they are (Erlang's helpers each
make their own).
"""

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence

_MARK = "SIGHTLINE_DEV_COMPONENT"
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_KERNEL_THREAD = 0x00200000

# What a component sees of the caller's environment: several of them read settings from variables.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")


def start(
    command: Sequence[str], env: Mapping[str, str], folder: Path, log: Path, die_with_parent: bool
) -> "subprocess.Popen[bytes]":
    """Start a process of the component whose folder this is, its output appended to the log."""
    base = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    die: Optional[Callable[[], None]] = _die_with_parent if die_with_parent else None
    with log.open("ab") as sink:
        return subprocess.Popen(
            list(command), env={**base, **env, _MARK: str(folder)}, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=sink, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=die,
        )


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def marked() -> Dict[str, List[int]]:
    """The living marked processes of this machine that may be seen, by their component's folder."""
    found: Dict[str, List[int]] = {}
    prefix = f"{_MARK}=".encode()
    for entry in os.listdir("/proc"):
        for variable in _environment(entry) if entry.isdigit() else []:
            if variable.startswith(prefix):
                found.setdefault(os.fsdecode(variable[len(prefix):]), []).append(int(entry))
                break
    return found


def of(folder: Path) -> List[int]:
    return marked().get(str(folder), [])


def _environment(pid: str) -> List[bytes]:
    """A process's environment; nothing for one that ended, is not ours to see, or is the kernel's."""
    for _ in range(1000):
        try:
            variables = Path("/proc", pid, "environ").read_bytes()
            stat = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []
        state, flags, begins = stat[0], int(stat[6]), int(stat[47])
        if state in ("Z", "X"):
            # Ended, but not yet taken note of by its parent.
            return []
        if variables or begins or flags & _KERNEL_THREAD:
            return variables.split(b"\0")
        # In the midst of becoming another program, a process has no environment for a moment.
        time.sleep(0.005)
    return []


def stop(folder: Path, main: Optional[int], seconds: float) -> bool:
    """End every process of a component, the main one first. False where some had to be killed."""
    left = of(folder)
    deadline = time.monotonic() + seconds
    if main in left:
        _signal([main], signal.SIGTERM)
        _wait(lambda: main not in of(folder), deadline)
        # Helpers of the main process end by themselves when it is gone.
        _wait(lambda: not of(folder), min(deadline, time.monotonic() + 0.3))
    _signal(of(folder), signal.SIGTERM)
    if _wait(lambda: not of(folder), max(deadline, time.monotonic() + 1)):
        return True
    kill(folder)
    return False


def kill(folder: Path) -> None:
    """SIGKILL to every process of a component, until there is none."""

    def gone() -> bool:
        left = of(folder)
        _signal(left, signal.SIGKILL)
        return not left

    _wait(gone, time.monotonic() + 10)


def _signal(pids: Sequence[Optional[int]], number: signal.Signals) -> None:
    for pid in pids:
        if pid is None:
            continue
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def _wait(condition: Callable[[], bool], deadline: float) -> bool:
    while True:
        if condition():
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.03)
