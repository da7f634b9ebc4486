#!/usr/bin/env python3
"""The worker's memory over time: large pictures among small ones, and tens of thousands of small ones.

    deploy/dev/dev.py run rabbitmq milvus s3 -- .local/venv-torch/bin/python bench/memory/run.py [--items 50000]

The real worker with a tiny model, so that pictures come as fast as they are decoded; its own sizes. `large`: a few pictures
of 100 megapixels among small ones, baseline JPEGs, progressive ones and PNGs by turns; the run's peak has to stay below
what the worker had in memory when it was ready and its budget for what is in flight (`pipeline.memory_bytes`). `flat`:
the last quarter of the time holds at most a tenth more than the second one. Writes target/bench/memory.json with the resident
set over time, and draws that into target/bench/memory.svg.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Dict, List, Optional

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "bench/ingest"))
import clients  # noqa: E402,F401
import boto3  # noqa: E402
import inputs  # noqa: E402
import objects  # noqa: E402
import picture  # noqa: E402
import usage  # noqa: E402
from botocore.config import Config  # noqa: E402
from fleet import Fleet  # noqa: E402
from processes import Processes  # noqa: E402
from sampler import Sampler  # noqa: E402

WORK = REPOSITORY / "target/bench/memory"
MODEL = "vit-tiny"
MEMORY_MIB = 1024
# Of a progressive JPEG all coefficients are in memory, beside its pixels; of a PNG all pixels.
LARGE = ("jpeg_100_megapixel", "jpeg_100_megapixel_progressive", "png_100_megapixel")
# Small pictures for each large one.
AMONG = 100
# What the last quarter may hold beyond the second one.
GROWTH = 1.1
LOOK_SECONDS = 0.2
# Readings below which a run is its own beginning: buffers are filled and libtorch keeps its first blocks.
ENOUGH = 100


def resident(fleet: Fleet, since: float) -> Dict[str, float]:
    """The resident sets of a worker's processes now."""
    worker = fleet.workers[0].pid
    engines = [usage.resident_mib(pid) for pid in usage.children(worker)]
    return {"s": round(time.monotonic() - since, 1), "engine_mib": round(sum(engines), 1),
            "supervisor_mib": round(usage.resident_mib(worker), 1)}


def measure(processes: Processes, bucket: str, prefix: str, items: int) -> Dict[str, Any]:
    with Fleet(processes, os.environ["SIGHTLINE_TEST_MILVUS_URL"]) as fleet:
        sizes = {"SIGHTLINE_PIPELINE__MEMORY_BYTES": str(MEMORY_MIB << 20)}
        fleet.add_worker(inputs.folder_of(MODEL, WORK / "models"), prefix, **sizes)
        fleet.ready()
        since = time.monotonic()
        watch = Sampler(lambda: resident(fleet, since), LOOK_SECONDS)
        cost = fleet.run({"name": prefix, "root": f"s3://{bucket}/{prefix}", "prefix": {}}, prefix, items)
        over_time = watch.end()
    return {
        "items": items,
        "images_per_s": round(items / cost.seconds, 1),
        "after_start_mib": round(fleet.began_mib, 1),
        "loading_peak_mib": round(fleet.loading_peak_mib, 1),
        "peak_rss_mib": None if cost.most_mib is None else round(cost.most_mib, 1),
        "budget_mib": round(fleet.began_mib + MEMORY_MIB, 1),
        "over_time": over_time,
    }


def growth(over_time: List[Dict[str, float]]) -> Optional[float]:
    """The last quarter's middle over that of the second; none for a run that is too short to tell."""
    if len(over_time) < ENOUGH:
        return None
    whole = [seen["engine_mib"] + seen["supervisor_mib"] for seen in over_time]
    quarter = max(1, len(whole) // 4)
    return round(statistics.median(whole[-quarter:]) / statistics.median(whole[quarter:2 * quarter]), 3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--large", type=int, default=6)
    options = parser.parse_args()
    (WORK / "logs").mkdir(parents=True, exist_ok=True)
    client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"],
                          config=Config(s3={"addressing_style": "path"}))
    bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
    kinds = list(islice(cycle(LARGE), options.large))
    large = {name: inputs.pictures(inputs.KINDS[name])[0] for name in dict.fromkeys(kinds)}
    mixed = inputs.pictures(inputs.KINDS["jpeg_500x375"])[:AMONG] * options.large
    mixed[AMONG // 2::AMONG] = [large[name] for name in kinds]
    objects.put(client, bucket, "large", mixed, len(mixed))
    objects.put(client, bucket, "many", inputs.pictures(inputs.KINDS["jpeg_96x72"]), options.items)
    with Processes(WORK / "logs") as processes:
        report = {"large": measure(processes, bucket, "large", len(mixed)),
                  "flat": measure(processes, bucket, "many", options.items)}
    report["flat"]["growth"] = growth(report["flat"]["over_time"])
    report["large"]["pictures_of_100_megapixels"] = options.large
    report["large"]["kinds"] = dict(Counter(kinds))
    (REPOSITORY / "target/bench/memory.json").write_text(json.dumps(report, indent=2) + "\n")
    titles = {"large": f"{len(mixed):,} pictures, {options.large} of them of 100 megapixels: resident set of the worker",
              "flat": f"{options.items:,} small pictures: resident set of the worker"}
    (REPOSITORY / "target/bench/memory.svg").write_text(picture.svg({titles[name]: case for name, case in report.items()}))
    for case in report.values():
        print(json.dumps({name: value for name, value in case.items() if name != "over_time"}))
    growing, peak = report["flat"]["growth"], report["large"]["peak_rss_mib"]
    wrong = [name for name, holds in {
        "what large pictures take at most is not known, as was said above": peak is not None,
        "large pictures went beyond the budget": peak is None or peak <= report["large"]["budget_mib"],
        f"many small pictures were done in less than {ENOUGH * LOOK_SECONDS:.0f} s, too short to tell whether they make it grow: "
        "give more --items": growing is not None,
        "many small pictures made it grow": growing is None or growing <= GROWTH,
    }.items() if not holds]
    for what in wrong:
        print(f"bench-memory: {what}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
