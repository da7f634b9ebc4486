"""The chart on a real control plane, its pods as processes on real RabbitMQ, S3 and Milvus: `make helm-live`.

Installs it, tests it, has a Job and a CronJob index pictures, restarts every service in the middle of a run and of a query
load, takes workers away under load, restarts gateways that have a model of their own, rolls back and uninstalls. Then the API
server is given what the chart makes of every values file of tests/chart. Writes target/helm-live.json; ends with 1 where anything is
wrong.
"""

import argparse
import sys
from collections import Counter
from typing import Any, Callable, Dict, List

import jobs
from accepted import accepted
from live import (
    RELEASE, ENDED, Live, Wrong, audit, dead_letters, finish, install, model, play, prepare, specification, uninstall,
    upgrade, upload, values, wait,
)
from load import Load

SERVICES = ("coordinator", "gateway", "encoder", "worker")
QUERY = {"collection": "collections/live", "text": "a red apple", "top_k": 5}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2000, help="pictures of the run under which services are restarted")
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    return play(Live("helm-live", arguments.items, arguments.workers), scenario)


def scenario(live: Live) -> None:
    live.step("secrets and a restricted namespace", lambda: prepare(live))
    roots = live.step("pictures", lambda: upload(live))
    live.step("install --wait", lambda: install(live, {**values(live), "runs": first_runs(roots[0])}))
    live.step("helm test", lambda: live.helm("test", RELEASE, "--timeout", "2m"))
    live.step("the run of a Job", lambda: ended_by_job(live, "once", "live"))
    live.step("the run of a CronJob", lambda: ended_by_job(live, "minutely", "scheduled"))
    load = queries(live)
    live.step("upgrade --wait with the Job of a long run", lambda: upgrade(live, {"runs": {
        "minutely": {"suspend": True}, "long": {"spec": specification(roots[1], live.items)}}}))
    run = jobs.run_of(live, "second", "live")
    wait("shards done", lambda: int(live.run(run)["done_shards"]) >= 2)
    live.step("upgrade --wait in the middle of a run and of queries", lambda: restart_all(live, run))
    live.step("workers to 1 under load", lambda: scale(live, run, 1))
    ended = live.step("the run's end", lambda: finish(live, run))
    end(live, "queries", load)
    live.report["run"] = {key: ended[key] for key in ("state", "planned_items", "done_shards")}
    live.step("the end of the Job that watched it all the time", lambda: jobs.completed(live, "long"))
    live.report["audit"] = live.step("verify", lambda: audit(live, run))
    live.report["dead_letters"] = dead_letters()
    live.step("gateways with a model of their own, restarted under queries", lambda: own_models(live))
    live.step("rollback --wait", lambda: live.helm("rollback", RELEASE, "1", "--wait", "--timeout", "5m"))
    live.step("uninstall --wait", lambda: uninstall(live))
    live.report["accepted"] = live.step("every values file, as the API server takes it", lambda: accepted(live))
    judge(live)


def first_runs(root: str) -> Dict[str, Any]:
    """A run of a Job, and one a minute of a CronJob; in collections of their own, since they may meet."""
    return {"once": {"spec": specification(root, 100)},
            "minutely": {"schedule": "* * * * *", "spec": specification(root, 100, "scheduled")}}


def ended_by_job(live: Live, name: str, collection: str) -> None:
    jobs.completed(live, name)
    audit(live, jobs.run_of(live, "first", collection))


def queries(live: Live) -> Load:
    return Load(lambda: [f"{address}:7303" for address in live.endpoints("gateway")], QUERY)


def end(live: Live, name: str, load: Load) -> None:
    live.report[name] = load.end()
    if live.report[name]["failed"] or not live.report[name]["answered"]:
        raise Wrong(f"{name}: {live.report[name]}, such as {load.failures[:5]}")


def judge(live: Live) -> None:
    exits = [exit for exit in live.node.exits if exit[1] in SERVICES]
    live.report["stopped_in_order"] = Counter(name for _, name, code in exits if code == 0)
    live.report["stopped_otherwise"] = [exit for exit in exits if exit[2] != 0]
    if live.report["dead_letters"]:
        raise Wrong(f"{live.report['dead_letters']} messages were dead-lettered")
    if live.report["stopped_otherwise"]:
        raise Wrong(f"processes did not end in order: {live.report['stopped_otherwise']}")


def pods_of(live: Live, *components: str) -> Dict[str, str]:
    """Names of pods, and what each is."""
    return {pod.name: pod.component for pod in list(live.node.pods.values()) if pod.component in components}


def replaced(live: Live, components: List[str], change: Callable[[], None]) -> Dict[str, int]:
    """How many pods there were of each, none of which is there any more after the change."""
    before = pods_of(live, *components)
    change()
    wait("the old pods to go", lambda: not before.keys() & pods_of(live, *components).keys())
    return Counter(before.values())


def restart_all(live: Live, run: str) -> None:
    """Every pod anew: its annotations change."""
    note = {"podAnnotations": {"live/restarted": "1"}}
    change = {"coordinator": note, "gateway": note, "encoder": note, "workerDefaults": note}
    counts = replaced(live, list(SERVICES), lambda: upgrade(live, change))
    live.report["restarted_pods"] = counts
    if set(counts) != set(SERVICES):
        raise Wrong(f"not every service was restarted: {counts}")
    still_runs(live, run)


def still_runs(live: Live, run: str) -> None:
    """What is to be shown under load is not shown after it."""
    now = live.run(run)
    if now["state"] in ENDED:
        raise Wrong(f"{run} had ended too soon ({now['state']}): run with more --items")
    live.report.setdefault("done_shards", []).append(int(now["done_shards"]))


def scale(live: Live, run: str, replicas: int) -> None:
    still_runs(live, run)
    upgrade(live, {"workers": {"demo": {"replicas": replicas}}})
    wait("workers to go", lambda: len(pods_of(live, "worker")) == replicas)
    still_runs(live, run)


def own_models(live: Live) -> None:
    """Without encoders, gateways load the model: a restart takes as long as that."""
    of = {"model": model(), "config": {"model": {"precision": "f32"}}}
    replaced(live, ["gateway", "encoder"], lambda: upgrade(live, {"encoder": {"enabled": False}, "gateway": of}))
    load = queries(live)
    wait("an answer", lambda: load.counts["answered"])
    note = {"podAnnotations": {"live/restarted": "2"}}
    live.report["restarted_gateways"] = replaced(live, ["gateway"], lambda: upgrade(live, {"gateway": note}))["gateway"]
    end(live, "queries_to_gateways_with_models", load)


if __name__ == "__main__":
    sys.exit(main())
