"""Two coordinators and three workers, kept alive as an orchestrator keeps them: whoever dies is started again."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import grpc
from processes import REPOSITORY, Process, Processes
from reflection import Service

MODEL = REPOSITORY / ".local/models/sightline-demo"
KEEP_SECONDS = 0.2


class Member:
    """One service through all its lives. Each life has a log of its own."""

    def __init__(self, processes: Processes, name: str, command: List[str], environment: Dict[str, str]) -> None:
        self.name, self._processes, self._command = name, processes, command
        self.environment = environment
        self.lives: List[Process] = []
        # Held down on purpose: nobody starts it again meanwhile.
        self.held = False
        self.start()

    def start(self) -> None:
        self.lives.append(self._processes.start(f"{self.name}-{len(self.lives)}", self._command, self.environment))

    @property
    def process(self) -> Process:
        return self.lives[-1]

    def alive(self) -> bool:
        return self.process.alive()

    def kill(self) -> bool:
        """SIGKILL; whether there was a process that it ended."""
        if not self.alive():
            return False
        self.process.kill()
        return True

    def log(self) -> str:
        """What all its lives said."""
        return "".join(life.log.read_text(errors="replace") for life in self.lives)

    def children(self) -> List[int]:
        """The processes that it started: a worker's engine."""
        try:
            return [int(pid) for path in Path(f"/proc/{self.process.pid}/task").glob("*/children")
                    for pid in path.read_text().split()]
        except OSError:
            return []

    def signal_all(self, number: int) -> None:
        """A signal to it and all that it started."""
        os.killpg(self.process.pid, number)


class Cluster:
    """The services of one trial, over the addresses that they are given."""

    def __init__(self, folder: Path, environment: Dict[str, str], workers: Dict[str, str], models: int = 3) -> None:
        self._processes = Processes(folder)
        self._lock, self._ended = threading.Lock(), threading.Event()
        self.deaths: List[str] = []
        # What was asked of the coordinators, and what none of them answered in time.
        self.asked = self.failed = 0
        self._environment, self._worker_environment = environment, workers
        self._services: Dict[str, Service] = {}
        self.coordinators: List[Member] = []
        self.workers: List[Member] = []
        for name in "ab":
            self.coordinators.append(self._member(f"coordinator-{name}", "sightline-coordinator", {}))
        for name in "abc"[:models]:
            self.add_worker(name)
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def add_worker(self, name: str, **more: str) -> Member:
        environment = {**self._worker_environment, "SIGHTLINE_NAME": f"worker-{name}", **more}
        member = self._member(f"worker-{name}", "sightline-worker", environment)
        with self._lock:
            self.workers.append(member)
        return member

    def _member(self, name: str, program: str, environment: Dict[str, str]) -> Member:
        return Member(self._processes, name, [program], {**self._environment, **environment})

    @property
    def members(self) -> List[Member]:
        return [*self.coordinators, *self.workers]

    def ready(self) -> "Cluster":
        """Waits until all workers take shards."""
        for member in self.coordinators:
            member.process.address()
        for member in self.workers:
            member.process.wait_for(r"(taking shards)")
        return self

    def _keep(self) -> None:
        while not self._ended.wait(KEEP_SECONDS):
            with self._lock:
                for member in self.members:
                    if not member.held and not member.alive() and not self._ended.is_set():
                        self.deaths.append(f"{member.name} {member.process.status()}")
                        member.start()

    def call(self, method: str, limit: float = 120, **fields: Any) -> Any:
        """Asks whichever coordinator answers."""
        deadline = time.monotonic() + limit
        problem: Optional[Exception] = None
        self.asked += 1
        while time.monotonic() < deadline:
            for member in self.coordinators:
                if not member.alive():
                    continue
                try:
                    return getattr(self._service(member.process.address()), method)(timeout=30, **fields)
                except (grpc.RpcError, grpc.FutureTimeoutError, RuntimeError, OSError) as error:
                    problem = error
            time.sleep(0.3)
        self.failed += 1
        raise RuntimeError(f"no coordinator answered {method} in {limit} s: {problem}")

    def _service(self, address: str) -> Service:
        # What a service offers is asked for once a life: each life has another port.
        if address not in self._services:
            self._services[address] = Service(address, "sightline.v1.Coordinator", wait=5)
        return self._services[address]

    def end(self) -> Dict[str, Optional[int]]:
        """Ends all, and says with which status each went."""
        self._ended.set()
        with self._lock:
            pass
        statuses = {}
        for member in reversed(self.members):
            if member.alive():
                member.process.signal(signal.SIGCONT)
            statuses[member.name] = member.process.end()
        return statuses
