"""Alerts of the chart on a real Prometheus, fired by the outages that they describe: `make alerts-live`.

The rules are those that `helm template` makes, with every duration divided by `FASTER`. Writes target/alerts.json; ends
with 1 where an alert fires before its outage, or does not fire in it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, List

import boto3

from control_plane import REPO, free_ports

sys.path.insert(0, str(REPO / "tests/e2e"))
from load import Load  # noqa: E402
from processes import Process, Processes  # noqa: E402
from reflection import Service  # noqa: E402

FASTER = 20
LIMIT_SECONDS = 240
WORK = REPO / "target/alerts"
MODEL = REPO / ".local/models/sightline-demo"
STAMPS = REPO / ".local/pictures/stamps"
RELEASE, NAMESPACE = "live", "search"
SERVICES = ("coordinator", "worker", "gateway")


def rules() -> Dict[str, Any]:
    """The chart's rules, faster."""
    command = [str(REPO / ".local/helm/helm"), "template", RELEASE, str(REPO / "helm/sightline"), "-n", NAMESPACE,
               "-f", str(REPO / "tests/chart/values/minimal.yaml"), "-s", "templates/monitoring.yaml",
               "--set", "monitoring.prometheusRule.enabled=true"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # The object's spec is what a rule file is; what stands before it is of Kubernetes.
    spec = text[text.index("\nspec:") + len("\nspec:\n"):]

    def faster(found: "re.Match[str]") -> str:
        seconds = int(found[2]) * {"m": 60, "h": 3600}[found[3]]
        return f"{found[1]}{max(2, seconds // FASTER)}s{found[4]}"

    spec = re.sub(r"(\[)(\d+)([mh])(\])", faster, spec)
    return {"text": re.sub(r"(for: )(\d+)([mh])()", faster, spec)}


class Prometheus:
    """A real one, over our services."""

    def __init__(self, metrics: Dict[str, int]) -> None:
        port = free_ports(1)[0]
        self._url = f"http://127.0.0.1:{port}"
        (WORK / "rules.yaml").write_text(rules()["text"])
        scrapes = [{"job_name": job, "honor_labels": True, "static_configs": [
            {"targets": [f"127.0.0.1:{at}"], "labels": {"release": RELEASE, "namespace": NAMESPACE, "pool": "demo",
                                                        "pod": job}}]} for job, at in metrics.items()]
        # JSON is YAML.
        (WORK / "prometheus.yaml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(WORK / "rules.yaml")],
            "scrape_configs": scrapes}))
        tool = REPO / ".local/prometheus"
        subprocess.run([str(tool / "promtool"), "check", "rules", str(WORK / "rules.yaml")], check=True)
        self._process = subprocess.Popen(
            [str(tool / "prometheus"), f"--config.file={WORK}/prometheus.yaml", f"--storage.tsdb.path={WORK}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], stdin=subprocess.DEVNULL)

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float:
        found = self.ask("query?" + urllib.parse.urlencode({"query": expression}))["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def firing(self) -> List[str]:
        return sorted({alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"})

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def until(what: str, look: Callable[[], Any]) -> float:
    """Waits, and answers for how long."""
    started = time.monotonic()
    while True:
        try:
            if look():
                return round(time.monotonic() - started, 1)
        except OSError:
            pass
        if time.monotonic() - started > LIMIT_SECONDS:
            raise SystemExit(f"alerts-live: waited {LIMIT_SECONDS} s for {what}")
        time.sleep(0.5)


class World:
    """The services on real servers."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self.metrics = dict(zip(SERVICES, free_ports(3)))
        self.ports = dict(zip(SERVICES, free_ports(3)))
        self.bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
        self.name = f"alerts-{uuid.uuid4().hex[:8]}"
        self.running: Dict[str, Process] = {service: self.start(service) for service in SERVICES}
        self.running["worker"].wait_for(r"(taking shards)")

    def start(self, service: str) -> Process:
        environment = {
            "SIGHTLINE_S3__ENDPOINT": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"], "SIGHTLINE_S3__PATH_STYLE": "true",
            "SIGHTLINE_INDEX__URL": os.environ["SIGHTLINE_TEST_MILVUS_LITE_URL"],
            "SIGHTLINE_LISTEN__ADDRESS": f"127.0.0.1:{self.ports[service]}",
            "SIGHTLINE_OBSERVABILITY__ADDRESS": f"127.0.0.1:{self.metrics[service]}"}
        if service != "gateway":
            environment["SIGHTLINE_STATE__URL"] = f"s3://{self.bucket}/{self.name}-state"
            environment["SIGHTLINE_QUEUE__URL"] = os.environ["SIGHTLINE_TEST_AMQP_URL"]
        if service != "coordinator":
            environment["SIGHTLINE_MODEL__FOLDER"] = str(MODEL)
            environment["SIGHTLINE_MODEL__THREADS"] = "1"
        return self._processes.start(service, [f"sightline-{service}"], environment)

    def dataset(self, name: str, good: int, damaged: int) -> str:
        """Pictures in S3, of which some are cut short."""
        client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"])
        rows = [json.loads(line) for line in (STAMPS / "captions.jsonl").read_text().splitlines()[:good + damaged]]
        for number, row in enumerate(rows):
            body = (STAMPS / row["image"]).read_bytes()
            client.put_object(Bucket=self.bucket, Key=f"{name}/{number}.png", Body=body if number < good else body[:200])
        return f"s3://{self.bucket}/{name}"

    def run(self, root: str) -> None:
        coordinator = Service(f"127.0.0.1:{self.ports['coordinator']}", "sightline.v1.Coordinator")
        spec = {"kind": "EMBED", "dataset": {"name": root.rpartition("/")[2], "root": root, "prefix": {}},
                "collection": "collections/alerts", "model": MODEL.name, "shard_items": 8}
        created = coordinator.CreateRun(spec=spec, request_id=uuid.uuid4().hex)["name"]
        ended = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED"}
        until(f"{created} to end", lambda: coordinator.GetRun(name=created)["state"] in ended)


class Again:
    """Does something again and again, beside what is done within."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work, self._stop = work, threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._work()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def engines(worker: Process) -> List[int]:
    """Its children, whichever of its threads started them."""
    return [int(child) for task in Path(f"/proc/{worker.pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def main() -> int:
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "logs").mkdir(parents=True)
    report: Dict[str, Any] = {"faster": FASTER, "fired_before": [], "fired_after_seconds": {}}
    with Processes(WORK / "logs") as processes:
        world = World(processes)
        prometheus = Prometheus(world.metrics)
        try:
            scenario(world, prometheus, report)
        finally:
            prometheus.stop()
    (REPO / "target/alerts.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    failed = len(report["fired_before"])
    print(f"alerts-live: {len(report['fired_after_seconds'])} passed, {failed} failed")
    return 1 if failed else 0


def scenario(world: World, prometheus: Prometheus, report: Dict[str, Any]) -> None:
    def fires(alert: str) -> None:
        seconds = until(f"{alert} to fire", lambda: alert in prometheus.firing())
        report["fired_after_seconds"][alert] = seconds
        print(f"alerts-live: {alert} after {seconds} s", flush=True)

    until("the first metrics", lambda: prometheus.value("count(up == 1)") == len(SERVICES))
    world.run(world.dataset(f"{world.name}-good", 40, 0))
    load = Load(lambda: [f"127.0.0.1:{world.ports['gateway']}"], {"collection": "collections/alerts", "text": "a red apple"})
    # As long as the longest duration of any of the four alerts.
    until("searches", lambda: prometheus.value("sum(sightline_gateway_search_seconds_count)") > 20)
    hold = time.monotonic() + 1200 / FASTER
    until("a quiet time", lambda: time.monotonic() > hold or prometheus.firing())
    report["fired_before"] = prometheus.firing()

    # A dataset whose pictures are damaged; its failed items are tried anew in each run.
    root = world.dataset(f"{world.name}-damaged", 10, 60)
    with Again(lambda: world.run(root)):
        fires("SightlineItemsFail")
    # An engine that dies again and again.
    for _ in range(5):
        found = engines(world.running["worker"])
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        until("another engine", lambda old=found: engines(world.running["worker"]) not in ([], old))
    fires("SightlineEngineRestarts")
    # The index is away.
    subprocess.run([sys.executable, str(REPO / "deploy/dev/dev.py"), "kill", "milvus-lite"], check=True)
    fires("SightlineSearchesFail")
    load.end()
    # The coordinator is gone.
    world.running["coordinator"].end()
    fires("SightlineCoordinatorDown")


if __name__ == "__main__":
    sys.exit(main())
