"""KEDA's own operator scales a pool with its queue in a real RabbitMQ, from none to many and back: `make keda-live`.

A pool that sleeps is never woken by an installation or upgrade, and one that grows keeps its number through an upgrade. Queries are encoded by the chart's encoder pool meanwhile, so that no worker is needed for them. Writes target/keda-live.json;
ends with 1 where anything is wrong.
"""

import argparse
import sys
import threading
import time
from typing import Any, Dict, List, Set, Tuple

import keda
from control_plane import REPO
from live import (
    MODEL, NAMESPACE, RELEASE, Live, Wrong, audit, create, dead_letters, finish, install, play, prepare, uninstall, upload,
    values, wait,
)
from reflection import Service

POOL = f"{RELEASE}-sightline-worker-demo"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{POOL}"
MOST = 3


class Watched:
    """How many workers the Deployment wants and has, whenever that changes."""

    def __init__(self, live: Live) -> None:
        self._live, self._started, self._stop = live, time.monotonic(), threading.Event()
        self.seen: List[Tuple[float, int, int]] = []
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stop.wait(0.5):
            wanted, ready = replicas(self._live)
            if not self.seen or self.seen[-1][1:] != (wanted, ready):
                self.seen.append((round(time.monotonic() - self._started, 1), wanted, ready))


def replicas(live: Live) -> Tuple[int, int]:
    """Wanted, and ready."""
    told = live.plane.api.get(DEPLOYMENT)
    return told["spec"]["replicas"], told.get("status", {}).get("readyReplicas", 0)


def workers(live: Live) -> int:
    return sum(pod.name.startswith(POOL) for pod in live.node.pods.values())


def ever_started(live: Live) -> Set[str]:
    names = {pod.name for pod in list(live.node.pods.values())} | {name for name, _, _ in live.node.exits}
    return {name for name in names if name.startswith(POOL)}


def upgrade(live: Live, note: str) -> None:
    """Of nothing that pods are made of, and without a wait for them."""
    live.helm("upgrade", RELEASE, str(REPO / "helm/sightline"), "--reuse-values", "--set", f"deploymentAnnotations.live/upgraded={note}")


def scaled_values(live: Live) -> Dict[str, Any]:
    """Looks and waits are short, so that minutes are enough; all else is as the chart has it."""
    of = values(live)
    of["scaling"] = "keda"
    pool = of["workers"]["demo"]
    del pool["replicas"]
    pool["autoscaling"] = {"startAtMinimum": True, "minReplicas": 0, "maxReplicas": MOST, "shardsPerWorker": 4, "pollingSeconds": 2,
                           "cooldownSeconds": 10, "scaleDownSeconds": 5}
    of["encoder"]["replicas"] = 1
    return of


def scenario(live: Live) -> None:
    live.step("secrets and a restricted namespace", lambda: prepare(live))
    live.step("KEDA's operator and metrics server", lambda: keda.start(live))
    live.step("install --wait", lambda: install(live, scaled_values(live)))
    live.step("upgrade of a pool that sleeps", lambda: upgrade(live, "asleep"))
    live.step("the pool sleeps: no shard waits", lambda: sleeps(live))
    roots = live.step("pictures", lambda: upload(live))
    watched = Watched(live)
    run = create(live, roots[1], live.items)
    live.step("0 to N: the queue fills", lambda: wait(f"{MOST} workers to be wanted", lambda: replicas(live)[0] == MOST))
    live.step("upgrade of a pool that grows", lambda: grows(live, watched))
    live.step("the run's end", lambda: finish(live, run))
    live.step("N to 0: the queue is empty", lambda: wait("no worker", lambda: replicas(live)[0] == 0 and not workers(live)))
    watched.end()
    live.report["replicas"] = [{"seconds": at, "wanted": wanted, "ready": ready} for at, wanted, ready in watched.seen]
    live.report["audit"] = live.step("verify", lambda: audit(live, run))
    live.report["found"] = live.step("a search by words, with no worker", lambda: searched(live))
    live.report["dead_letters"] = dead_letters()
    # It began with none, and has none now: helm says what KEDA says.
    live.step("rollback --wait", lambda: live.helm("rollback", RELEASE, "1", "--wait", "--timeout", "5m"))
    live.step("uninstall --wait", lambda: uninstall(live))
    killed = [exit for exit in live.node.exits if exit[2] != 0]
    live.report["stopped_otherwise"] = killed
    if live.report["dead_letters"] or killed:
        raise Wrong(f"{live.report['dead_letters']} messages were dead-lettered; ended out of order: {killed}")


def sleeps(live: Live) -> None:
    """Not after a worker was started and taken away."""
    wait("no worker", lambda: replicas(live) == (0, 0) and not workers(live))
    if ever_started(live):
        raise Wrong(f"workers were started without a shard: {ever_started(live)}")


def grows(live: Live, watched: Watched) -> None:
    before = len(watched.seen)
    upgrade(live, "growing")
    wait(f"{MOST} ready workers", lambda: replicas(live) == (MOST, MOST))
    fewer = [seen for seen in watched.seen[before:] if seen[1] < MOST]
    if fewer:
        raise Wrong(f"an upgrade took workers away: {fewer}")


def searched(live: Live) -> int:
    gateway = Service(f"{live.endpoints('gateway')[0]}:7303", "sightline.v1.Search")
    hits = gateway.Search(collection="collections/live", text="a red apple", top_k=5)["hits"]
    if len(hits) != 5:
        raise Wrong(f"a search by words found {len(hits)} of 5 items, encoded by {MODEL} in the encoder pool")
    return len(hits)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=600, help="pictures of the run that fills the queue")
    arguments = parser.parse_args()
    return play(Live("keda-live", arguments.items, MOST), scenario)


if __name__ == "__main__":
    sys.exit(main())
