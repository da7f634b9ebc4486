"""A pod whose containers are processes on this machine: environment, probes, hooks and signals as its specification says."""

import base64
import math
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Optional

from api import Api, Object

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


class Container:
    """One container."""

    def __init__(self, spec: Object, environment: Dict[str, str], command: List[str], log: Path) -> None:
        self.spec, self._environment, self._command, self._log = spec, environment, command, log
        self.process: Optional["subprocess.Popen[bytes]"] = None
        self.ready = "readinessProbe" not in spec
        self.restarts = 0
        self.started = 0.0
        self._misses = 0

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT)
        self.started = time.time()

    def exit_code(self) -> Optional[int]:
        return None if self.process is None else self.process.poll()

    def probe(self, address: str) -> None:
        """Asks readiness and liveness once; a process that is not live any more is killed, to be started again."""
        if "readinessProbe" in self.spec:
            self.ready = self._asked("readinessProbe", address)
        if "livenessProbe" in self.spec and time.time() - self.started > 60:
            self._misses = 0 if self._asked("livenessProbe", address) else self._misses + 1
            if self._misses > self.spec["livenessProbe"].get("failureThreshold", 3) and self.process:
                self.process.kill()

    def _asked(self, name: str, address: str) -> bool:
        request = self.spec[name]["httpGet"]
        port = next(port["containerPort"] for port in self.spec["ports"] if port["name"] == request["port"])
        try:
            with urllib.request.urlopen(f"http://{address}:{port}{request['path']}", timeout=3) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False


