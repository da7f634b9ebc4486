"""KEDA's operator and metrics server as processes beside a control plane, as its own manifests wire them."""

import os
import shutil
from typing import Dict, List

from control_plane import REPO, ControlPlane, free_ports
from live import Live, Wrong, wait

_LOCAL = REPO / ".local"
_PROGRAMS = _LOCAL / "keda"
_NAMESPACE = "keda"
_METRICS = "v1beta1.external.metrics.k8s.io"


def start(live: Live) -> None:
    """Its resources, its two programs, and its API in the API server; returns when the cluster calls that API available."""
    _definitions(live)
    plane = live.plane
    plane.api.create("/api/v1/namespaces", {"metadata": {"name": _NAMESPACE}})
    metrics, service, *others = free_ports(6)
    _operator(plane, service, others[:2])
    _metrics_server(plane, metrics, service, others[2])
    _announce(plane, metrics)
    wait("the API server to reach KEDA's metrics", lambda: _available(plane))


def _definitions(live: Live) -> None:
    """A chart that has nothing but them: helm reads YAML, and waits until they are established."""
    chart = live.work / "keda-definitions"
    shutil.copytree(_LOCAL / "definitions/keda-definitions", chart / "crds", ignore=shutil.ignore_patterns("LICENSE"))
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: keda-definitions\nversion: 1.0.0\n")
    live.helm("install", "keda-definitions", str(chart))


def _environment(plane: ControlPlane) -> Dict[str, str]:
    return {"KUBECONFIG": str(plane.kubeconfig), "WATCH_NAMESPACE": "", "POD_NAMESPACE": _NAMESPACE,
            "KEDA_CLUSTER_OBJECT_NAMESPACE": _NAMESPACE, "POD_NAME": "keda", "HOME": os.environ.get("HOME", "/tmp")}


def _operator(plane: ControlPlane, service: int, ports: List[int]) -> None:
    plane.run("keda-operator", [
        str(_PROGRAMS / "keda-operator"), "--zap-log-level=info", f"--cert-dir={plane.certificates}",
        f"--metrics-service-bind-address=127.0.0.1:{service}", f"--metrics-bind-address=127.0.0.1:{ports[0]}",
        f"--health-probe-bind-address=127.0.0.1:{ports[1]}"], _environment(plane))


def _metrics_server(plane: ControlPlane, port: int, service: int, own: int) -> None:
    kubeconfig = str(plane.kubeconfig)
    plane.run("keda-metrics-apiserver", [
        str(_PROGRAMS / "keda-metrics-apiserver"), "--bind-address=127.0.0.1", f"--secure-port={port}", f"--port={own}",
        f"--metrics-service-address=127.0.0.1:{service}", f"--cert-dir={plane.certificates}",
        f"--tls-cert-file={plane.certificates}/tls.crt", f"--tls-private-key-file={plane.certificates}/tls.key",
        f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
        f"--lister-kubeconfig={kubeconfig}"], _environment(plane))


def _announce(plane: ControlPlane, port: int) -> None:
    """Where the API server finds it: a service that is a name of this machine, since no proxy routes cluster addresses."""
    plane.api.create(f"/api/v1/namespaces/{_NAMESPACE}/services", {
        "metadata": {"name": "keda-metrics-apiserver"},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}})
    plane.api.create("/apis/apiregistration.k8s.io/v1/apiservices", {
        "metadata": {"name": _METRICS},
        "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100,
                 "versionPriority": 100, "insecureSkipTLSVerify": True,
                 "service": {"name": "keda-metrics-apiserver", "namespace": _NAMESPACE, "port": port}}})


def _available(plane: ControlPlane) -> bool:
    for name, process in plane.processes().items():
        if process.poll() is not None:
            raise Wrong(f"{name} ended with {process.returncode}: see its log in {plane.kubeconfig.parent}")
    told = plane.api.get(f"/apis/apiregistration.k8s.io/v1/apiservices/{_METRICS}").get("status", {})
    return any(condition["type"] == "Available" and condition["status"] == "True"
               for condition in told.get("conditions", []))
