"""Strict schemas: Kubernetes' own for each version, and those of the resources that KEDA and others define."""

import copy
import functools
import json
from importlib import resources
from typing import Any, Dict, Iterator, List

import jsonschema
import referencing
import yaml

from render import REPO, Manifest

_DEFINITIONS = REPO / ".local/definitions"


class _Loader(yaml.CSafeLoader):
    """Takes `=` as text: YAML 1.1 means a default value by it, and a definition uses it as an operator."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


class NoSchema(Exception):
    """Nothing says what such an object may be."""


def problems(manifest: Manifest, version: str) -> List[str]:
    """What is wrong with an object for this version of Kubernetes, each with its place."""
    group = manifest["apiVersion"].rpartition("/")[0]
    key = (group, manifest["apiVersion"].rpartition("/")[2], manifest["kind"])
    validator = _defined().get(key) or _kubernetes(version, manifest["apiVersion"], manifest["kind"])
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    return [f"{name} at {'.'.join(map(str, error.path)) or 'top'}: {error.message[:300]}"
            for error in validator.iter_errors(manifest)]


@functools.lru_cache(maxsize=None)
def _folder(version: str) -> Any:
    return resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}-local-strict"


@functools.lru_cache(maxsize=None)
def _registry(version: str) -> Any:
    definitions = json.loads((_folder(version) / "_definitions.json").read_text())
    return referencing.Resource.from_contents(definitions) @ referencing.Registry()


@functools.lru_cache(maxsize=None)
def _kubernetes(version: str, api_version: str, kind: str) -> Any:
    group, _, level = api_version.rpartition("/")
    short = f"{group.split('.')[0]}-{level}" if group else level
    file = _folder(version) / f"{kind.lower()}-{short}.json"
    if not file.is_file():
        raise NoSchema(f"there is no schema of {api_version} {kind} for Kubernetes {version}")
    return jsonschema.Draft202012Validator(json.loads(file.read_text()), registry=_registry(version))


@functools.lru_cache(maxsize=None)
def _defined() -> Dict[Any, Any]:
    """Validators of custom resources, by group, version and kind."""
    found: Dict[Any, Any] = {}
    for definition in custom_resources():
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
            schema.setdefault("properties", {}).update({"metadata": {"type": "object"}})
            _close(schema)
            found[spec["group"], version["name"], spec["names"]["kind"]] = jsonschema.Draft202012Validator(schema)
    return found


def custom_resources() -> Iterator[Dict[str, Any]]:
    files = sorted(_DEFINITIONS.glob("*/*.yaml"))
    if not files:
        raise NoSchema(f"{_DEFINITIONS} is empty: run deploy/setup/setup.py chart-checks")
    for file in files:
        for document in yaml.load_all(file.read_text(), Loader=_Loader):
            if document and document.get("kind") == "CustomResourceDefinition":
                yield document


def _close(schema: Any) -> None:
    """Says of every object with named properties that it has no others, as the API server's strict validation does."""
    if isinstance(schema, list):
        for inner in schema:
            _close(inner)
        return
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if isinstance(properties, dict) and "additionalProperties" not in schema and not keeps:
        schema["additionalProperties"] = False
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.pop("nullable", False) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    # Only schemas that say what an object is are closed; parts of anyOf and the like add to it.
    for name in ("properties", "additionalProperties", "items"):
        inner = schema.get(name)
        if name == "properties" and isinstance(inner, dict):
            for value in inner.values():
                _close(value)
        else:
            _close(inner)
