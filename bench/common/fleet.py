"""A coordinator and workers on the servers of `deploy/dev/dev.py run`, with what a run costs each of them."""

import os
import sys
import time
import uuid
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/e2e"))
import stages  # noqa: E402
import usage  # noqa: E402
from pymilvus import MilvusClient  # noqa: E402
from processes import Process, Processes  # noqa: E402
from reflection import Service  # noqa: E402

LIMIT_SECONDS = 3600
# Engines report about once a second what their stages did.
REPORT_SECONDS = 20
MIB = 1 << 20


class Cost(NamedTuple):
    """What a run took, from the request that creates it to its end."""

    items: int
    seconds: float
    supervisor_s: float
    engine_s: float
    coordinator_s: float
    servers_s: Dict[str, float]
    # The largest worker's in the run; none where the kernel counts it since the processes began only.
    peak_mib: Optional[Dict[str, float]]
    # What the largest worker had in memory when it was ready, and its limits of bytes on top (docs/operating.md).
    budget_mib: float
    # The largest worker's until it was ready: the model's file and its copies are in memory together.
    loading_peak_mib: float
    # The share of each stage's places that was taken.
    stages: Dict[str, float]

    @property
    def worker_s(self) -> float:
        """Processor seconds of the workers' own processes."""
        return self.supervisor_s + self.engine_s

    @property
    def most_mib(self) -> Optional[float]:
        """Supervisor and engine together; none where it is not known."""
        return None if self.peak_mib is None else sum(self.peak_mib.values())

    @property
    def within_budget(self) -> Optional[bool]:
        """None where it is not known."""
        return None if self.most_mib is None else self.most_mib <= self.budget_mib

    def report(self) -> Dict[str, Any]:
        parts = {"supervisor": self.supervisor_s, "engine": self.engine_s, "coordinator": self.coordinator_s, **self.servers_s}
        peak = None if self.peak_mib is None else {name: round(mib, 1) for name, mib in self.peak_mib.items()}
        return {
            "items": self.items,
            "images_per_s": round(self.items / self.seconds, 2),
            "processor_ms_per_image": {name: round(1000 * seconds / self.items, 3) for name, seconds in parts.items()},
            "cores_busy": round(sum(parts.values()) / self.seconds, 2),
            "stages_taken": {name: round(share, 3) for name, share in self.stages.items()},
            "peak_rss_mib": peak,
            "budget_mib": round(self.budget_mib, 1),
            "loading_peak_mib": round(self.loading_peak_mib, 1),
        }


def new_collection() -> str:
    return f"bench_{uuid.uuid4().hex[:12]}"


