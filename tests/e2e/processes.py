"""Starts Sightline's services as an operator would, and ends them whatever happens."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Dict, List, Optional

REPOSITORY = Path(__file__).resolve().parents[2]
BINARIES = REPOSITORY / os.environ.get("SIGHTLINE_BINARIES", "target/debug")
START_LIMIT_SECONDS = 120
END_SECONDS = 60
# Of all of them together, where this program is told to end: `dev.py run` kills what it started ten seconds after that.
HURRIED_END_SECONDS = 7
TOLD_BY = (signal.SIGTERM, signal.SIGHUP)


class Told(SystemExit):
    """A signal asked this program to end."""


class Process:
    """One service with its log in a file."""

    def __init__(self, name: str, command: List[str], environment: Dict[str, str], logs: Path) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        # A service refuses what it does not know, and must not see what was meant for this program.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SIGHTLINE_")}
        with self.log.open("ab") as log:
            # What an earlier process of this name said is not this one's.
            self._begins = log.tell()
            self._process = subprocess.Popen(
                command, env={**inherited, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    def address(self) -> str:
        """Where its gRPC service listens, as its log says."""
        return self.wait_for(r'serving gRPC address="?(127\.0\.0\.1:\d+)')

    def wait_for(self, pattern: str) -> str:
        """The first group of the first line that matches."""
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            said = self.log.read_bytes()[self._begins:].decode(errors="replace")
            text = re.sub(r"\x1b\[[0-9;]*m", "", said)
            found = re.search(pattern, text)
            if found:
                return next((group for group in found.groups() if group), "")
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}:\n{text[-3000:]}")
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} did not say {pattern!r} in {START_LIMIT_SECONDS} s:\n{text[-3000:]}")

    def alive(self) -> bool:
        return self._process.poll() is None

    def status(self) -> Optional[int]:
        """The exit status, negative for a signal; none while it lives."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL, as a node that is lost: the supervisor goes, and its engine with it."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> Optional[int]:
        """SIGTERM, and the exit status; SIGKILL to its group where that takes too long."""
        if self.alive():
            self.signal(signal.SIGTERM)
        return self.ended(END_SECONDS)

    def ended(self, seconds: float) -> Optional[int]:
        """The exit status of one that was told to end; SIGKILL to its group where that takes longer."""
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        return self._process.returncode


class Processes:
    """All that were started; ended in the opposite order, also where a signal asks this program to end."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._started: List[Process] = []
        self._handlers: Dict[int, Any] = {}

    def start(self, name: str, command: List[str], environment: Dict[str, str]) -> Process:
        process = Process(name, [str(BINARIES / command[0]), *command[1:]], environment, self._logs)
        self._started.append(process)
        return process

    def __enter__(self) -> "Processes":
        # By default these signals end Python at once, and what it started goes on without it.
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, _raise_told) for number in TOLD_BY}
        return self

    def __exit__(self, kind: Optional[type], *_: object) -> None:
        if self._handlers:
            # Nothing cuts the ending short.
            self._handlers[signal.SIGINT] = signal.getsignal(signal.SIGINT)
            for number in self._handlers:
                signal.signal(number, signal.SIG_IGN)
        with contextlib.ExitStack() as ends:
            # The last one that was started is the first to end, and one that cannot be ended keeps none of the others.
            if kind is not None and issubclass(kind, (Told, KeyboardInterrupt)):
                deadline = time.monotonic() + HURRIED_END_SECONDS
                for process in filter(Process.alive, self._started):
                    process.signal(signal.SIGTERM)
                    ends.callback(lambda one: one.ended(max(0.1, deadline - time.monotonic())), process)
            else:
                for process in self._started:
                    ends.callback(process.end)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def _raise_told(number: int, _: Optional[FrameType]) -> None:
    # Once: a caller may pass on a signal that came here, too.
    signal.signal(number, signal.SIG_IGN)
    raise Told(128 + number)
