"""A coordinator and workers on the servers of `deploy/dev/dev.py run`, with what a run costs each of them."""

import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/e2e"))
import usage  # noqa: E402
from processes import Process, Processes  # noqa: E402
from reflection import Service  # noqa: E402

LIMIT_SECONDS = 3600


class Cost(NamedTuple):
    """What a run took, from the request that creates it to its end."""

    items: int
    seconds: float
    supervisor_s: float
    engine_s: float
    coordinator_s: float
    servers_s: Dict[str, float]
    peak_mib: Dict[str, float]

    @property
    def worker_s(self) -> float:
        """Processor seconds of the workers' own processes."""
        return self.supervisor_s + self.engine_s

    def report(self) -> Dict[str, Any]:
        parts = {"supervisor": self.supervisor_s, "engine": self.engine_s, "coordinator": self.coordinator_s, **self.servers_s}
        return {
            "items": self.items,
            "images_per_s": round(self.items / self.seconds, 2),
            "processor_ms_per_image": {name: round(1000 * seconds / self.items, 3) for name, seconds in parts.items()},
            "peak_rss_mib": {name: round(mib, 1) for name, mib in self.peak_mib.items()},
        }


class Fleet:
    """Services with a state root of their own."""

    def __init__(self, processes: Processes, index: str, **more: str) -> None:
        self._processes, self._name = processes, f"bench-{uuid.uuid4().hex[:8]}"
        self.bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
        self._environment = {
            "SIGHTLINE_S3__ENDPOINT": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"],
            "SIGHTLINE_S3__PATH_STYLE": "true",
            "SIGHTLINE_STATE__URL": f"s3://{self.bucket}/{self._name}",
            "SIGHTLINE_QUEUE__URL": os.environ["SIGHTLINE_TEST_AMQP_URL"],
            "SIGHTLINE_LISTEN__ADDRESS": "127.0.0.1:0",
            "SIGHTLINE_INDEX__URL": index,
            **more,
        }
        self._coordinator = processes.start(f"{self._name}-coordinator", ["sightline-coordinator"], self._environment)
        self._api = Service(self._coordinator.address(), "sightline.v1.Coordinator")
        self.workers: List[Process] = []
        self._servers = usage.servers()

    def add_worker(self, folder: Path, model: str, command: str = "sightline-worker", **more: str) -> Process:
        """Starts a worker and waits until it takes shards."""
        name = f"{self._name}-worker-{len(self.workers)}"
        environment = {**self._environment, "SIGHTLINE_MODEL__FOLDER": str(folder), "SIGHTLINE_MODEL__NAME": model,
                       "SIGHTLINE_NAME": name, **more}
        worker = self._processes.start(name, [command], environment)
        self.workers.append(worker)
        return worker

    def ready(self) -> None:
        for worker in self.workers:
            worker.address()
            worker.wait_for(r"(taking shards)")

    def run(self, dataset: Dict[str, Any], model: str, expected: int, **spec: Any) -> Cost:
        """Does a run into a collection of its own; every item has to be indexed."""
        whole = {"kind": "EMBED", "dataset": dataset, "collection": f"collections/bench_{uuid.uuid4().hex[:12]}",
                 "model": model, "fields": ["image_embedding"], **spec}
        before, started = self._times(), time.monotonic()
        run = self._api.CreateRun(spec=whole, request_id=uuid.uuid4().hex)
        for update in self._api.WatchRun(name=run["name"], timeout=LIMIT_SECONDS):
            run = update["run"]
        seconds, after = time.monotonic() - started, self._times()
        if run["state"] != "SUCCEEDED" or int(run["counts"]["indexed"]) != expected:
            raise SystemExit(f"bench: the run ended {run['state']} with {run['counts']}, {expected} were expected")
        spent = {name: after[name] - before.get(name, 0.0) for name in after}
        own = {name: spent.pop(name) for name in ("supervisor", "engine", "coordinator")}
        return Cost(expected, seconds, own["supervisor"], own["engine"], own["coordinator"], spent, self.peaks())

    def _times(self) -> Dict[str, float]:
        engines = [engine for worker in self.workers for engine in usage.children(worker.pid)]
        return {
            "supervisor": sum(usage.processor_seconds(worker.pid) for worker in self.workers),
            "engine": sum(map(usage.processor_seconds, engines)),
            "coordinator": usage.processor_seconds(self._coordinator.pid),
            **{name: sum(map(usage.processor_seconds, pids)) for name, pids in self._servers.items()},
        }

    def peaks(self) -> Dict[str, float]:
        """The largest worker's."""
        return {
            "supervisor": max(usage.peak_mib(worker.pid) for worker in self.workers),
            "engine": max(usage.peak_mib(engine) for worker in self.workers for engine in usage.children(worker.pid)),
        }

    def end(self) -> None:
        for process in [*self.workers, self._coordinator]:
            process.end()
