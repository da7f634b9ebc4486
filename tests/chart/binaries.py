"""The services' own binaries: what they take of what the chart gives to their containers."""

import math
import subprocess
import sys
from typing import Any, Dict, List

from render import REPO, Manifest

sys.path.insert(0, str(REPO / "tools/chart"))
import keys  # noqa: E402

# What secrets would hold.
_ADDRESSES = {
    "SIGHTLINE_QUEUE__URL": "amqp://user:password@rabbitmq:5672/vhost",
    "SIGHTLINE_INDEX__URL": "milvus://user:password@milvus:19530",
    "SIGHTLINE_TELEMETRY__OTLP_HEADERS": "authorization=Bearer%20token",
}


def environment(container: Manifest) -> Dict[str, str]:
    """The container's variables, with something in place of what secrets and the cluster would say."""
    return {entry["name"]: _value(entry, container) for entry in container.get("env", [])}


def _value(entry: Manifest, container: Manifest) -> str:
    reference = entry.get("valueFrom", {}).get("resourceFieldRef")
    if reference is None:
        return entry.get("value", _ADDRESSES.get(entry["name"], "from-the-cluster"))
    side, _, resource = reference["resource"].partition(".")
    return str(cores(container["resources"][side][resource]))


def cores(quantity: Any) -> int:
    """Cores as the kubelet tells them to a container: whole ones, rounded up."""
    text = str(quantity)
    return math.ceil(int(text[:-1]) / 1000 if text.endswith("m") else float(text))


def unknown_variables(service: str, container: Manifest) -> List[str]:
    """Variables of ours that the service has no key for."""
    known = {key.variable for key in keys.of(service)}
    return [name for name in environment(container) if name.startswith("SIGHTLINE_") and name not in known]


def complaint(service: str, container: Manifest) -> str:
    """What the service says of its configuration; nothing where it takes it."""
    program = [*keys.program(service)[:1], *container.get("args", []), "--check-config"]
    ended = subprocess.run(program, env=environment(container), capture_output=True, text=True, check=False)
    return "" if ended.returncode == 0 else ended.stderr or f"it ended with {ended.returncode}"