class Pod:
    """A pod that was bound to this node."""

    def __init__(self, api: Api, manifest: Object, node: Any, number: int) -> None:
        self._api, self.manifest, self._node = api, manifest, node
        metadata = manifest["metadata"]
        self.name, self.namespace, self.uid = metadata["name"], metadata["namespace"], metadata["uid"]
        # What the cluster is told (loopback addresses are no endpoints), and where the processes really listen.
        self.ip = f"10.77.{number // 250}.{number % 250 + 1}"
        self.address = f"127.77.{number // 250}.{number % 250 + 1}"
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.component = metadata.get("labels", {}).get("app.kubernetes.io/component", "")
        self._ended = False
        self._folders = self._downward()
        self.containers = [self._container(spec) for spec in manifest["spec"]["containers"]]
        self._told = ""
        self._started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for container in self.containers:
            container.start()

    def step(self) -> None:
        """Looks at the processes once, and tells the API server what is new."""
        policy = self.manifest["spec"].get("restartPolicy", "Always")
        for container in self.containers:
            if container.exit_code() is not None:
                container.ready = False
                if policy == "Always" and time.time() - container.started > 2 ** min(container.restarts, 6):
                    container.restarts += 1
                    container.start()
            else:
                container.probe(self.address)
        self._tell()

    def stop(self, grace: float) -> None:
        """Ends it as a kubelet does: hook, SIGTERM, and SIGKILL after the grace period; then the pod is gone."""
        deadline = time.monotonic() + grace
        threads = [threading.Thread(target=self._stop_container, args=(container, deadline))
                   for container in self.containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._ended = True
        self._api.delete(self.path, {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}})

    def _stop_container(self, container: Container, deadline: float) -> None:
        container.ready = False
        if container.process is None or container.process.poll() is not None:
            return
        seconds = container.spec.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        time.sleep(seconds)
        container.process.send_signal(signal.SIGTERM)
        try:
            code = container.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            self._node.note_exit(self.name, container.spec["name"], code)
        except subprocess.TimeoutExpired:
            container.process.kill()
            container.process.wait()
            self._node.note_exit(self.name, container.spec["name"], -signal.SIGKILL)

    def kill(self) -> None:
        for container in self.containers:
            if container.process and container.process.poll() is None:
                container.process.kill()
                container.process.wait()

    def _downward(self) -> Dict[str, str]:
        """Folders with what the pod is told of itself as files, by the names of the volumes."""
        folders = {}
        for volume in self.manifest["spec"].get("volumes", []):
            if "downwardAPI" in volume:
                folder = self._node.logs / f"{self.name}.{volume['name']}"
                folder.mkdir(exist_ok=True)
                for item in volume["downwardAPI"]["items"]:
                    (folder / item["path"]).write_text(self._field(item["fieldRef"]["fieldPath"]))
                folders[volume["name"]] = str(folder)
        return folders

    def _container(self, spec: Object) -> Container:
        environment = {"PATH": os.environ["PATH"], "HOME": "/tmp", "HOSTNAME": self.name}
        environment.update({entry["name"]: value for entry in spec.get("env", [])
                            if (value := self._value(entry, spec)) is not None})
        # As for the kubelet, a reference to a variable that there is none of stays as it is.
        arguments = [_REFERENCE.sub(lambda found: environment.get(found[1], found[0]), argument)
                     for argument in spec.get("args", [])]
        command = [*self._node.program(spec), *(self._placed(argument, spec) for argument in arguments)]
        return Container(spec, environment, command, self._node.logs / f"{self.name}.{spec['name']}.log")

    def _value(self, entry: Object, spec: Object) -> Optional[str]:
        source = entry.get("valueFrom")
        if source is None:
            return self._placed(entry.get("value", ""), spec)
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        if "resourceFieldRef" in source:
            return self._cores(source["resourceFieldRef"]["resource"], spec)
        reference = source["secretKeyRef"]
        secret = self._api.get(f"/api/v1/namespaces/{self.namespace}/secrets/{reference['name']}")
        encoded = secret["data"].get(reference["key"])
        if encoded is None and not reference.get("optional"):
            raise KeyError(f"secret {reference['name']} has no key {reference['key']}")
        return None if encoded is None else base64.b64decode(encoded).decode()

    def _field(self, path: str) -> str:
        metadata = self.manifest["metadata"]
        within = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
        return metadata[within[1]][within[2]] if within else metadata[path.removeprefix("metadata.")]

    @staticmethod
    def _cores(resource: str, spec: Object) -> str:
        """As the kubelet tells them: whole ones, rounded up."""
        side, _, name = resource.partition(".")
        text = str(spec["resources"][side][name])
        return str(math.ceil(int(text[:-1]) / 1000 if text.endswith("m") else float(text)))

    def _placed(self, value: str, spec: Object) -> str:
        """A container's own network, volumes and names of services, as they are without containers."""
        value = value.replace("0.0.0.0:", f"{self.address}:").replace("/models", self._node.models)
        for mount in spec.get("volumeMounts", []):
            if mount["name"] in self._folders:
                value = value.replace(mount["mountPath"], self._folders[mount["name"]])
        return self._node.resolve(value)

    def _tell(self) -> None:
        status = self._status()
        if self._ended or repr(status) == self._told:
            return
        self._api.merge(f"{self.path}/status", {"status": status})
        self._told = repr(status)

    def _status(self) -> Object:
        never = self.manifest["spec"].get("restartPolicy") == "Never"
        codes = [container.exit_code() for container in self.containers]
        phase = "Running"
        if never and None not in codes:
            phase = "Succeeded" if not any(codes) else "Failed"
        ready = all(container.ready for container in self.containers) and phase == "Running"
        def condition(kind: str, holds: bool) -> Object:
            return {"type": kind, "status": str(holds), "lastTransitionTime": self._started}
        return {
            "phase": phase, "podIP": self.ip, "podIPs": [{"ip": self.ip}], "hostIP": "10.77.255.1",
            "startTime": self._started,
            "conditions": [condition("PodScheduled", True), condition("Initialized", True),
                           condition("ContainersReady", ready), condition("Ready", ready)],
            "containerStatuses": [self._container_status(container) for container in self.containers],
        }

    def _container_status(self, container: Container) -> Object:
        code = container.exit_code()
        state: Object = {"running": {"startedAt": self._started}} if code is None else {
            "terminated": {"exitCode": abs(code), "reason": "Completed" if code == 0 else "Error"}}
        return {"name": container.spec["name"], "image": container.spec["image"], "imageID": "process",
                "ready": container.ready, "started": code is None, "restartCount": container.restarts, "state": state}
