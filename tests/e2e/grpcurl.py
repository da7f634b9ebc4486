#!/usr/bin/env python3
"""grpcurl, which knows a server by its reflection alone, creates a run, watches it to its end and searches."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Dict, List

from processes import REPOSITORY, Processes

GRPCURL = Path(os.environ.get("SIGHTLINE_TEST_GRPCURL", REPOSITORY / ".local/grpcurl/grpcurl"))
MODEL = REPOSITORY / ".local/models/sightline-demo"
PICTURES = REPOSITORY / ".local/pictures/stamps/images/food/fruit"
SERVICES = {"Coordinator", "Worker", "Search", "Embedding"}


def call(address: str, method: str, request: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The answers of one call."""
    command = [str(GRPCURL), "-plaintext", "-d", json.dumps(request), address, f"sightline.v1.{method}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    decoder, answers, at = json.JSONDecoder(), [], 0
    while at < len(text):
        answer, at = decoder.raw_decode(text, at)
        answers.append(answer)
        at += len(text[at:]) - len(text[at:].lstrip())
    return answers


def main() -> int:
    work = REPOSITORY / "target/e2e-grpcurl"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with Processes(work / "logs") as processes:
        command = ["sightline", "standalone", "--data", str(work / "data"), "--model", str(MODEL), "--listen", "127.0.0.1:0"]
        address = processes.start("standalone", command, {}).address()
        listed = subprocess.run([str(GRPCURL), "-plaintext", address, "list"], check=True, capture_output=True, text=True).stdout
        spec = {
            "kind": "EMBED",
            "dataset": {"name": "fruit", "root": PICTURES.as_uri(), "prefix": {}},
            "collection": "collections/fruit",
            "model": MODEL.name,
        }
        run = call(address, "Coordinator/CreateRun", {"spec": spec, "requestId": uuid.uuid4().hex})[0]
        states = call(address, "Coordinator/WatchRun", {"name": run["name"]})
        found = call(address, "Search/Search", {"collection": "collections/fruit", "text": "a red apple", "topK": 3})[0]
    checks = {
        "every service is listed": {f"sightline.v1.{name}" for name in SERVICES} <= set(listed.split()),
        "the run ended well": states[-1]["run"]["state"] in ("SUCCEEDED", "PARTIALLY_SUCCEEDED"),
        "something was indexed": int(states[-1]["run"]["counts"]["indexed"]) > 0,
        "the words find pictures": len(found["hits"]) == 3 and found["ranking"] == "EXACT",
    }
    for what, holds in checks.items():
        print(f"grpcurl: {'ok' if holds else 'NOT'}: {what}")
    print(f"grpcurl: {sum(checks.values())} passed, {len(checks) - sum(checks.values())} failed")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
