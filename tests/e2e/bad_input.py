#!/usr/bin/env python3
"""Every bad picture becomes what it should, and none takes another with it, in bounded memory.

    bad_input.py [--report FILE]

The folder comes from deploy/fixtures/bad_input.py, with what is expected of each file beside it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List

import rows
from processes import REPOSITORY, Processes
from reflection import Service
from run import ENDED, LIMIT_SECONDS, MODEL, require

# All of Sightline's processes together: coordinator, supervisor, gateway and engine.
MAX_RSS_MIB = 1024


class Memory(threading.Thread):
    """The highest sum of resident memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self.peak_mib, self._ended = pid, 0.0, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            self.peak_mib = max(self.peak_mib, sum(resident_mib(pid) for pid in family(self._pid)))

    def end(self) -> float:
        self._ended.set()
        self.join()
        return self.peak_mib


def family(pid: int) -> List[int]:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    found = [pid]
    for path in children:
        try:
            found += [member for child in path.read_text().split() for member in family(int(child))]
        except OSError:
            continue
    return found


def resident_mib(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0
    # Shared pages (libtorch's code) are in both processes, and counted once for each: an upper bound.
    return int(fields[1]) * 4096 / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=REPOSITORY / "target/bad-input.json")
    arguments = parser.parse_args()
    work = REPOSITORY / "target/bad-input"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    folder = work / "pictures"
    subprocess.run([sys.executable, str(REPOSITORY / "deploy/fixtures/bad_input.py"), str(folder)], check=True)
    expected = {path: entry["expect"] for path, entry in json.loads((work / "expected.json").read_text()).items()}
    with Processes(work / "logs") as processes:
        command = ["sightline", "standalone", "--data", str(work / "data"), "--model", str(MODEL), "--listen", "127.0.0.1:0"]
        process = processes.start("standalone", command, {})
        coordinator = Service(process.address(), "sightline.v1.Coordinator")
        memory = Memory(process.pid)
        memory.start()
        started = time.monotonic()
        run = ingest(coordinator, folder)
        seconds = time.monotonic() - started
        peak_rss_mib = memory.end()
        failures = all_failures(coordinator, run["name"])
        require(process.end() == 0, "standalone did not end in order")
    indexed = {row["key"] for row in rows.of_sqlite(work / "data/index.db", "bad_input").values()}
    found = {**{key: "indexed" for key in indexed}, **{failure["key"]: f"failed:{failure['reason']}" for failure in failures}}
    wrong = {path: {"expected": outcome, "found": found.get(path, "skipped")}
             for path, outcome in expected.items() if found.get(path, "skipped") != outcome}
    report = {"items": len(expected), "state": run["state"], "wrong": wrong, "peak_rss_mib": round(peak_rss_mib),
              "seconds": round(seconds, 1), "without_words": [failure["key"] for failure in failures if not failure["message"]]}
    arguments.report.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(report, indent=2, ensure_ascii=False))
    checks = [run["state"] == "PARTIALLY_SUCCEEDED", not wrong, peak_rss_mib < MAX_RSS_MIB, not report["without_words"]]
    print(f"bad-input: {sum(checks)} passed, {len(checks) - sum(checks)} failed")
    return 0 if all(checks) else 1


def ingest(coordinator: Service, folder: Path) -> Dict[str, Any]:
    spec = {
        "kind": "EMBED",
        "dataset": {"name": "bad-input", "root": folder.as_uri(), "prefix": {}},
        "collection": "collections/bad_input",
        "model": MODEL.name,
        "shard_items": 16,
    }
    run = coordinator.CreateRun(spec=spec, request_id=uuid.uuid4().hex)
    for update in coordinator.WatchRun(name=run["name"], timeout=LIMIT_SECONDS):
        run = update["run"]
    require(run["state"] in ENDED, f"the stream ended before the run: {run['state']}")
    return run


def all_failures(coordinator: Service, run: str) -> List[Dict[str, Any]]:
    failures: List[Dict[str, Any]] = []
    token = ""
    while True:
        page = coordinator.ListFailures(parent=run, page_size=10, page_token=token)
        failures += page["failures"]
        token = page["next_page_token"]
        if not token:
            return failures


if __name__ == "__main__":
    sys.exit(main())
