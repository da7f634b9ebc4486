"""One fault: its dataset, its services, its runs, and what was seen of it."""

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from cluster import MODEL, Cluster
from dataset import Pictures
from processes import REPOSITORY
from servers import Servers

HERE = Path(__file__).resolve().parent
ENDED = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED"}
# In bf16 a vector depends on its batch in the fourth digit.
EXACT = {"SIGHTLINE_MODEL__PRECISION": "f32", "SIGHTLINE_MODEL__THREADS": "1"}
RUN_SECONDS = 900
POLL_SECONDS = 0.25
# A run of many shards has many moments at which something can happen.
SHARDS = 80
SAMPLE = 50


class Plan(NamedTuple):
    """What all trials share."""

    servers: Servers
    work: Path
    pictures: Pictures
    # Of everything that is on the servers.
    name: str
    seed: int
    items: int
    # Long faults last so much of the time that the table says.
    scale: float


def vectors(work: Path) -> Path:
    """Where pictures' vectors are kept from one run of the harness to the next: of this network only."""
    network = hashlib.sha256((HERE / "network.py").read_bytes()).hexdigest()[:8]
    return work.with_name(f"{work.name}-vectors-{network}.npz")


class Run:
    """A run while it goes on: how far it is, by the objects that it leaves."""

    def __init__(self, trial: "Trial", cluster: Cluster, pictures: Pictures, spec: Dict[str, Any], request: str) -> None:
        self._trial, self.cluster, self.pictures, self.spec, self.request = trial, cluster, pictures, spec, request
        self.answer = cluster.call("CreateRun", spec=spec, request_id=request)
        self.name: str = self.answer["name"]
        self.prefix = f"{trial.state}/{self.name}"
        self.expected = dict(pictures.expected)
        self.progress: List[float] = []
        self.began = time.monotonic()
        self.took = 0.0
        self._seen = 0
        self._last = 0.0
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        client = self._trial.servers.client()
        while not self._ended.wait(POLL_SECONDS):
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._trial.servers.bucket, Prefix=f"{self.prefix}/results/")
            try:
                shards = {entry["Key"].split("/")[-2] for page in pages for entry in page.get("Contents", [])}
            except Exception:  # noqa: BLE001 - the store itself may be the one that is ill
                continue
            now = time.monotonic()
            self.progress += [now] * (len(shards) - self._seen)
            self._seen = max(self._seen, len(shards))

    @property
    def done(self) -> int:
        return self._seen

    def state(self) -> Dict[str, Any]:
        self.answer = self.cluster.call("GetRun", name=self.name)
        return self.answer

    def has_ended(self) -> bool:
        # Asked seldom: the objects are watched anyway.
        if time.monotonic() - self._last < 1 and self.answer["state"] not in ENDED:
            return False
        self._last = time.monotonic()
        return self.state()["state"] in ENDED

    def until(self, reached: Callable[[], bool], limit: float = RUN_SECONDS) -> bool:
        """Waits until something holds, or the run has ended; whether the run still goes on."""
        deadline = time.monotonic() + limit
        while not reached():
            if self.has_ended():
                return False
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: {self.done} shards after {limit:.0f} s, {self.answer}")
            time.sleep(0.1)
        return self.answer["state"] not in ENDED

    def until_share(self, share: float) -> bool:
        """Waits until so much of the run is done."""
        return self.until(lambda: self.done >= share * self._trial.shards)

    def wait(self, limit: float = RUN_SECONDS) -> Dict[str, Any]:
        """Waits for its end."""
        self.until(lambda: False, limit)
        self.took = time.monotonic() - self.began
        time.sleep(2 * POLL_SECONDS)
        self._ended.set()
        self._watcher.join()
        return self.answer

    def next_progress(self, moment: float) -> Optional[float]:
        """Seconds until the next shard was done; none where none was left to do, or the run began only later."""
        if moment < self.began:
            return None
        later = [at - moment for at in self.progress if at > moment]
        return min(later, default=None)


