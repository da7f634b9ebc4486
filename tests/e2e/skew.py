"""Two versions side by side on real servers: coordinators and workers of an older build with those of this one.

    tests/e2e/skew.py --old FOLDER       its sightline-coordinator and sightline-worker

An older coordinator with a newer worker, the reverse, an upgrade in the middle of a run, and a way back in the middle of
another. Every run has to succeed and to be verified by a coordinator of the other version too, and nothing may be
dead-lettered. Writes target/skew.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, List

import boto3

from processes import BINARIES, REPOSITORY, Process, Processes
from reflection import Service

STAMPS = REPOSITORY / ".local/pictures/stamps"
MODEL = REPOSITORY / ".local/models/sightline-demo"
LIMIT_SECONDS = 600
ITEMS = 300
SHARD_ITEMS = 10
ENDED = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED"}


class Wrong(Exception):
    """Something that must not be."""


class Versions:
    """Starts services of either version on one state root, broker and index."""

    def __init__(self, processes: Processes, folders: Dict[str, Path]) -> None:
        self._processes, self._folders, self._count = processes, folders, 0
        bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
        self._root = f"s3://{bucket}/skew-{uuid.uuid4().hex[:8]}"
        self.dataset = upload(bucket, self._root.rpartition("/")[2])

    def start(self, service: str, version: str) -> Process:
        self._count += 1
        environment = {
            "SIGHTLINE_S3__ENDPOINT": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"], "SIGHTLINE_S3__PATH_STYLE": "true",
            "SIGHTLINE_INDEX__URL": os.environ["SIGHTLINE_TEST_MILVUS_LITE_URL"],
            "SIGHTLINE_QUEUE__URL": os.environ["SIGHTLINE_TEST_AMQP_URL"], "SIGHTLINE_STATE__URL": f"{self._root}/state",
            "SIGHTLINE_LISTEN__ADDRESS": "127.0.0.1:0"}
        if service == "worker":
            environment.update({"SIGHTLINE_MODEL__FOLDER": str(MODEL), "SIGHTLINE_MODEL__THREADS": "1"})
        program = self._folders[version] / f"sightline-{service}"
        process = self._processes.start(f"{self._count}-{version}-{service}", [str(program)], environment)
        process.address()
        if service == "worker":
            process.wait_for(r"(taking shards)")
        return process


def upload(bucket: str, prefix: str) -> Dict[str, Any]:
    """A manifest of pictures in S3, as a run's dataset."""
    client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"])
    rows = [json.loads(line) for line in (STAMPS / "captions.jsonl").read_text().splitlines()[:ITEMS]]
    for row in rows:
        client.put_object(Bucket=bucket, Key=f"{prefix}/data/{row['image']}", Body=(STAMPS / row["image"]).read_bytes())
    lines = "\n".join(json.dumps({**row, "key": f"item-{number}"}) for number, row in enumerate(rows))
    client.put_object(Bucket=bucket, Key=f"{prefix}/data/manifest.jsonl", Body=lines.encode())
    return {"name": "skew", "root": f"s3://{bucket}/{prefix}/data", "manifest": {"path": "manifest.jsonl"}}


def coordinator_of(process: Process) -> Service:
    return Service(process.address(), "sightline.v1.Coordinator")


def create(coordinator: Process, dataset: Dict[str, Any], collection: str) -> str:
    spec = {"kind": "EMBED", "dataset": dataset, "collection": f"collections/{collection}", "model": MODEL.name,
            "shard_items": SHARD_ITEMS}
    return coordinator_of(coordinator).CreateRun(spec=spec, request_id=uuid.uuid4().hex)["name"]


def wait(coordinator: Process, run: str, look: Callable[[Dict[str, Any]], bool]) -> Dict[str, Any]:
    service, deadline = coordinator_of(coordinator), time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        now = service.GetRun(name=run)
        if look(now):
            return now
        time.sleep(0.3)
    raise Wrong(f"{run} stands at {now} after {LIMIT_SECONDS} s")


