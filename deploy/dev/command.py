"""`dev.py run`: components for as long as one command takes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import List, Optional, Sequence

import lifecycle
import paths
import processes
from components import ALL
from components.base import Options
from datafolder import DataFolder
from problem import DevError


class _Ended(BaseException):
    """A signal that asks this program to end; the components are ended first."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_with_components(folder: Optional[Path], names: Sequence[str], options: Options, command: List[str]) -> int:
    """The command's exit code. The components end whatever happens, with this program even if it is killed."""
    data = DataFolder(folder if folder is not None else _new_folder())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise_ended)
    started: List[str] = []
    code = 1
    try:
        with data.locked():
            started = lifecycle.up(data, names, options, die_with_parent=True)
        code = _run(command, data)
    except _Ended as ended:
        code = 128 + ended.number
    except KeyboardInterrupt:
        code = 130
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        with data.locked():
            # In a folder of our own also what the command itself started.
            lifecycle.down(data, ALL if folder is None else started)
        if folder is None:
            data.remove(keep_logs=code != 0)
    if code != 0:
        sys.stderr.write(f"dev.py run: the command ended with {code}; the components' logs are in {data.root}\n")
    return code


def _run(command: List[str], data: DataFolder) -> int:
    try:
        child = subprocess.Popen(command, env={**os.environ, **lifecycle.environment(data)})
    except OSError as error:
        raise DevError(f"the command '{command[0]}' cannot be started: {error.strerror}") from None
    try:
        code = child.wait()
    except BaseException:
        child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
    return code if code >= 0 else 128 - code


def _new_folder() -> Path:
    runs = paths.LOCAL / "dev-runs"
    runs.mkdir(parents=True, exist_ok=True)
    living = processes.marked()
    for old in runs.iterdir():
        # The logs of runs that failed more than a day ago.
        if time.time() - old.stat().st_mtime > 86400 and not any(folder.startswith(f"{old}/") for folder in living):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix="", dir=runs))


def _raise_ended(number: int, frame: Optional[FrameType]) -> None:
    raise _Ended(number)
