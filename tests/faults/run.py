#!/usr/bin/env python3
"""Injects faults into runs of the real components and audits what is left: see README.md beside this file.

    run.py [--items N] [--only 1,7,13] [--seed N] [--scale SHARE] [--report FILE]

The real servers run already: `deploy/dev/dev.py run rabbitmq milvus moto -- …` starts and ends them.
"""

import argparse
import json
import secrets
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import broker_faults  # noqa: E402
import mixed_faults  # noqa: E402
import planning_faults  # noqa: E402
import resource_faults  # noqa: E402
import store_faults  # noqa: E402
import worker_faults  # noqa: E402
from dataset import Pictures  # noqa: E402
from processes import BINARIES, REPOSITORY  # noqa: E402
from report import Report, commit, identity  # noqa: E402
from servers import Servers  # noqa: E402
from trial import Plan, Trial  # noqa: E402

Fault = Callable[[Trial], None]
FAULTS: Dict[int, Fault] = dict(sorted({
    **worker_faults.FAULTS, **broker_faults.FAULTS, **planning_faults.FAULTS, **store_faults.FAULTS,
    **resource_faults.FAULTS, **mixed_faults.FAULTS}.items()))


def end(number: int, _: Any) -> None:
    """Ends what was started, too. A second signal, as from a caller that passes its own on, does not cut that short."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2000, help="items of a run at least")
    parser.add_argument("--only", type=lambda text: [int(number) for number in text.split(",")],
                        help="numbers of faults, with commas between them; all by default")
    parser.add_argument("--seed", type=int, default=1, help="from it come all moments and victims")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of their full time long faults last")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "target/faults.json")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "target/faults", help="for logs; emptied first")
    arguments = parser.parse_args()
    chosen = arguments.only or list(FAULTS)
    unknown = [number for number in chosen if number not in FAULTS]
    if unknown:
        parser.error(f"there is no fault {unknown}: choose of {list(FAULTS)}")
    of = identity([BINARIES / name for name in ("sightline-worker", "sightline-coordinator")],
                  items=arguments.items, scale=arguments.scale)
    report = Report(arguments.report, of, seed=arguments.seed, commit=commit())
    if arguments.only and (outdated := report.go_on()):
        print(f"faults: {', '.join(outdated)} are left out of {arguments.report}: found of other programs, or with other "
              f"settings", file=sys.stderr)
    # Told to end, it ends the services that it started.
    signal.signal(signal.SIGTERM, end)
    work = arguments.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    servers = Servers()
    # So that servers that are still there from the last time hold nothing of this time's names.
    name = f"faults-{secrets.token_hex(4)}"
    servers.make_hosts([f"{name}-{number}" for number in chosen])
    pictures = Pictures(servers.client(), servers.bucket, f"{name}-pictures", arguments.items, arguments.seed)
    plan = Plan(servers, work, pictures, name, arguments.seed, arguments.items, arguments.scale)
    for number in chosen:
        report.add(number, one(Trial(number, plan), FAULTS[number]))
    bad = {number: problems for number, entry in report.entries.items() if (problems := verdict(entry))}
    for number, problems in bad.items():
        print(f"faults: {number} (seed {report.entries[number]['seed']}): {'; '.join(problems)}", file=sys.stderr)
    print(f"faults: {len(report.entries) - len(bad)} passed, {len(bad)} failed, of {len(FAULTS)} "
          f"({len(chosen)} of them now, seed {arguments.seed})")
    return 1 if bad else 0


def one(trial: Trial, fault: Fault) -> Dict[str, Any]:
    """Injects a fault, audits every run that it was injected into, and adds up."""
    began = time.monotonic()
    entry: Dict[str, Any] = {"fault": (fault.__doc__ or "").splitlines()[0].rstrip("."), "injected": 0, "items": 0,
                             "lost": 0, "duplicated": 0, "wrong": 0, "recovered_s": 0.0}
    try:
        fault(trial)
        findings: List[str] = []
        entry["items"] += trial.refused
        for run in trial.runs:
            audit = trial.audit(run)
            for name in ("items", "lost", "duplicated", "wrong"):
                entry[name] += audit[name]
            findings += audit["findings"]
            entry["embedded_again"] = entry.get("embedded_again", 0) + audit["embedded_again"]
            entry["min_cosine"] = min(filter(None, (entry.get("min_cosine"), audit["min_cosine"])), default=None)
        left = {name: count for name, count in trial.servers.queues(trial.host).items() if count}
        entry["wrong"] += sum(abs(left.get(name, 0) - trial.expected_queues.get(name, 0))
                              for name in {*left, *trial.expected_queues} if name.endswith(".dead"))
        entry.update(injected=trial.injected, recovered_s=trial.recovered(), states=[run.answer["state"] for run in trial.runs],
                     run_s=[round(run.took, 1) for run in trial.runs], left_in_queues=left, findings=findings)
    except Exception:  # noqa: BLE001 - one fault's failure is its entry, the others are still tried
        entry["error"] = traceback.format_exc()
    entry.update(problems=trial.problems, details=trial.details, seconds=round(time.monotonic() - began, 1))
    print(f"faults: {trial.number}: {json.dumps(entry)}", flush=True)
    return entry


def verdict(entry: Dict[str, Any]) -> List[str]:
    """Everything of an entry that is not as promised."""
    problems = [f"{name} {entry[name]}" for name in ("lost", "duplicated", "wrong") if entry[name]]
    if not entry["injected"]:
        problems.append("nothing was injected")
    problems += entry["problems"] + entry.get("findings", [])
    if "error" in entry:
        problems.append(entry["error"].splitlines()[-1])
    return problems


if __name__ == "__main__":
    sys.exit(main())
