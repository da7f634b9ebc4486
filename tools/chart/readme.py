"""Makes helm/sightline/README.md from the comments of values.yaml that begin with `# --`.

    tools/chart/readme.py           writes it
    tools/chart/readme.py --check   fails where the file is another
"""

import json
import re
import sys
from typing import Any, Dict, List, Tuple

import yaml

import drift
import keys
import schema

_CHART = keys.REPO / "helm/sightline"
_HEAD = """# sightline

{description}

The [quick start](../../docs/kubernetes.md#quick-start) has all commands in their order: images, secrets, values, and

```
helm install sightline helm/sightline --namespace search --values mine.yaml
helm test sightline --namespace search
```

[docs/kubernetes.md](../../docs/kubernetes.md) says how it works and what to decide. A wrong key or value is refused by
name. The values files in `tests/chart/values` of the repository are examples that are tested.

## Values

| key | default | meaning |
|---|---|---|
"""
_TAIL = """
## Every component

`coordinator`, `gateway`, `encoder`, `workerDefaults` and each pool take these, too; they say nothing by default. `client` takes these alone,
without the last two lines.

| key | meaning |
|---|---|
| `serviceAccount.create` | Whether the chart makes these pods a service account of their own, `<full name>-<component>`, of a pool `<full name>-worker-<pool>`. |
| `serviceAccount.name` | Its name, or that of one that is there. Where neither is said, pods run as that of the release. |
| `serviceAccount.annotations` | Its annotations. |
| `podLabels` | Labels of pods. |
| `nodeSelector` | Labels that nodes must have, beside those of `nodeSelector` at the top. |
| `tolerations` | Taints that are tolerated. |
| `affinity` | Affinity; topology spread over nodes and zones is there anyway. |
| `priorityClassName` | Priority class. |
| `dnsConfig` | How pods ask for names; in place of `dnsConfig` at the top. |
| `extraEnv` | More environment of the container, as Kubernetes writes it. |
| `extraVolumes`, `extraVolumeMounts` | Volumes of pods and where the service's container sees them, as Kubernetes writes them: a driver's secrets, a cache. |

## A worker pool

`workers.<pool>` takes every key of `workerDefaults`, and

| key | meaning |
|---|---|
| `model.name` | Name that runs ask for. Required. |
| `model.path` | Folder of the model within its volume. |
| `model.volume.persistentVolumeClaim.claimName` | A claim that holds the model. |
| `model.volume.persistentVolumeClaim.subPath` | The folder of the claim that is mounted; all of it where it is not given. |
| `model.volume.image.reference`, `.pullPolicy` | An image that holds the model (Kubernetes 1.31 with the feature gate ImageVolume; on by default from 1.35). |
| `model.volume.download` | `image`, `command`, `args`, `env`, `size`, `resources`: an init container that writes the model into `/models`. |
| `model.hub` | A model of the Hugging Face Hub, `hf:org/name[@revision]`, in place of a volume: the service pulls it, into the claim of `modelCache.create`, or into each pod. |

`gateway.model` and `encoder.model` have the same form.
"""
_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z0-9]+):( |$)")


def documented(text: str) -> List[Tuple[str, str]]:
    """Paths of keys and what is said of them."""
    found: List[Tuple[str, str]] = []
    path: List[Tuple[int, str]] = []
    comment: List[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# --"):
            comment = [stripped[4:].strip()]
            continue
        if stripped.startswith("#"):
            if comment:
                comment.append(stripped[1:].strip())
            continue
        key = _KEY.match(line)
        if key is None:
            comment = []
            continue
        indent = len(key["indent"])
        path = [(depth, name) for depth, name in path if depth < indent] + [(indent, key["key"])]
        if comment:
            found.append((".".join(name for _, name in path), " ".join(comment)))
        comment = []
    return found


def default(values: Any, path: str) -> str:
    for name in path.split("."):
        values = values[name]
    return json.dumps(values, ensure_ascii=False)


def leaves(values: Dict[str, Any], prefix: str = "") -> List[str]:
    """Paths of what has no blocks below it."""
    found: List[str] = []
    for name, value in values.items():
        inner = isinstance(value, dict) and value
        found += leaves(value, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return found


def page() -> str:
    text = (_CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    entries = documented(text)
    said = [path for path, _ in entries]
    silent = [path for path in leaves(values) if not any(path == one or path.startswith(one + ".") for one in said)]
    silent += [name for name in {**schema.silent(), **schema.extra()} if f"`{name}" not in _TAIL]
    if silent:
        raise SystemExit(f"neither values.yaml nor the README's tables say anything of {', '.join(silent)}")
    chart = yaml.safe_load((_CHART / "Chart.yaml").read_text())
    rows = [f"| `{path}` | `{default(values, path)}` | {meaning.replace('|', chr(92) + '|')} |" for path, meaning in entries]
    return _HEAD.format(description=chart["description"]) + "\n".join(rows) + "\n" + _TAIL


if __name__ == "__main__":
    sys.exit(drift.main(_CHART / "README.md", page()))
