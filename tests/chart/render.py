"""The chart as helm renders it."""

import functools
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import yaml

REPO: Path = Path(__file__).resolve().parents[2]
HELM: Path = REPO / ".local/helm/helm"
# The oldest that the chart is for.
OLDEST_HELM: Path = REPO / ".local/helm-3/helm"
CHART: Path = REPO / "helm/sightline"
VALUES: Path = Path(__file__).resolve().parent / "values"
# Kubernetes versions that everything is checked for.
VERSIONS: List[str] = ["1.30.0", "1.31.0", "1.32.0", "1.33.0", "1.34.0"]
# What a values file needs beyond the oldest version: volumes of type image.
OLDEST: Dict[str, str] = {"air-gapped": "1.31.0"}
RELEASE = "demo"
NAMESPACE = "search"

Manifest = Dict[str, Any]


class Refused(Exception):
    """helm would not render."""


class _Loader(yaml.CSafeLoader):
    """Refuses what YAML leaves open, and Kubernetes takes the last of: a key that stands twice."""


def _mapping(loader: Any, node: Any) -> Any:
    keys = [key.value for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.YAMLError(f"{key} stands twice{node.start_mark}")
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def names() -> List[str]:
    """The values files."""
    return sorted(file.stem for file in VALUES.glob("*.yaml"))


def versions(name: str) -> List[str]:
    """The Kubernetes versions that a values file is for."""
    return VERSIONS[VERSIONS.index(OLDEST.get(name, VERSIONS[0])):]


def chart(files: List[Path], version: str = VERSIONS[-1], arguments: List[str] = [], folder: Path = CHART,
          release: str = RELEASE, namespace: str = NAMESPACE, helm: Path = HELM) -> List[Manifest]:
    """Every object that the chart makes of these values files, hooks too; `Refused` with helm's words where it would not."""
    text = _rendered(tuple(file.read_text() for file in files), version, tuple(arguments), folder, (release, namespace), helm)
    return load(text)


def load(text: str) -> List[Manifest]:
    """The objects of what helm printed."""
    return [manifest for manifest in yaml.load_all(text, Loader=_Loader) if manifest]


@functools.lru_cache(maxsize=None)
def _rendered(values: Tuple[str, ...], version: str, arguments: Tuple[str, ...], folder: Path, installed: Tuple[str, str],
              helm: Path) -> str:
    """What helm prints: many tests look at the same."""
    command = [str(helm), "template", installed[0], str(folder), "--namespace", installed[1], "--kube-version", version, *arguments]
    with tempfile.TemporaryDirectory() as place:
        for number, text in enumerate(values):
            file = Path(place) / f"{number}.yaml"
            file.write_text(text)
            command += ["--values", str(file)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise Refused(ended.stderr)
    return ended.stdout


def named(name: str, version: str = VERSIONS[-1], arguments: List[str] = [], above: Optional[Manifest] = None,
          folder: Path = CHART, release: str = RELEASE, namespace: str = NAMESPACE, helm: Path = HELM) -> List[Manifest]:
    """What the chart makes of one of the values files here, with the values `above` over it."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(above or {}, file)
        file.flush()
        return chart([VALUES / f"{name}.yaml", Path(file.name)], version, arguments, folder, release, namespace)


def notes(name: str, above: Optional[Manifest] = None) -> str:
    """What helm says after an installation with one of the values files here, and the values `above` over it."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(above or {}, file)
        file.flush()
        command = [str(HELM), "install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--dry-run=client", "--output", "json",
                   "--values", str(VALUES / f"{name}.yaml"), "--values", file.name]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise Refused(ended.stderr)
    return json.loads(ended.stdout)["info"]["notes"]


def of_kind(manifests: List[Manifest], kind: str) -> List[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def by_name(manifests: List[Manifest], kind: str) -> Dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in of_kind(manifests, kind)}


def pods(manifests: List[Manifest]) -> Iterator[Manifest]:
    """The specification of every pod, with its labels."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield manifest
        elif manifest["kind"] in ("Deployment", "Job"):
            yield manifest["spec"]["template"]
        elif manifest["kind"] == "CronJob":
            yield manifest["spec"]["jobTemplate"]["spec"]["template"]


def containers(pod: Manifest) -> List[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
