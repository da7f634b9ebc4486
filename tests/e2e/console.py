"""Services on the real servers, and the program `sightline` as their users run it."""

import hashlib
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional

import rows
from processes import BINARIES, REPOSITORY, Process, Processes
from pymilvus import MilvusClient

sys.path.append(str(Path(__file__).resolve().parent.parent / "faults"))

from servers import Servers  # noqa: E402

MODEL = REPOSITORY / ".local/models/sightline-demo"
SHARD_ITEMS = 4
WAIT_SECONDS = 120
COMMAND_SECONDS = 300
# Exit codes of the program.
SUCCESS, FAILURE, PARTIAL, STOPPED = 0, 1, 3, 4


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> List[Dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> Dict[str, Any]:
        return self.lines[-1]


class Site:
    """Two coordinators, a worker and a gateway, a bucket, and the program."""

    def __init__(self, processes: Processes) -> None:
        self.name = f"operations-{uuid.uuid4().hex[:8]}"
        self.servers = Servers()
        self.servers.make_hosts([self.name])
        self.s3 = self.servers.client()
        self.bucket = self.servers.bucket
        self.milvus = MilvusClient(uri=self.servers.milvus.replace("milvus://", "http://"))
        self.collection = self.name.replace("-", "_")
        self.checks = 0
        self._turn = 0
        self._processes = processes
        self._common = {
            "SIGHTLINE_S3__ENDPOINT": self.servers.s3,
            "SIGHTLINE_S3__PATH_STYLE": "true",
            "SIGHTLINE_LISTEN__ADDRESS": "127.0.0.1:0",
            "SIGHTLINE_INDEX__URL": self.servers.milvus,
        }
        self._model = {"SIGHTLINE_MODEL__FOLDER": str(MODEL), "SIGHTLINE_MODEL__THREADS": "1"}
        self._runs = {"SIGHTLINE_STATE__URL": f"s3://{self.bucket}/{self.name}/state",
                      "SIGHTLINE_QUEUE__URL": self.servers.amqp_url(self.name)}
        coordinators = [self._start(f"coordinator-{name}", "sightline-coordinator", self._runs) for name in "ab"]
        gateway = self._start("gateway", "sightline-gateway", self._model)
        self.worker = self.start_worker("a")
        self.coordinators = [process.address() for process in coordinators]
        self.gateway = gateway.address()

    def _start(self, name: str, program: str, more: Dict[str, str]) -> Process:
        return self._processes.start(name, [program], {**self._common, **more})

    def start_worker(self, name: str) -> Process:
        worker = self._start(f"worker-{name}", "sightline-worker",
                             {**self._runs, **self._model, "SIGHTLINE_NAME": f"worker-{name}"})
        worker.wait_for(r"(taking shards)")
        return worker

    def run(self, *arguments: str, expect: int = SUCCESS) -> Ran:
        """Runs the program, and checks its exit code. Every other command goes to the other coordinator."""
        self._turn += 1
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SIGHTLINE_")}
        environment["SIGHTLINE_COORDINATOR"] = f"http://{self.coordinators[self._turn % 2]}"
        environment["SIGHTLINE_GATEWAY"] = f"http://{self.gateway}"
        done = subprocess.run([str(BINARIES / "sightline"), *arguments], env=environment, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=COMMAND_SECONDS)
        ran = Ran(done.returncode, done.stdout, done.stderr)
        self.check(ran.code == expect, f"`sightline {' '.join(arguments)}` ended with {ran.code}, not {expect}", ran)
        return ran

    def ingest(self, dataset: str, *more: str, expect: int = SUCCESS) -> Ran:
        return self.run("ingest", "--json", "--root", f"s3://{self.bucket}/{self.name}/{dataset}", "--dataset", dataset,
                        "--collection", self.collection, "--model", MODEL.name, "--shard-items", str(SHARD_ITEMS),
                        # Milvus 2.3 has one vector field a collection.
                        "--fields", "image", *more, expect=expect)

    def until(self, run: str, holds: Callable[[Dict[str, Any]], bool]) -> Dict[str, Any]:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            state = self.run("runs", "get", run, "--json").last
            if holds(state):
                return state
            time.sleep(0.2)
        raise AssertionError(f"{run} stays at {state}")

    def check(self, holds: bool, what: str, *seen: Any) -> None:
        self.checks += 1
        if not holds:
            raise AssertionError(f"{what}: {' '.join(map(str, seen))}")

    def put(self, dataset: str, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.name}/{dataset}/{key}", Body=body)

    def delete(self, dataset: str, keys: List[str]) -> None:
        for key in keys:
            self.s3.delete_object(Bucket=self.bucket, Key=f"{self.name}/{dataset}/{key}")

    def objects(self, prefix: str) -> Dict[str, bytes]:
        """All objects below a prefix, by the rest of their keys."""
        whole = f"{self.name}/{prefix}/"
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=whole)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key[len(whole):]: self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def rows(self, dataset: Optional[str] = None) -> Dict[str, Dict[str, Any]]:
        """Rows by key, of one dataset; by dataset and key of all."""
        found = rows.of_milvus(self.servers.milvus, self.collection).values()
        if dataset is None:
            return {f"{row['dataset']}/{row['key']}": row for row in found}
        return {row["key"]: row for row in found if row["dataset"] == dataset}

    def mirrors(self, dataset: str, broken: FrozenSet[str] = frozenset()) -> None:
        """Rows are those of the objects that are there, and of their bytes."""
        objects = {key: hashlib.sha256(body).hexdigest() for key, body in self.objects(dataset).items()
                   if key not in broken}
        hashes = {key: row["content_hash"] for key, row in self.rows(dataset).items()}
        self.check(hashes == objects, f"rows of {dataset} are not those of its objects", hashes, objects)
