"""A node without containers: binds pods to itself, as a scheduler would, and runs them as processes, as a kubelet would.

What differs from a real node: there are no images (a container runs the binary of its image's name), no namespaces (a
pod listens on a loopback address of its own, and so does a service: `service.py`), no volumes (`/models` and what pods are told of
themselves are folders of this machine), and no limits of memory.
"""

import re
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Dict, List, Tuple

from api import Api, ApiError, Object
from pod import Pod
from service import Services

NAME = "this-machine"
PERIOD_SECONDS = 0.5
_SERVICE = re.compile(r"//([a-z0-9-]+)\.([a-z0-9-]+)\.svc")


class Node:
    """Runs in a thread from `start` to `stop`."""

    def __init__(self, api: Api, binaries: Path, models: Path, logs: Path) -> None:
        self._api, self._binaries, self.models, self.logs = api, binaries, str(models), logs
        self.pods: Dict[str, Pod] = {}
        self._services = Services(api, lambda: {pod.ip: pod.address for pod in list(self.pods.values())})
        self._stopping: Dict[str, threading.Thread] = {}
        self._end = threading.Event()
        self._number = 0
        self.exits: List[Tuple[str, str, int]] = []
        self.problems: List[str] = []
        logs.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def start(self) -> None:
        self._api.create("/api/v1/nodes", {"metadata": {"name": NAME}})
        self._api.merge(f"/api/v1/nodes/{NAME}/status", {"status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "Processes", "message": "runs pods as processes"}],
            "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "250"},
            "capacity": {"cpu": "64", "memory": "256Gi", "pods": "250"}}})
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        for thread in self._stopping.values():
            thread.join(timeout=60)
        for pod in self.pods.values():
            pod.kill()
        self._services.stop()

    def program(self, container: Object) -> List[str]:
        """The binary of an image."""
        name = re.sub(r"[:@].*", "", container["image"]).rpartition("/")[2]
        return [str(self._binaries / {"sightline-cli": "sightline"}.get(name, name))]

    def resolve(self, value: str) -> str:
        """A URL whose host is a service of the cluster, with that service's address on this machine."""
        found = _SERVICE.search(value)
        return value if found is None else value.replace(found[0], f"//{self._services.address(found[2], found[1])}")

    def endpoints(self, namespace: str, service: str) -> List[str]:
        """Addresses of the pods that are ready for a service of ours."""
        return [address for address, _ in self._services.ready(namespace, service).get("grpc", [])]

    def note_exit(self, pod: str, container: str, code: int) -> None:
        self.exits.append((pod, container, code))

    def _loop(self) -> None:
        while not self._end.wait(PERIOD_SECONDS):
            try:
                self._step()
            except (ApiError, OSError, KeyError) as error:
                self.problems.append(str(error))

    def _step(self) -> None:
        manifests = {pod["metadata"]["uid"]: pod for pod in self._api.items("/api/v1/pods")}
        for uid, manifest in manifests.items():
            metadata = manifest["metadata"]
            if metadata.get("deletionTimestamp"):
                self._begin_stop(uid, manifest)
            elif not manifest["spec"].get("nodeName"):
                self._bind(metadata)
            elif uid not in self.pods:
                self.pods[uid] = Pod(self._api, manifest, self, self._number)
                self._number += 1
        for uid, pod in list(self.pods.items()):
            if uid not in manifests:
                pod.kill()
                del self.pods[uid]
            elif uid not in self._stopping:
                pod.step()

    def _bind(self, metadata: Object) -> None:
        self._api.create(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding", {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NAME}})

    def _begin_stop(self, uid: str, manifest: Object) -> None:
        if uid in self._stopping:
            return
        metadata = manifest["metadata"]
        pod = self.pods.get(uid)
        if pod is None:
            self._api.delete(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}",
                             {"gracePeriodSeconds": 0})
            return
        end = datetime.fromisoformat(metadata["deletionTimestamp"].replace("Z", "+00:00")).timestamp()
        thread = threading.Thread(target=pod.stop, args=(end - time.time(),), daemon=True)
        self._stopping[uid] = thread
        thread.start()
