"""What the programs of this folder share: the chart's cluster, its values, and runs in it."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from typing import Any, Callable, Dict, List

import boto3

from control_plane import REPO, ControlPlane
from node import Node

sys.path.insert(0, str(REPO / "tests/e2e"))
from reflection import Service  # noqa: E402

NAMESPACE, RELEASE = "search", "live"
STAMPS = REPO / ".local/pictures/stamps"
MODEL = "sightline-demo"
ENDED = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED"}


class Live:
    """The cluster, and what was found out."""

    def __init__(self, name: str, items: int, workers: int) -> None:
        self.name, self.items, self.workers = name, items, workers
        self.work = REPO / "target" / name
        shutil.rmtree(self.work, ignore_errors=True)
        self.report: Dict[str, Any] = {"steps": {}}
        self.bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
        self.plane = ControlPlane(self.work / "cluster")
        self.node = Node(self.plane.api, REPO / "target/debug", REPO / ".local/models", self.work / "logs")
        # Those that the release has now.
        self.values: Dict[str, Any] = {}

    def helm(self, *arguments: str) -> None:
        command = [str(REPO / ".local/helm/helm"), "--kubeconfig", str(self.plane.kubeconfig), "-n", NAMESPACE, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(self.work)})
        if ended.returncode != 0:
            raise Wrong(f"helm {' '.join(arguments)}: {ended.stdout}{ended.stderr}")

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        started = time.monotonic()
        print(f"{self.name}: {name}", flush=True)
        result = work()
        self.report["steps"][name] = round(time.monotonic() - started, 1)
        return result

    def endpoints(self, component: str) -> List[str]:
        return self.node.endpoints(NAMESPACE, f"{RELEASE}-sightline-{component}")

    def coordinator(self) -> Service:
        found = wait("a ready coordinator", lambda: self.endpoints("coordinator"))
        return Service(f"{found[0]}:7301", "sightline.v1.Coordinator")

    def run(self, name: str) -> Dict[str, Any]:
        """A run as it stands, from any coordinator: one may be on its way out."""
        for _ in range(20):
            try:
                return self.coordinator().GetRun(name=name)
            except Exception as error:  # grpc's errors have no common base that is public
                reason = error
                time.sleep(0.5)
        raise Wrong(f"no coordinator tells of {name}: {reason}")


class Wrong(Exception):
    """Something that must not be."""


def play(live: Live, scenario: Callable[[Live], None]) -> int:
    """Plays a scenario, writes target/NAME.json, and answers the exit code."""
    live.node.start()
    problem = ""
    try:
        scenario(live)
    except Wrong as wrong:
        problem = str(wrong)
    finally:
        live.node.stop()
        live.plane.stop()
    live.report["problem"] = problem
    live.report["node_problems"] = live.node.problems[-5:]
    text = json.dumps(live.report, indent=1)
    (REPO / f"target/{live.name}.json").write_text(text + "\n")
    print(text)
    print(f"{live.name}: {len(live.report['steps'])} passed, {1 if problem else 0} failed")
    return 1 if problem else 0


def wait(what: str, look: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Wrong(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.3)


def prepare(live: Live) -> None:
    api = live.plane.api
    # The API server itself refuses pods that do not meet the restricted standard.
    api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"}}})
    wait("the namespace's own account", lambda: api.items(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"))
    broker = management()
    secrets = {
        "rabbitmq": {"url": os.environ["SIGHTLINE_TEST_AMQP_URL"], "username": broker[1], "password": broker[2]},
        "milvus": {"url": os.environ["SIGHTLINE_TEST_MILVUS_LITE_URL"]},
        "s3": {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    }
    for name, data in secrets.items():
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        api.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", {"metadata": {"name": name}, "data": encoded})


def values(live: Live) -> Dict[str, Any]:
    served = {"model": model(), "config": {"model": {"threads": 1, "precision": "f32"}}}
    return {
        "state": {"url": f"s3://{live.bucket}/live"},
        "s3": {"endpoint": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"], "pathStyle": True, "region": "us-east-1",
               "existingSecret": {"name": "s3"}},
        "queue": {"existingSecret": {"name": "rabbitmq"},
                  "management": {"url": f"http://{management()[3]}", "existingSecret": {"name": "rabbitmq"}}},
        "index": {"existingSecret": {"name": "milvus"}},
        "scaling": "none",
        "telemetry": {"logFormat": "text"},
        "gateway": {"autoscaling": {"enabled": False}},
        "encoder": {"enabled": True, **served},
        "workers": {"demo": {**served, "replicas": live.workers, "terminationGracePeriodSeconds": 60}},
    }


def model() -> Dict[str, Any]:
    return {"name": MODEL, "path": MODEL, "volume": {"persistentVolumeClaim": {"claimName": "models"}}}


def install(live: Live, of: Dict[str, Any]) -> None:
    _apply(live, "install", of, "5m")


def upgrade(live: Live, change: Dict[str, Any]) -> None:
    """With the values that the release has, and `change` over them."""
    _apply(live, "upgrade", _over(live.values, change), "9m")


def _apply(live: Live, verb: str, of: Dict[str, Any], limit: str) -> None:
    live.values = of
    file = live.work / "values.json"
    file.write_text(json.dumps(of))
    live.helm(verb, RELEASE, str(REPO / "helm/sightline"), "--values", str(file), "--wait", "--timeout", limit)


def _over(below: Dict[str, Any], above: Dict[str, Any]) -> Dict[str, Any]:
    """Merged as helm merges values."""
    return {**below, **{key: _over(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
                        for key, value in above.items()}}


def upload(live: Live) -> List[str]:
    client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"])
    rows = [json.loads(line) for line in (STAMPS / "captions.jsonl").read_text().splitlines()]
    roots = []
    for prefix, count in (("first", 100), ("second", live.items)):
        chosen = [{**rows[index % len(rows)], "key": f"{prefix}-{index}"} for index in range(count)]
        for image in {row["image"] for row in chosen}:
            client.put_object(Bucket=live.bucket, Key=f"{prefix}/{image}", Body=(STAMPS / image).read_bytes())
        lines = "\n".join(json.dumps(row) for row in chosen)
        client.put_object(Bucket=live.bucket, Key=f"{prefix}/manifest.jsonl", Body=lines.encode())
        roots.append(f"s3://{live.bucket}/{prefix}")
    return roots


def specification(root: str, items: int, collection: str = "live") -> Dict[str, Any]:
    """Of a run over pictures that `upload` put there."""
    return {"kind": "EMBED", "dataset": {"name": root.rpartition("/")[2], "root": root, "manifest": {"path": "manifest.jsonl"}},
            "collection": f"collections/{collection}", "model": MODEL, "shard_items": max(4, items // 60)}


def create(live: Live, root: str, items: int) -> str:
    return live.coordinator().CreateRun(spec=specification(root, items), request_id=root)["name"]


def finish(live: Live, run: str) -> Dict[str, Any]:
    ended = wait(f"{run} to end", lambda: (now := live.run(run))["state"] in ENDED and now, 900)
    if ended["state"] != "SUCCEEDED":
        raise Wrong(f"{run} ended {ended['state']}: {ended.get('state_message')}")
    return ended


def audit(live: Live, run: str) -> Dict[str, Any]:
    last: Dict[str, Any] = {}
    for message in live.coordinator().VerifyRun(name=run, timeout=600):
        last = message.get("audit") or last
    if not last.get("verified"):
        raise Wrong(f"{run} is not verified: {last}")
    return {key: last[key] for key in ("verified", "items")}


def management() -> "re.Match[str]":
    """User, password and place of the broker's management API."""
    url = re.match(r"http://([^:]+):([^@]+)@(.+)$", os.environ["SIGHTLINE_TEST_AMQP_MANAGEMENT_URL"])
    if url is None:
        raise Wrong("SIGHTLINE_TEST_AMQP_MANAGEMENT_URL is not http://user:password@host:port")
    return url


def dead_letters() -> int:
    """Messages in the broker's queues of dead letters."""
    url = management()
    request = urllib.request.Request(f"http://{url[3]}/api/queues")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{url[1]}:{url[2]}".encode()).decode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        queues = json.load(answer)
    return sum(queue.get("messages", 0) for queue in queues if queue["name"].endswith(".dead"))


def uninstall(live: Live) -> None:
    live.helm("uninstall", RELEASE, "--wait", "--timeout", "5m")
    # That of `helm test` is no part of the release, and stays until the next test.
    wait("every pod to go", lambda: not [pod for pod in list(live.node.pods.values()) if pod.component != "test"])