class Trial:
    """One row of the table under way."""

    def __init__(self, number: int, plan: Plan) -> None:
        self.number, self.plan, self.servers = number, plan, plan.servers
        self.random = random.Random(plan.seed * 1000 + number)
        self.name = f"{plan.name}-{number}"
        self.host, self.state = self.name, f"{self.name}-state"
        self.work = plan.work / f"{number:02}"
        self.work.mkdir(parents=True, exist_ok=True)
        self.injected = 0
        self.runs: List[Run] = []
        # Items of runs that were refused, as they had to be: there is nothing of them to audit.
        self.refused = 0
        # When each injection was over, and the run that it was meant for.
        self.over: List[float] = []
        self.details: Dict[str, Any] = {}
        self.problems: List[str] = []
        self.statuses: Dict[str, Optional[int]] = {}
        self.expected_queues: Dict[str, int] = {}
        self._collections = self._clusters = 0

    @property
    def shards(self) -> int:
        return -(-self.plan.items // self.shard_items)

    @property
    def shard_items(self) -> int:
        return max(5, self.plan.items // SHARDS)

    def seconds(self, full: float) -> float:
        """How long a fault of that length lasts in this run of the harness."""
        return full * self.plan.scale

    @contextmanager
    def cluster(self, s3: Optional[str] = None, amqp: int = 0, milvus: Optional[int] = None, workers: int = 3,
                everywhere: Optional[Dict[str, str]] = None, **more: str) -> Iterator[Cluster]:
        """Services over these addresses, an S3 endpoint and ports of proxies; with variables for all, and for workers."""
        points = self.work / "fail-points"
        points.mkdir(exist_ok=True)
        environment = {
            "SIGHTLINE_S3__ENDPOINT": s3 or self.servers.s3,
            "SIGHTLINE_S3__PATH_STYLE": "true",
            "SIGHTLINE_TELEMETRY__LOG": "info",
            "SIGHTLINE_STATE__URL": f"s3://{self.servers.bucket}/{self.state}",
            "SIGHTLINE_QUEUE__URL": self.servers.amqp_url(self.host, amqp),
            "SIGHTLINE_INDEX__URL": f"milvus://127.0.0.1:{milvus}" if milvus else self.servers.milvus,
            "SIGHTLINE_LISTEN__ADDRESS": "127.0.0.1:0",
            "FAIL_POINTS": str(points),
            **(everywhere or {}),
        }
        model = {"SIGHTLINE_MODEL__FOLDER": str(MODEL), **EXACT}
        # Services are found by what their logs say, so that no two clusters may share one.
        self._clusters += 1
        logs = self.work / ("logs" if self._clusters == 1 else f"logs-{self._clusters}")
        cluster = Cluster(logs, environment, {**model, **more}, workers)
        try:
            yield cluster
        finally:
            self.statuses.update(cluster.end())
            self.details["deaths"] = [*self.details.get("deaths", []), *cluster.deaths]

    def start(self, cluster: Cluster, pictures: Optional[Pictures] = None, **more: Any) -> Run:
        """Asks for a run into a collection of its own."""
        pictures = pictures or self.plan.pictures
        self._collections += 1
        spec = {
            "kind": "EMBED",
            "dataset": {"name": pictures.name, "root": f"s3://{pictures.bucket}/{pictures.root}", "prefix": {}},
            "collection": f"collections/{self.collection(self._collections)}",
            "model": MODEL.name,
            "fields": ["image_embedding"],
            "shard_items": self.shard_items,
            **more,
        }
        run = Run(self, cluster, pictures, spec, f"faults-{self.number}-{self._collections}")
        self.runs.append(run)
        return run

    def collection(self, number: int) -> str:
        return f"{self.name}_{number}".replace("-", "_")

    def own_pictures(self) -> Pictures:
        """The same pictures as a dataset that this trial may change."""
        root = f"{self.name}-own"
        return Pictures(self.servers.client(), self.servers.bucket, root, self.plan.items, self.plan.seed)

    def hit(self, count: int = 1) -> None:
        """An injection that had its effect is over."""
        self.injected += count
        self.over.append(time.monotonic())

    def must(self, condition: bool, problem: str) -> None:
        """A promise of the table beside lost, duplicated and wrong."""
        if not condition:
            self.problems.append(problem)

    def audit(self, run: Run) -> Dict[str, Any]:
        """What `audit.py`, a program of its own, finds of a run."""
        question = {
            "endpoint": self.servers.s3, "bucket": self.servers.bucket, "state": run.prefix, "root": run.pictures.root,
            "dataset": run.pictures.name, "index": self.servers.milvus, "runs": [run.name.partition("/")[2]],
            "collection": run.spec["collection"].partition("/")[2], "expected": run.expected, "sample": SAMPLE,
            "seed": self.plan.seed, "model": str(MODEL), "cache": str(vectors(self.plan.work)),
        }
        (self.work / f"audit-{run.request}.json").write_text(json.dumps(question))
        # Threads that spin while they wait for each other take the services' time.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, str(HERE / "audit.py")], input=json.dumps(question), capture_output=True,
                              text=True, cwd=REPOSITORY, env=environment)
        if done.returncode != 0:
            raise RuntimeError(f"the audit of {run.name} ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def recovered(self) -> float:
        """The longest time from the end of an injection to the next shard that was done."""
        waits = [run.next_progress(moment) for moment in self.over for run in self.runs]
        return round(max((wait for wait in waits if wait is not None), default=0.0), 2)
