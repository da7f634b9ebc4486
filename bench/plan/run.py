#!/usr/bin/env python3
"""Planning of a million objects on a real S3 server, beside a loop of LIST requests with the same SDK.

    deploy/dev/dev.py run rabbitmq s3 -- .local/venv-clients/bin/python bench/plan/run.py [--objects 1000000] [--rounds 3]

Puts `--objects` tiny objects and a tenth as many beside them (what is there already stays), then plans each with a
`sightline-coordinator` of its own, from CreateRun to the frozen tree, all of its shards outstanding. Listing and
planning take turns, round by round, so that other load on the machine meets both; medians. The peak resident set is the
kernel's (`VmHWM`). Writes target/bench/plan.json (`objects_per_s`, `raw_list_objects_per_s`, `of_raw`,
`peak_rss_mib_100k`, `peak_rss_mib_1m`: of the tenth and of the whole) and the unit costs of `paper.py` beside it.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List, Tuple

import boto3
from botocore.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/e2e"))
import load  # noqa: E402
import paper  # noqa: E402
from processes import BINARIES, Processes  # noqa: E402
from reflection import Service  # noqa: E402

WINDOW = 100_000
LIMIT_SECONDS = 3600


def plan(client: Any, bucket: str, root: str, count: int) -> Tuple[float, float, Dict[str, float]]:
    """Seconds, peak MiB and unit costs of planning what is below a root."""
    state = f"state-{uuid.uuid4().hex[:8]}"
    environment = {
        "AWS_ENDPOINT_URL": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"],
        "SIGHTLINE_S3__PATH_STYLE": "true",
        "SIGHTLINE_STATE__URL": f"s3://{bucket}/{state}",
        "SIGHTLINE_QUEUE__URL": os.environ["SIGHTLINE_TEST_AMQP_URL"],
        "SIGHTLINE_LISTEN__ADDRESS": "127.0.0.1:0",
    }
    spec = {
        "kind": "EMBED",
        "dataset": {"name": "bench", "root": f"s3://{bucket}/{root}", "prefix": {}},
        "collection": "collections/bench",
        "model": f"bench-{state}",
        "window_shards": WINDOW,
    }
    with Processes(REPOSITORY / "target/bench/logs") as processes:
        process = processes.start(state, ["sightline-coordinator"], environment)
        coordinator = Service(process.address(), "sightline.v1.Coordinator")
        started = time.monotonic()
        run = coordinator.CreateRun(spec=spec, request_id=uuid.uuid4().hex)
        for update in coordinator.WatchRun(name=run["name"], timeout=LIMIT_SECONDS):
            run = update["run"]
            if run["plan_complete"]:
                break
        seconds = time.monotonic() - started
        if int(run["planned_items"]) != count:
            raise SystemExit(f"bench-plan: {run['planned_items']} of {count} objects were planned: {run}")
        peak = peak_mib(process.pid)
    return seconds, peak, units(client, bucket, f"{state}/{run['name']}")


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    if not found:
        raise SystemExit("bench-plan: the kernel does not say how much memory the coordinator had (VmHWM)")
    return int(found.group(1)) / 1024


def units(client: Any, bucket: str, run: str) -> Dict[str, float]:
    """Bytes of what planning stores and sends, as means."""
    def sizes(folder: str) -> List[int]:
        found = client.list_objects_v2(Bucket=bucket, Prefix=f"{run}/{folder}/", MaxKeys=1000)
        return [entry["Size"] for entry in found["Contents"] if not entry["Key"].endswith("complete.json")]

    # Two ids, names and numbers, and a cursor of about a key's length.
    shard = {"version": 1, "kind": "embed", "run": "0" * 32, "shard": "0" * 64, "attempt": 1}
    link = {"version": 1, "kind": "embed", "run": "0" * 32, "attempt": 1,
            "link": {"range": {"prefix": "000000/", "until": load.key(1)}, "start_after": load.key(0), "fan_out": 1}}
    return {
        "manifest_bytes": statistics.mean(sizes("shards")),
        "node_bytes": statistics.mean(sizes("plan")),
        "shard_message_bytes": len(json.dumps(shard)),
        "link_message_bytes": len(json.dumps(link)),
    }


def listed(bucket: str, root: str, count: int) -> float:
    """Seconds of a plain loop over all pages."""
    program = BINARIES / "examples/list"
    environment = {**os.environ, "AWS_ENDPOINT_URL": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"]}
    answer = json.loads(subprocess.run([str(program), bucket, f"{root}/"], env=environment, check=True,
                                       stdout=subprocess.PIPE).stdout)
    if answer["objects"] != count:
        raise SystemExit(f"bench-plan: the loop found {answer['objects']} of {count} objects")
    return float(answer["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"],
                          config=Config(s3={"addressing_style": "path"}))
    bucket, whole, tenth = os.environ["SIGHTLINE_TEST_S3_BUCKET"], arguments.objects, arguments.objects // 10
    for count in (tenth, whole):
        seconds = load.load(client, bucket, f"n{count}", count)
        print(f"bench-plan: {count} objects are there, put in {seconds:.0f} s", file=sys.stderr)
    _, small, _ = plan(client, bucket, f"n{tenth}", tenth)
    raw, ours, peaks, costs = [], [], [], {}
    for turn in range(arguments.rounds):
        raw.append(listed(bucket, f"n{whole}", whole))
        seconds, peak, costs = plan(client, bucket, f"n{whole}", whole)
        ours.append(seconds)
        peaks.append(peak)
        print(f"bench-plan: round {turn + 1}: LIST {whole / raw[-1]:.0f}/s, planning {whole / seconds:.0f}/s, "
              f"{peak:.1f} MiB", file=sys.stderr)
    rate, raw_rate = whole / statistics.median(ours), whole / statistics.median(raw)
    report = {
        "objects_per_s": round(rate, 1),
        "raw_list_objects_per_s": round(raw_rate, 1),
        "of_raw": round(rate / raw_rate, 3),
        "peak_rss_mib_100k": round(small, 1),
        "peak_rss_mib_1m": round(max(peaks), 1),
    }
    folder = REPOSITORY / "target/bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(report, indent=2) + "\n")
    costs["objects_per_s"] = rate
    (folder / "plan-units.json").write_text(json.dumps(costs, indent=2) + "\n")
    print(json.dumps(report))
    print(paper.table(costs))
    too_much = [name for name in ("peak_rss_mib_100k", "peak_rss_mib_1m") if report[name] > 96]
    apart = abs(report["peak_rss_mib_1m"] / report["peak_rss_mib_100k"] - 1) > 0.1
    if report["of_raw"] < 0.9 or too_much or apart:
        raise SystemExit(f"bench-plan: planning has to reach 0.9 of LIST, in 96 MiB that do not grow by a tenth: {report}")


if __name__ == "__main__":
    main()
