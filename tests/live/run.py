"""The chart on a real control plane, its pods as processes on real RabbitMQ, S3 and Milvus: `make helm-live`.

Installs it, tests it, indexes pictures, restarts every service in the middle of a run and of a query load, takes workers
away under load, rolls back and uninstalls. Writes target/helm-live.json; ends with 1 where anything is wrong.
"""

import argparse
import json
import sys
from typing import Any, Dict

from live import (
    REPO, RELEASE, ENDED, Live, Wrong, audit, create, dead_letters, finish, install, play, prepare, uninstall, upload,
    values, wait,
)
from load import Load


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2000, help="pictures of the run under which services are restarted")
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    return play(Live("helm-live", arguments.items, arguments.workers), scenario)


def scenario(live: Live) -> None:
    live.step("secrets and a restricted namespace", lambda: prepare(live))
    live.step("install --wait", lambda: install(live, values(live)))
    live.step("helm test", lambda: live.helm("test", RELEASE, "--timeout", "2m"))
    roots = live.step("pictures", lambda: upload(live))
    live.step("a first run", lambda: finish(live, create(live, roots[0], 100)))
    load = Load(lambda: [f"{address}:7303" for address in live.endpoints("gateway")],
                {"collection": "collections/live", "text": "a red apple", "top_k": 5})
    run = create(live, roots[1], live.items)
    wait("shards done", lambda: int(live.run(run)["done_shards"]) >= 2)
    live.step("upgrade --wait in the middle of a run and of queries", lambda: restart_all(live, run))
    live.step("workers to 1 under load", lambda: scale(live, run, 1))
    ended = live.step("the run's end", lambda: finish(live, run))
    live.report["queries"] = load.end()
    live.report["failed_queries"] = load.failures[:5]
    live.report["run"] = {key: ended[key] for key in ("state", "planned_items", "done_shards")}
    live.report["audit"] = live.step("verify", lambda: audit(live, run))
    live.report["dead_letters"] = dead_letters()
    live.step("rollback --wait", lambda: live.helm("rollback", RELEASE, "1", "--wait", "--timeout", "5m"))
    live.step("uninstall --wait", lambda: uninstall(live))
    judge(live)


def judge(live: Live) -> None:
    exits = [exit for exit in live.node.exits if exit[1] in ("coordinator", "gateway", "worker")]
    live.report["stopped_in_order"] = sum(code == 0 for _, _, code in exits)
    live.report["stopped_otherwise"] = [exit for exit in exits if exit[2] != 0]
    if live.report["queries"]["failed"] or not live.report["queries"]["answered"]:
        raise Wrong(f"queries failed: {live.report['failed_queries']}")
    if live.report["dead_letters"]:
        raise Wrong(f"{live.report['dead_letters']} messages were dead-lettered")
    if live.report["stopped_otherwise"]:
        raise Wrong(f"processes did not end in order: {live.report['stopped_otherwise']}")


def restart_all(live: Live, run: str) -> None:
    """Every pod anew: its annotations change."""
    before = {pod.name for pod in live.node.pods.values()}
    upgrade(live, live.workers)
    wait("the old pods to go", lambda: not before & {pod.name for pod in live.node.pods.values()})
    live.report["restarted_pods"] = len(before)
    still_runs(live, run)


def upgrade(live: Live, workers: int) -> None:
    note = {"podAnnotations": {"live/restarted": "1"}}
    changed = values(live)
    changed["workers"]["demo"]["replicas"] = workers
    changed.update({"coordinator": note, "gateway": {**changed["gateway"], **note}, "workerDefaults": note})
    file = live.work / "values-2.json"
    file.write_text(json.dumps(changed))
    live.helm("upgrade", RELEASE, str(REPO / "helm/sightline"), "--values", str(file), "--wait", "--timeout", "9m")


def still_runs(live: Live, run: str) -> None:
    """What is to be shown under load is not shown after it."""
    now = live.run(run)
    if now["state"] in ENDED:
        raise Wrong(f"{run} had ended too soon ({now['state']}): run with more --items")
    live.report.setdefault("done_shards", []).append(int(now["done_shards"]))


def scale(live: Live, run: str, replicas: int) -> None:
    still_runs(live, run)
    upgrade(live, replicas)
    name = f"{RELEASE}-sightline-worker-demo"
    wait("workers to go", lambda: sum(pod.name.startswith(name) for pod in live.node.pods.values()) == replicas)
    still_runs(live, run)


if __name__ == "__main__":
    sys.exit(main())
