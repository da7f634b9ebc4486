#!/usr/bin/env python3
"""What planning costs up to 100 million objects, on paper: requests, messages, bytes and time from measured unit costs.

    bench/plan/paper.py [target/bench/plan-units.json]

The unit costs are what `bench/plan/run.py` measured of one run: bytes of a manifest, of a node, of messages and of a result,
and objects a second. Counts follow from docs/protocol.md: a shard has 256 objects, a link 32 shards (a window of 128 or
more), a page of a listing 1000 keys, a roll-up 128 shards.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any, Dict, List

REPOSITORY = Path(__file__).resolve().parents[2]
SHARD, LINK_SHARDS, PAGE, ROLL_UP_SHARDS = 256, 32, 1000, 128
SIZES = [100_000, 1_000_000, 10_000_000, 100_000_000]


def row(objects: int, units: Dict[str, Any]) -> List[str]:
    shards = math.ceil(objects / SHARD)
    links = math.ceil(shards / LINK_SHARDS)
    roll_ups = math.ceil(shards / ROLL_UP_SHARDS)
    lists = math.ceil(objects / PAGE) + links  # a link's last page is cut short
    # Of a link: is the run stopped, is there a node, the node, is it the smallest.
    requests = lists + shards + links * 4
    messages = shards + links
    stored = shards * units["manifest_bytes"] + links * units["node_bytes"]
    sent = shards * units["shard_message_bytes"] + links * units["link_message_bytes"]
    # What a coordinator that knows nothing reads to count an ended run.
    cold = math.ceil(shards / PAGE) + 2 * roll_ups + 3
    return [f"{objects:,}", f"{shards:,}", f"{links:,}", f"{requests:,}", f"{messages:,}", size(stored), size(sent),
            duration(objects / units["objects_per_s"]), f"{cold:,}"]


def size(number: float) -> str:
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def table(units: Dict[str, Any]) -> str:
    head = ["objects", "shards", "links", "requests", "messages", "manifests and nodes", "message bytes", "time",
            "requests to count it afresh"]
    lines = [head, ["---"] * len(head), *(row(objects, units) for objects in SIZES)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "target/bench/plan-units.json"
    print(table(json.loads(path.read_text())))


if __name__ == "__main__":
    main()