class Fleet:
    """Services with a state root of their own. Where something fails, `Processes` ends them."""

    def __init__(self, processes: Processes, index: str, **more: str) -> None:
        self._processes, self._name, self._index = processes, f"bench-{uuid.uuid4().hex[:8]}", index
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
        self._asked: List[Service] = []
        self._servers = usage.servers()
        # Of the largest worker: in memory when it was ready, and at most until then.
        self.began_mib, self.loading_peak_mib = 0.0, 0.0

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, kind: Optional[type], *_: object) -> None:
        if kind is None:
            for process in [*self.workers, self._coordinator]:
                process.end()

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
            address = worker.address()
            worker.wait_for(r"(taking shards)")
            self._asked.append(Service(address, "sightline.v1.Worker"))
        self.began_mib = sum(self._largest(usage.resident_mib).values())
        self.loading_peak_mib = sum(self._largest(usage.peak_mib).values())

    def warm_run(self, dataset: Dict[str, Any], model: str, expected: int) -> str:
        """Does a run that makes a collection and has the model compute its first batches; gives the collection's name."""
        collection = new_collection()
        self.run(dataset, model, expected, into=collection, keep=True)
        return collection

    def run(self, dataset: Dict[str, Any], model: str, expected: int, into: str = "", keep: bool = False, **spec: Any) -> Cost:
        """Does a run into a collection, one of its own where none is named, which is dropped after it unless it is kept; every
        item has to be indexed."""
        collection = into or new_collection()
        whole = {"kind": "EMBED", "dataset": dataset, "collection": f"collections/{collection}",
                 "model": model, "fields": ["image_embedding"], **spec}
        engines, done = self._engines(), stages.totals(self._statuses())
        forgotten = self._forget_peaks(engines)
        before, started = self._times(engines), time.monotonic()
        run = self._api.CreateRun(spec=whole, request_id=uuid.uuid4().hex)
        for update in self._api.WatchRun(name=run["name"], timeout=LIMIT_SECONDS):
            run = update["run"]
        seconds, after = time.monotonic() - started, self._times(engines)
        if run["state"] != "SUCCEEDED" or int(run["counts"]["indexed"]) != expected:
            raise SystemExit(f"bench: the run ended {run['state']} with {run['counts']}, {expected} were expected")
        if self._engines() != engines:
            raise SystemExit(f"bench: an engine was started anew during the run, so that what it took is not known: see the "
                             f"logs of {self._name}")
        peaks = self._largest(usage.peak_mib) if forgotten else None
        statuses = self._reported(expected + rows(done))
        if not keep:
            drop(self._index, collection)
        spent = {name: after[name] - before.get(name, 0.0) for name in after}
        own = {name: spent.pop(name) for name in ("supervisor", "engine", "coordinator")}
        limits = max(int(status["bytes_limit"]) for status in statuses) / MIB
        return Cost(expected, seconds, own["supervisor"], own["engine"], own["coordinator"], spent, peaks,
                    self.began_mib + limits, self.loading_peak_mib, stages.shares(done, stages.totals(statuses), seconds))

    def _engines(self) -> Dict[int, List[int]]:
        """The processes that each worker started."""
        engines = {worker.pid: sorted(usage.children(worker.pid)) for worker in self.workers}
        without = [worker.name for worker in self.workers if not engines[worker.pid]]
        if without:
            raise SystemExit(f"bench: no engine runs in {', '.join(without)}")
        return engines

    def _forget_peaks(self, engines: Dict[int, List[int]]) -> bool:
        """So that a run's peak is its own: loading the model takes more than what stays of it. Whether the kernel did."""
        try:
            for pid in [*engines, *chain.from_iterable(engines.values())]:
                usage.forget_peak(pid)
        except OSError as error:
            print(f"bench: what the workers have at most in a run is not known, and null in the report: {error}. It takes root "
                  "or their owner, and a kernel with clear_refs (CONFIG_PROC_PAGE_MONITOR)", file=sys.stderr, flush=True)
            return False
        return True

    def _times(self, engines: Dict[int, List[int]]) -> Dict[str, float]:
        return {
            "supervisor": sum(usage.processor_seconds(worker.pid) for worker in self.workers),
            "engine": sum(usage.processor_seconds(engine) for of_worker in engines.values() for engine in of_worker),
            "coordinator": usage.processor_seconds(self._coordinator.pid),
            **{name: sum(map(usage.processor_seconds, pids)) for name, pids in self._servers.items()},
        }

    def _statuses(self) -> List[Dict[str, Any]]:
        return [service.GetStatus() for service in self._asked]

    def _reported(self, expected: int) -> List[Dict[str, Any]]:
        """What the workers tell when their reports have come to the run's last row."""
        deadline = time.monotonic() + REPORT_SECONDS
        while True:
            statuses = self._statuses()
            told = rows(stages.totals(statuses))
            if told >= expected:
                return statuses
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: the workers tell of {told} rows {REPORT_SECONDS} s after {expected} were written")
            time.sleep(0.1)

    def _largest(self, of: Callable[[int], float]) -> Dict[str, float]:
        """The largest worker's."""
        return {
            "supervisor": max(of(worker.pid) for worker in self.workers),
            "engine": max(of(engine) for worker in self.workers for engine in usage.children(worker.pid)),
        }


def rows(found: Dict[str, stages.Stage]) -> int:
    """That were written."""
    return found["upsert"].done if "upsert" in found else 0


def drop(index: str, collection: str) -> None:
    """Or the index would hold more from round to round, and each round another measure."""
    client = MilvusClient(uri=index.replace("milvus://", "http://"))
    client.drop_collection(collection)
    client.close()
