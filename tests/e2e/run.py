#!/usr/bin/env python3
"""Proves that the cluster and the standalone make the same collection: see README.md beside this file.

    run.py [--items N] [--shards AT_LEAST] [--report FILE]

The real servers run already; `deploy/dev/dev.py run rabbitmq milvus milvus-lite s3 -- …` starts and ends them.
"""

import argparse
import base64
import json
import math
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Set

import boto3

import rows
from processes import REPOSITORY, Process, Processes
from reflection import Service
from traces import Collector

STAMPS = REPOSITORY / ".local/pictures/stamps"
MODEL = REPOSITORY / ".local/models/sightline-demo"
MIN_COSINE = 0.99999
# In bf16 a vector depends on its batch in the fourth digit; here two programs with other batches are compared.
EXACT = {"SIGHTLINE_MODEL__PRECISION": "f32"}
# Each of two workers does at least this share of the shards, though one is killed.
MIN_SHARE = 0.3
LIMIT_SECONDS = 1800
# One trace spans request, planning, the shard in the supervisor, the shard in the engine, and the index.
ONE_TRACE = {"sightline.v1.Coordinator/CreateRun", "plan link", "publish sightline.plan", "shard", "embed shard", "upsert"}
# Calls, messages and the database are told by OpenTelemetry's names.
CONVENTIONS = {"rpc.system.name", "rpc.method", "rpc.response.status_code", "messaging.system", "messaging.destination.name",
               "messaging.operation.type", "db.system.name", "db.operation.name", "db.collection.name"}
ENDED = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED"}


class Case(NamedTuple):
    """One collection: which Milvus it lies in, and which vector fields it has."""

    name: str
    index_variable: str
    fields: List[str]