def finish(coordinators: List[Process], run: str) -> Dict[str, Any]:
    """The run's end, as every one of these coordinators tells and verifies it."""
    told = {}
    for coordinator in coordinators:
        ended = wait(coordinator, run, lambda now: now["state"] in ENDED)
        if ended["state"] != "SUCCEEDED":
            raise Wrong(f"{run} ended {ended['state']} as {coordinator.name} tells it: {ended.get('state_message')}")
        audit = list(coordinator_of(coordinator).VerifyRun(name=run, timeout=LIMIT_SECONDS))[-1]["audit"]
        if not audit.get("verified") or int(audit["items"]) != ITEMS:
            raise Wrong(f"{run} is not verified by {coordinator.name}: {audit}")
        told[coordinator.name] = {"items": int(audit["items"]), "done_shards": int(ended["done_shards"])}
    return told


def side_by_side(versions: Versions, coordinator: str, worker: str) -> Dict[str, Any]:
    """A whole run by a coordinator of one version and a worker of the other."""
    running = [versions.start("coordinator", coordinator), versions.start("worker", worker)]
    run = create(running[0], versions.dataset, f"{coordinator}_{worker}")
    other = versions.start("coordinator", worker)
    told = finish([running[0], other], run)
    end([*running, other])
    return told


def replaced(versions: Versions, before: str, after: str) -> Dict[str, Any]:
    """Every service is replaced by the other version in the middle of a run."""
    first = [versions.start("coordinator", before), versions.start("worker", before)]
    run = create(first[0], versions.dataset, f"from_{before}")
    done = int(wait(first[0], run, lambda now: int(now["done_shards"]) >= 3)["done_shards"])
    second = [versions.start("coordinator", after), versions.start("worker", after)]
    end(first)
    if wait(second[0], run, lambda now: True)["state"] in ENDED:
        raise Wrong(f"{run} had ended before its services were replaced: raise ITEMS")
    told = finish(second[:1], run)
    end(second)
    return {"done_shards_before": done, **told}


def end(processes: List[Process]) -> None:
    for process in processes:
        code = process.end()
        if code != 0:
            raise Wrong(f"{process.name} ended with {code}")


def dead_letters() -> int:
    """Messages in the broker's queues of dead letters."""
    command = [sys.executable, str(REPOSITORY / "deploy/dev/dev.py"), "broker", "rabbitmqctl", "list_queues", "--quiet",
               "--no-table-headers", "name", "messages"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sum(int(line.split()[-1]) for line in listed.splitlines() if line.split()[0].endswith(".dead"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="folder with the other version's programs")
    arguments = parser.parse_args()
    report: Dict[str, Any] = {}
    steps: Dict[str, Callable[[Versions], Dict[str, Any]]] = {
        "an older coordinator and a newer worker": lambda versions: side_by_side(versions, "old", "new"),
        "a newer coordinator and an older worker": lambda versions: side_by_side(versions, "new", "old"),
        "an upgrade in the middle of a run": lambda versions: replaced(versions, "old", "new"),
        "the way back in the middle of a run": lambda versions: replaced(versions, "new", "old"),
    }
    with Processes(REPOSITORY / "target/skew") as processes:
        versions = Versions(processes, {"old": arguments.old.resolve(), "new": BINARIES})
        for name, step in steps.items():
            started = time.monotonic()
            try:
                report[name] = {**step(versions), "seconds": round(time.monotonic() - started, 1)}
            except Wrong as wrong:
                report[name] = {"problem": str(wrong)}
            print(f"skew: {name}: {report[name]}", flush=True)
    dead = dead_letters()
    failed = sum("problem" in step for step in report.values()) + bool(dead)
    (REPOSITORY / "target/skew.json").write_text(json.dumps({**report, "dead_letters": dead}, indent=1) + "\n")
    print(f"skew: {len(steps) - failed} passed, {failed} failed, {dead} dead letters")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
