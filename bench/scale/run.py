#!/usr/bin/env python3
"""Workers side by side on one broker and one index, and what each of them takes at most.

    deploy/dev/dev.py run rabbitmq milvus s3 -- .local/venv-clients/bin/python bench/scale/run.py [--workers 1,2,4,8,16]

The workers are real but for their model (`worker/examples/stand_in_worker.rs`): a batch of 32 takes a fixed time, 0.4 s by
default, four times as fast as ViT-B/16 on two cores. Items are texts of a manifest, so that the object store has no part in
it but plan and results. The rate of a run is that of its middle, from a tenth to nine tenths of its items, so that a short
run's beginning and end count for nothing; `efficiency_by_workers` is the rate of n workers over n times that of one.

Then the servers at their limit: more and more workers without any computing, for rows a second into the index, and messages
a second through the broker by `crates/queue/examples/rate.rs`, over more and more connections; the best of each, whether the
last step still made it grow, and whose processor time it was.

Last, `in_hand`: one worker whose device is taken for a GPU and computes far faster than it is fed (64 texts in 5 ms), with 2 shards of
256 in hand, with as many as it chooses by itself (`auto`), and with 8. The run's window is wide, so that shards always wait; a fourth
case, `auto_usual_window`, has the window that runs have by default. `--only-in-hand` does this alone, and leaves what else the report
holds. Writes target/bench/scale.json.
"""

import argparse
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import boto3
from botocore.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "bench/common"))
import broker  # noqa: E402
import paper  # noqa: E402
import usage  # noqa: E402
from fleet import Cost, Fleet  # noqa: E402
from processes import BINARIES, Process, Processes  # noqa: E402
from reflection import Service  # noqa: E402
from sampler import Sampler  # noqa: E402

WORK = REPOSITORY / "target/bench/scale"
BATCH = 32
DIMENSION = 768
# A device that never is what is waited for: how many texts it takes at once, and for how long.
FAST_BATCH, FAST_MILLISECONDS = 64, 5
SHARD = 256
WIDE_WINDOW = 256
# From here on a rate is as it should be.
GOOD = 0.95
# Beyond this a rate grew.
GREW = 1.05


class Middle:
    """The rows a second of a run's middle, as the workers' engines count them by their own clocks."""

    def __init__(self, workers: List[Process], items: int) -> None:
        self._services = [Service(worker.address(), "sightline.v1.Worker") for worker in workers]
        self._items = items
        # The most that one worker had.
        self.shards_in_hand = 0
        self._sampler = Sampler(lambda: [self._rows(service) for service in self._services], 0.5)

    def _rows(self, service: Service) -> Tuple[float, int]:
        status = service.GetStatus()
        self.shards_in_hand = max(self.shards_in_hand, len(status["shards"]))
        done = [int(stage["done"]) for stage in status["stages"] if stage["name"] == "upsert"]
        return float(status["engine_seconds"]), sum(done)

    def rate(self) -> float:
        inner = [seen for seen in self._sampler.end() if 0.1 <= sum(done for _, done in seen) / self._items <= 0.9]
        if len(inner) < 2:
            raise SystemExit("bench-scale: the run was too short to see its middle: give more --items or --rows")
        return sum((end[1] - start[1]) / (end[0] - start[0]) for start, end in zip(inner[0], inner[-1]) if end[0] > start[0])


class Bench:
    def __init__(self, processes: Processes, options: argparse.Namespace) -> None:
        self._processes, self._options = processes, options
        self._bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
        self._client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"],
                                    config=Config(s3={"addressing_style": "path"}))

    def run(self, workers: int, items: int, milliseconds: int, shard: int) -> Tuple[float, Cost]:
        """The rate of so many workers, and what it cost."""
        told = {"dimension": DIMENSION, "batch_milliseconds": milliseconds}
        rate, cost, _ = self.run_as(told, {"SIGHTLINE_PIPELINE__BATCH_ITEMS": str(BATCH)}, workers, items, shard_items=shard)
        return rate, cost

    def run_as(self, told: Dict[str, Any], configured: Dict[str, str], workers: int, items: int,
               **spec: int) -> Tuple[float, Cost, int]:
        """The same of workers with such a model and configuration, and the most shards that one of them had in hand."""
        root, model = f"scale-{uuid.uuid4().hex[:8]}", f"stand-in-{uuid.uuid4().hex[:8]}"
        lines = "".join(json.dumps({"text": f"{root} item {at}"}) + "\n" for at in range(items))
        self._client.put_object(Bucket=self._bucket, Key=f"{root}/items.jsonl", Body=lines.encode())
        folder = WORK / model
        folder.mkdir(parents=True)
        (folder / "stand_in.json").write_text(json.dumps(told))
        with Fleet(self._processes, os.environ["SIGHTLINE_TEST_MILVUS_URL"]) as fleet:
            for _ in range(workers):
                fleet.add_worker(folder, model, "examples/stand_in_worker", **configured)
            fleet.ready()
            middle = Middle(fleet.workers, items)
            dataset = {"name": root, "root": f"s3://{self._bucket}/{root}", "manifest": {"path": "items.jsonl"}}
            cost = fleet.run(dataset, model, items, fields=["text_embedding"], **spec)
            return middle.rate(), cost, middle.shards_in_hand

    def scaling(self) -> Dict[str, Any]:
        """The same work a worker, on more and more of them."""
        options, cases = self._options, {}
        for workers in options.workers:
            rate, cost = self.run(workers, options.items * workers, options.milliseconds, 8 * BATCH)
            first = cases.setdefault("one", rate / workers)
            cases[workers] = {"rows_per_s": round(rate, 2), "efficiency": round(rate / workers / first, 3), **cores(cost)}
            tell(f"{workers} workers: {json.dumps(cases[workers])}")
        del cases["one"]
        return cases

    def index(self) -> Dict[str, Any]:
        """Rows a second where nothing is computed."""
        cases = {}
        for workers in self._options.saturating:
            rate, cost = self.run(workers, self._options.rows, 0, 512)
            cases[workers] = {"rows_per_s": round(rate, 1), **cores(cost)}
            cases[workers]["limited_by"] = usage.most_of(cases[workers]["cores"])
            tell(f"{workers} workers that compute nothing: {json.dumps(cases[workers])}")
        return {"dimension": DIMENSION, **largest(cases, "workers", lambda case: case["rows_per_s"])}

    def in_hand(self) -> Dict[str, Any]:
        """Rows a second of one worker whose device waits for all else, by how many shards it has in hand."""
        told = {"dimension": DIMENSION, "batch_milliseconds": FAST_MILLISECONDS, "device": "cuda:0"}
        wide = {"shard_items": SHARD, "window_shards": WIDE_WINDOW}
        cases: Dict[str, Any] = {}
        for name, prefetch, spec in [("2", 2, wide), ("auto", 0, wide), ("8", 8, wide),
                                     ("auto_usual_window", 0, {"shard_items": SHARD})]:
            configured = {"SIGHTLINE_PIPELINE__BATCH_ITEMS": str(FAST_BATCH), "SIGHTLINE_PREFETCH": str(prefetch)}
            rate, cost, shards = self.run_as(told, configured, 1, self._options.fast_rows, **spec)
            cases[name] = {"rows_per_s": round(rate, 1), "shards_in_hand": shards, **cores(cost)}
            tell(f"prefetch {name}, with a device that is never waited for: {json.dumps(cases[name])}")
        return {"batch_items": FAST_BATCH, "batch_milliseconds": FAST_MILLISECONDS, "rows": self._options.fast_rows, **wide,
                "cases": cases}

    def broker(self) -> Dict[str, Any]:
        """Messages a second, of a shard's size, confirmed."""
        cases, options = {}, self._options
        for connections in options.connections:
            case = cases[connections] = broker.rates(BINARIES / "examples/rate", connections, options.in_flight, options.messages)
            case["limited_by"] = usage.most_of(case[f"{broker.slower(case)[0]}_cores"])
            tell(f"{connections} connections to the broker: {json.dumps(case)}")
        return {"in_flight_a_connection": options.in_flight,
                **largest(cases, "connections", lambda case: broker.slower(case)[1])}