CASES = [
    Case("dual_milvus_lite", "SIGHTLINE_TEST_MILVUS_LITE_URL", ["image_embedding", "text_embedding"]),
    Case("image_only_milvus", "SIGHTLINE_TEST_MILVUS_URL", ["image_embedding"]),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000, help="pictures at most")
    parser.add_argument("--shards", type=int, default=20, help="shards at least")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "target/e2e.json")
    arguments = parser.parse_args()
    work = REPOSITORY / "target/e2e"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    dataset = Dataset(arguments.items, arguments.shards)
    started = time.monotonic()
    with Processes(work / "logs") as processes:
        standalone = run_standalone(processes, work, dataset)
        cases = {case.name: run_case(processes, work, dataset, case, standalone[case.name]) for case in CASES}
    report = {
        "items": min(case["items"] for case in cases.values()),
        "shards": min(case["shards"] for case in cases.values()),
        "identical_ids": all(case["identical_ids"] for case in cases.values()),
        "identical_metadata": all(case["identical_metadata"] for case in cases.values()),
        "min_cosine": min(case["min_cosine"] for case in cases.values()),
        "workers": min(case["workers"] for case in cases.values()),
        "seconds": round(time.monotonic() - started, 1),
        "cases": cases,
    }
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    problems = verdict(report, dataset)
    for problem in problems:
        print(f"e2e: {problem}", file=sys.stderr)
    # The closing line that says how many checks there were.
    checks = 7 * len(CASES)
    print(f"e2e: {checks - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


class Dataset:
    """Captioned pictures in S3, with one that is damaged, so that the run ends partial."""

    def __init__(self, items: int, shards: int) -> None:
        self.prefix = f"e2e-{uuid.uuid4().hex[:8]}"
        self.bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
        client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"])
        manifest = (STAMPS / "captions.jsonl").read_text().splitlines()
        chosen = [json.loads(line) for line in manifest[:: max(1, math.ceil(len(manifest) / items))]][: items - 1]
        for row in chosen:
            self._put(client, row["image"], (STAMPS / row["image"]).read_bytes())
        damaged = {"image": "damaged/cut-short.png", "text": "A picture that is cut short.", "labels": ["damaged"]}
        self._put(client, damaged["image"], (STAMPS / chosen[0]["image"]).read_bytes()[:300])
        lines = [json.dumps(row, ensure_ascii=False) for row in [*chosen, damaged]]
        self._put(client, "manifest.jsonl", "\n".join(lines).encode())
        self.size = len(lines)
        self.shard_items = max(1, self.size // shards)
        self.picture = (STAMPS / chosen[0]["image"]).read_bytes()
        self.caption = chosen[0]["text"]
        self.key = chosen[0]["image"]

    def _put(self, client: Any, key: str, body: bytes) -> None:
        client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=body)

    def spec(self, collection: str, fields: List[str]) -> Dict[str, Any]:
        """The run's specification, as any client of the API writes it."""
        return {
            "kind": "EMBED",
            "dataset": {
                "name": "stamps",
                "root": f"s3://{self.bucket}/{self.prefix}",
                "manifest": {"path": "manifest.jsonl"},
            },
            "collection": f"collections/{collection}",
            "model": MODEL.name,
            "fields": fields,
            "shard_items": self.shard_items,
        }


def s3_environment() -> Dict[str, str]:
    """What every service is told."""
    return {
        "SIGHTLINE_S3__ENDPOINT": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"],
        "SIGHTLINE_S3__PATH_STYLE": "true",
        "SIGHTLINE_TELEMETRY__LOG": os.environ.get("SIGHTLINE_E2E_LOG", "info"),
    }


def run_standalone(processes: Processes, work: Path, dataset: Dataset) -> Dict[str, rows.Rows]:
    """The same dataset through the embedded seams: a collection a case."""
    data = work / "standalone"
    command = ["sightline", "standalone", "--data", str(data), "--model", str(MODEL), "--listen", "127.0.0.1:0"]
    process = processes.start("standalone", command, {**s3_environment(), **EXACT})
    coordinator = Service(process.address(), "sightline.v1.Coordinator")
    for case in CASES:
        run = ingest(coordinator, dataset.spec(case.name, case.fields), lambda run: None)
        require(run["state"] == "PARTIALLY_SUCCEEDED", f"the standalone run ended {run['state']}: {run['state_message']}")
    require(process.end() == 0, "standalone did not end in order")
    return {case.name: rows.of_sqlite(data / "index.db", case.name) for case in CASES}


def run_case(processes: Processes, work: Path, dataset: Dataset, case: Case, standalone: rows.Rows) -> Dict[str, Any]:
    """The same dataset through coordinator, two workers (one killed midway) and gateway on the real servers."""
    collection = f"{case.name}_{uuid.uuid4().hex[:8]}"
    state = f"{dataset.prefix}-state-{case.name}"
    broker = os.environ["SIGHTLINE_TEST_AMQP_URL"]
    environment = {
        **s3_environment(),
        "SIGHTLINE_STATE__URL": f"s3://{dataset.bucket}/{state}",
        "SIGHTLINE_QUEUE__URL": broker,
        "SIGHTLINE_LISTEN__ADDRESS": "127.0.0.1:0",
    }
    index = os.environ[case.index_variable]
    model = {"SIGHTLINE_INDEX__URL": index, "SIGHTLINE_MODEL__FOLDER": str(MODEL), "SIGHTLINE_MODEL__THREADS": "1", **EXACT}
    gateway_environment = {key: value for key, value in environment.items()
                           if not key.startswith(("SIGHTLINE_STATE", "SIGHTLINE_QUEUE"))}
    collector = Collector()
    environment["SIGHTLINE_TELEMETRY__OTLP_ENDPOINT"] = collector.url
    coordinator = processes.start(f"{case.name}-coordinator", ["sightline-coordinator"],
                                  {**environment, "SIGHTLINE_INDEX__URL": index})
    workers = [processes.start(f"{case.name}-worker-{name}", ["sightline-worker"],
                               {**environment, **model, "SIGHTLINE_NAME": f"worker-{name}"}) for name in "ab"]
    gateway = processes.start(f"{case.name}-gateway", ["sightline-gateway"], {**gateway_environment, **model})
    killer = Killer(dataset, state, workers[0])
    for worker in workers:
        worker.address()
        worker.wait_for(r"(taking shards)")
    run = ingest(Service(coordinator.address(), "sightline.v1.Coordinator"), dataset.spec(collection, case.fields), killer)
    shares = killer.shares()
    audit = verify(Service(coordinator.address(), "sightline.v1.Coordinator"), run["name"])
    kept = rows.of_milvus(index, collection)
    compared = rows.compare(kept, standalone, case.fields)
    found = search(Service(gateway.address(), "sightline.v1.Search"), dataset, collection, case)
    for process in [gateway, workers[1], coordinator]:
        require(process.end() == 0, f"{process.name} did not end in order")
    # A service sends its last spans when it ends.
    trace = collector.names_by_service("sightline.v1.Coordinator/CreateRun")
    attributes = collector.attributes("sightline.v1.Coordinator/CreateRun")
    collector.close()
    for line in compared["different"][:20]:
        print(f"e2e: {case.name}: {line}", file=sys.stderr)
    return {
        "items": len(kept),
        "shards": sum(shares.values()),
        "state": run["state"],
        "identical_ids": compared["identical_ids"],
        "identical_metadata": not compared["different"],
        "min_cosine": compared["min_cosine"],
        "workers": len(shares),
        "smallest_share": round(min(shares.values()) / sum(shares.values()), 3),
        "killed": killer.killed,
        "verified": audit["verified"] and audit["items"] == run["planned_items"],
        "found_itself": found,
        "one_trace": {service: sorted(names) for service, names in sorted(trace.items())},
        "conventions": sorted(attributes & CONVENTIONS),
    }


class Killer:
    """Kills one worker once both have done their share, in the middle of the run."""

    def __init__(self, dataset: Dataset, state: str, victim: Process) -> None:
        self._client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"])
        self._bucket, self._state, self._victim = dataset.bucket, state, victim
        self._least = math.floor(MIN_SHARE * math.ceil(dataset.size / dataset.shard_items)) + 1
        self.killed = False

    def __call__(self, run: Dict[str, Any]) -> None:
        if self.killed or int(run["done_shards"]) < self._least:
            return
        if self.shares().get("worker-a", 0) >= self._least:
            self._victim.kill()
            self.killed = True

    def shares(self) -> Dict[str, int]:
        """Shards by the worker that wrote their (first) result."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{self._state}/runs/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", []) if "/results/" in entry["Key"]]
        workers: Dict[str, str] = {}
        for key in sorted(keys):
            shard = key.split("/results/")[1].split("/")[0]
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            workers.setdefault(shard, json.loads(body)["worker"])
        return dict(Counter(workers.values()))


def ingest(coordinator: Service, spec: Dict[str, Any], seen: Any) -> Dict[str, Any]:
    """Creates a run, watches it to its end, and gives its last state."""
    run = coordinator.CreateRun(spec=spec, request_id=uuid.uuid4().hex)
    for update in coordinator.WatchRun(name=run["name"], timeout=LIMIT_SECONDS):
        run = update["run"]
        seen(run)
    require(run["state"] in ENDED, f"the stream ended before the run: {run['state']}")
    failures = coordinator.ListFailures(parent=run["name"])["failures"]
    require([failure["reason"] for failure in failures] == ["corrupt_image"], f"failed: {failures}")
    return run


def verify(coordinator: Service, run: str) -> Dict[str, Any]:
    """The audit that a run's own coordinator makes of it."""
    return list(coordinator.VerifyRun(name=run, timeout=LIMIT_SECONDS))[-1]["audit"]


def search(gateway: Service, dataset: Dataset, collection: str, case: Case) -> bool:
    """Whether a picture, its words, and both find it first; through the same API that everyone has."""
    resource = f"collections/{collection}"
    image = {"content": base64.b64encode(dataset.picture).decode()}
    queries: List[Dict[str, Any]] = [{"image": image}]
    if "text_embedding" in case.fields:
        queries += [{"text": dataset.caption}, {"image": image, "text": dataset.caption, "alpha": 0.3}]
    answers = [gateway.Search(collection=resource, top_k=3, **query) for query in queries]
    counted = gateway.GetCollection(name=resource)
    require(int(counted["row_count"]) == dataset.size - 1, f"rows: {counted['row_count']}")
    return all(answer["hits"][0]["item"]["key"] == dataset.key for answer in answers)


def verdict(report: Dict[str, Any], dataset: Dataset) -> List[str]:
    """Everything that is not as promised."""
    problems = []
    for name, case in report["cases"].items():
        wrong = {
            "not every item is there": case["items"] != dataset.size - 1,
            "ids differ": not case["identical_ids"],
            "metadata differs": not case["identical_metadata"],
            f"cosine {case['min_cosine']}": case["min_cosine"] < MIN_COSINE,
            f"shares of the workers: {case['smallest_share']}, killed: {case['killed']}":
                not case["killed"] or case["workers"] != 2 or case["smallest_share"] <= MIN_SHARE,
            "a picture does not find itself": not case["found_itself"],
            f"no one trace from request to index: {case['one_trace']}": not ONE_TRACE <= spans(case["one_trace"]),
            f"spans do not follow OpenTelemetry's names: {case['conventions']}": set(case["conventions"]) != CONVENTIONS,
        }
        problems += [f"{name}: {what}" for what, is_wrong in wrong.items() if is_wrong]
    return problems


def spans(trace: Dict[str, List[str]]) -> Set[str]:
    return {name for names in trace.values() for name in names}


def require(condition: bool, message: str) -> None:
    if not condition:
        raise RuntimeError(message)


if __name__ == "__main__":
    sys.exit(main())
