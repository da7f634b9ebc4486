"""What the chart makes of every values file of tests/chart, given to a real API server: validated strictly, and not kept."""

import json
import subprocess
from typing import Any, Dict, List

from api import Api, ApiError, Object
from control_plane import REPO
from live import Live, Wrong, wait

_NAMESPACE = "accepted"
_DRY = "?dryRun=All&fieldValidation=Strict"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def accepted(live: Live) -> Dict[str, int]:
    """How many objects and pods of each values file it takes; `Wrong` with its words where it refuses any."""
    api, made = live.plane.api, _rendered()
    for definition in made["definitions"]:
        _ensure(api, _DEFINITIONS, definition)
    api.create("/api/v1/namespaces", {"metadata": {"name": _NAMESPACE, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"}}})
    paths: Dict[str, str] = {}
    counts: Dict[str, int] = {}
    refused: List[str] = []

    def give(name: str, manifests: List[Object]) -> None:
        for manifest in manifests:
            try:
                api.create(_path(api, paths, manifest) + _DRY, manifest)
                counts[name] = counts.get(name, 0) + 1
            except ApiError as error:
                refused.append(f"{name}: {manifest['kind']} {manifest['metadata'].get('name', '')}: {error}")

    for name, manifests in made["objects"].items():
        give(name, [manifest for manifest in manifests if manifest["kind"] != "Pod"])
    # What pods name is kept, so that the chart's own objects of the same names came before.
    for manifests in made["objects"].values():
        for pod in _pods(manifests):
            _prepare(api, pod["spec"])
    for name, manifests in made["objects"].items():
        give(name, _pods(manifests))
    if refused:
        raise Wrong("the API server refuses " + "; ".join(refused))
    return counts


def _rendered() -> Dict[str, Any]:
    # The clients' environment has nothing that reads YAML; the chart's has.
    command = [str(REPO / ".local/venv-chart/bin/python"), str(REPO / "tests/chart/objects.py")]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _pods(manifests: List[Object]) -> List[Object]:
    """Pods, and those that controllers would make: pod security is looked at for them alone."""
    pods = [manifest for manifest in manifests if manifest["kind"] == "Pod"]
    for manifest in manifests:
        spec = manifest.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if manifest["kind"] in ("Deployment", "Job", "CronJob"):
            template = spec["template"]
            pods.append({"apiVersion": "v1", "kind": "Pod", "spec": {"restartPolicy": "Always", **template["spec"]},
                         "metadata": {**template["metadata"], "generateName": f"{manifest['metadata']['name']}-"}})
    return pods


def _prepare(api: Api, spec: Object) -> None:
    """What a pod names has to be there, or it is refused for that."""
    _ensure(api, f"/api/v1/namespaces/{_NAMESPACE}/serviceaccounts", {"metadata": {"name": spec["serviceAccountName"]}})
    if "priorityClassName" in spec:
        _ensure(api, "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": spec["priorityClassName"]}, "value": 1})
    if "runtimeClassName" in spec:
        name = spec["runtimeClassName"]
        _ensure(api, "/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": name}, "handler": name})


def _ensure(api: Api, path: str, body: Object) -> None:
    try:
        api.create(path, body)
    except ApiError as error:
        if error.code != 409:
            raise


def _path(api: Api, known: Dict[str, str], manifest: Object) -> str:
    """Where objects of this kind are made, as the API server tells; a custom resource takes it a moment."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    group = f"/apis/{version}" if "/" in version else f"/api/{version}"

    def look() -> str:
        try:
            resources = api.get(group)["resources"]
        except ApiError as error:
            if error.code != 404:
                raise
            return ""
        return next((resource["name"] for resource in resources if resource["kind"] == kind and "/" not in resource["name"]), "")

    if f"{version} {kind}" not in known:
        known[f"{version} {kind}"] = wait(f"{version} {kind} to be served", look, 60)
    return f"{group}/namespaces/{_NAMESPACE}/{known[f'{version} {kind}']}"