def largest(cases: Dict[int, Dict[str, Any]], by: str, rate: Callable[[Dict[str, Any]], float]) -> Dict[str, Any]:
    """The best of cases with more and more of something, and whether the last step still made the rate grow: then what was
    measured is not the limit, but below it."""
    counts = sorted(cases)
    rates = {count: rate(cases[count]) for count in counts}
    best = max(counts, key=lambda count: rates[count])
    still_grew = len(counts) < 2 or rates[counts[-1]] > GREW * max(rates[count] for count in counts[:-1])
    return {by: best, **cases[best], "still_grew": still_grew, f"by_{by}": {str(count): rates[count] for count in counts}}


def cores(cost: Cost) -> Dict[str, Any]:
    """Whose processor time it was: cores busy, by process."""
    spent = {"supervisors": cost.supervisor_s, "engines": cost.engine_s, "coordinator": cost.coordinator_s, **cost.servers_s}
    return {"cores": {name: round(seconds / cost.seconds, 3) for name, seconds in spent.items()}}


def tell(text: str) -> None:
    print(f"bench-scale: {text}", file=sys.stderr, flush=True)


def limit(cases: Dict[int, Dict[str, Any]]) -> str:
    """What keeps the workers from scaling further, by whose processor time it was."""
    late = [workers for workers, case in cases.items() if case["efficiency"] < GOOD]
    if not late:
        return f"none up to {max(cases)} workers"
    return f"from {late[0]} workers on {usage.most_of(cases[late[0]]['cores'])}"


def write(path: Path, report: Dict[str, Any]) -> int:
    """Into the file, and for who looks on."""
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 0


def numbers(text: str) -> List[int]:
    return [int(number) for number in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=numbers, default=[1, 2, 4, 8, 16])
    parser.add_argument("--items", type=int, default=3200, help="of each worker")
    parser.add_argument("--milliseconds", type=int, default=400, help="that a batch takes")
    parser.add_argument("--rows", type=int, default=40_000, help="where nothing is computed")
    parser.add_argument("--saturating", type=numbers, default=[4, 8], help="workers that compute nothing")
    parser.add_argument("--fast-rows", type=int, default=30_000, help="with a device that is never waited for, each time")
    parser.add_argument("--only-in-hand", action="store_true", help="that alone; what else the report holds stays")
    parser.add_argument("--messages", type=int, default=60_000, help="through the broker, each time")
    parser.add_argument("--connections", type=numbers, default=[1, 2, 4], help="to the broker")
    parser.add_argument("--in-flight", type=int, default=256, help="messages on each connection")
    options = parser.parse_args()
    path = REPOSITORY / "target/bench/scale.json"
    with Processes(WORK / "logs") as processes:
        bench = Bench(processes, options)
        if options.only_in_hand:
            before = json.loads(path.read_text()) if path.exists() else {}
            return write(path, {**before, "in_hand": bench.in_hand()})
        cases = bench.scaling()
        report = {
            "efficiency_by_workers": {str(workers): case["efficiency"] for workers, case in cases.items()},
            "limit": limit(cases),
            "batch_milliseconds": options.milliseconds,
            "cases": {str(workers): case for workers, case in cases.items()},
            "index": bench.index(),
            "broker": bench.broker(),
            "in_hand": bench.in_hand(),
        }
    write(path, report)
    print(paper.table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
