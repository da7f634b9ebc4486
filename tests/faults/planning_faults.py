"""Faults of coordinators and of what is planned: rows 13, 14 and 25 of the table."""

import json
import re
import threading
import time
import urllib.request
from typing import Any, Callable, Dict, List

from cluster import Member
from reflection import Service
from trial import Run, Trial

# Links that a coordinator follows at a time.
CONCURRENT_LINKS = 4


def nodes_by_link(trial: Trial, run: Run) -> Dict[str, List[str]]:
    """The plan's nodes as they lie in the store."""
    pages = trial.servers.client().get_paginator("list_objects_v2").paginate(
        Bucket=trial.servers.bucket, Prefix=f"{run.prefix}/plan/")
    found: Dict[str, List[str]] = {}
    for key in (entry["Key"] for page in pages for entry in page.get("Contents", [])):
        parts = key[len(f"{run.prefix}/plan/"):].split("/")
        if len(parts) == 2:
            found.setdefault(parts[0], []).append(parts[1])
    return found


def followed(member: Member) -> int:
    """Links that the coordinator's present life has followed, as its own metrics say."""
    address = member.process.wait_for(r'/readyz address="?(127\.0\.0\.1:\d+)')
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    counts = re.findall(r'^\S*coordinator_links\S*\{[^}]*outcome="followed"[^}]*\} (\d+)', text, re.MULTILINE)
    return sum(int(count) for count in counts)


def coordinator_crash(trial: Trial) -> None:
    """Coordinator crash in mid-listing: kill -9 at random moments and between the steps of a link."""
    folder = trial.work / "fail-points"
    points = ["coordinator-before-node", "coordinator-after-node", "coordinator-before-links"]
    trial.random.shuffle(points)
    with trial.cluster() as cluster:
        cluster.ready()
        (folder / points[0]).touch()
        # A narrow window makes planning go on for the whole run.
        run = trial.start(cluster, window_shards=16)
        for number, point in enumerate(points):
            (folder / point).touch()
            if not run.until(lambda point=point: not (folder / point).exists(), 120):
                break
            trial.hit()
            time.sleep(trial.random.uniform(0, 1.5))
            if trial.random.choice(cluster.coordinators).kill():
                trial.hit()
            if not run.until_share((number + trial.random.random()) / 5):
                break
        for point in points:
            (folder / point).unlink(missing_ok=True)
        run.wait()
    nodes = nodes_by_link(trial, run)
    repeated = sum(len(found) - 1 for found in nodes.values())
    trial.details.update(links=len(nodes), links_with_two_nodes=repeated)
    trial.must(repeated <= trial.injected * CONCURRENT_LINKS, f"{repeated} links have two nodes")


def two_coordinators(trial: Trial) -> None:
    """Two coordinators on one run: both are asked for it at once, again and again."""
    with trial.cluster() as cluster:
        cluster.ready()
        services = [Service(member.process.address(), "sightline.v1.Coordinator") for member in cluster.coordinators]
        run = trial.start(cluster, window_shards=16)
        answers: List[Any] = []

        def ask(service: Service) -> None:
            answers.append(service.CreateRun(spec=run.spec, request_id=run.request)["name"])

        # A repeated request publishes the root's link again, so that links are followed twice, often by both at once.
        for share in [0.0, *sorted(trial.random.uniform(0, 0.5) for _ in range(4))]:
            if not run.until_share(share):
                break
            threads = [threading.Thread(target=ask, args=(service,)) for service in services]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            both = services[0].ResumeRun, services[1].ResumeRun
            for resume in both:
                resume(name=run.name)
        run.wait()
        shares = [followed(member) for member in cluster.coordinators]
        trial.must(set(answers) == {run.name}, f"one request made the runs {set(answers)}")
    nodes = nodes_by_link(trial, run)
    more = sum(shares) - len(nodes)
    trial.details.update(followed=shares, links=len(nodes), nodes=sum(map(len, nodes.values())))
    trial.must(min(shares) > 0, f"one coordinator did nothing: {shares}")
    # Nothing changed meanwhile, so both have to plan the same shards: one node a link.
    trial.must(all(len(found) == 1 for found in nodes.values()), "two coordinators planned different shards of one link")
    if more > 0:
        trial.hit(more)


def other_versions(trial: Trial) -> None:
    """Messages of a newer version, of an unknown kind, with a field more, and of the first version with a field fewer."""
    with trial.cluster() as cluster:
        cluster.ready()
        run = trial.start(cluster)
        run.until_share(trial.random.uniform(0.05, 0.3))
        queues = trial.servers.queues(trial.host)
        shards = next(name for name in queues if name.startswith("sightline.shards.") and "." not in name[-4:]
                      and not name.endswith(".dead") and "any" not in name)
        identity = run.name.partition("/")[2]
        body = {"version": 1, "kind": "embed", "run": identity, "shard": "0" * 64, "attempt": 1}
        more = {**body, "more": {"of": "a newer one"}}
        newer = [{**more, "version": 2}, {**body, "kind": "segment"}, more]
        done = sorted(trial_results(trial, run))[0]
        older = {**body, "shard": done}
        for queue in (shards, "sightline.plan"):
            for message in newer:
                publish(trial, queue, message)
        publish(trial, shards, older)
        run.wait()
        # Handed back means: it is still there, in the queue or in one of its delays, and in no dead letters.
        deadline = time.monotonic() + 90
        left: Dict[str, int] = {}
        while time.monotonic() < deadline:
            left = {name: count for name, count in trial.servers.queues(trial.host).items() if count}
            if sum(left.values()) == 2 * len(newer):
                break
            time.sleep(1)
        trial.details["left"] = left
        trial.must(sum(left.values()) == 2 * len(newer), f"of {2 * len(newer)} newer messages there are left: {left}")
        trial.must(not any(name.endswith(".dead") for name in left), f"newer messages were dropped: {left}")
        said = sum(member.log().count("a newer worker must take it") for member in cluster.members)
        trial.details["handed_back"] = said
        trial.hit(said)


def trial_results(trial: Trial, run: Run) -> List[str]:
    pages = trial.servers.client().get_paginator("list_objects_v2").paginate(
        Bucket=trial.servers.bucket, Prefix=f"{run.prefix}/results/")
    return [entry["Key"].split("/")[-2] for page in pages for entry in page.get("Contents", [])]


def publish(trial: Trial, queue: str, message: Dict[str, Any]) -> None:
    """Puts a message into a queue by way of the broker's own tools."""
    body = json.dumps(message).replace("\\", "\\\\").replace('"', '\\"')
    exchange = f'rabbit_misc:r(<<"{trial.host}">>, exchange, <<"">>)'
    properties = "{'P_basic', undefined, undefined, undefined, 2, undefined, undefined, undefined, undefined, " \
                 f'<<"{trial.random.randrange(1 << 60):x}">>, undefined, undefined, undefined, undefined, undefined}}'
    content = f'rabbit_basic:build_content({properties}, <<"{body}">>)'
    steps = [f"X = {exchange}", f"C = {content}", f'{{ok, M}} = rabbit_basic:message(X, <<"{queue}">>, C)',
             "rabbit_basic:publish(rabbit_basic:delivery(false, false, M, undefined))"]
    trial.servers.broker("eval", ", ".join(steps) + ".")


FAULTS: Dict[int, Callable[[Trial], None]] = {13: coordinator_crash, 14: two_coordinators, 25: other_versions}
