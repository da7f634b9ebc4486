"""The configuration keys of a service, as its own binary lists them."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

REPO: Path = Path(__file__).resolve().parents[2]
# Another folder of binaries may stand in, as in the other tests.
BINARIES: Path = REPO / os.environ.get("SIGHTLINE_BINARIES", "target/debug")
SERVICES: List[str] = ["coordinator", "worker", "gateway"]
# What runs as another program's subcommand.
SUBCOMMANDS: Dict[str, List[str]] = {"encoder": ["sightline-worker", "encoder"]}
# What no chart starts: all services in one process.
STANDALONE: Dict[str, List[str]] = {"standalone": ["sightline", "standalone"]}

_FACTS = re.compile(r"    (?P<kind>.+); default (?P<default>.+); (?P<variable>SIGHTLINE_[A-Z0-9_]+)")


@dataclass(frozen=True)
class Key:
    """One key."""

    name: str
    meaning: str
    kind: str
    default: str
    variable: str


def of(service: str) -> List[Key]:
    """The keys of a service, in the order of their names."""
    listed = subprocess.run([*program(service), "--list-keys"], check=True, capture_output=True, text=True).stdout
    return parse(listed)


def program(service: str) -> List[str]:
    """The command that is a service."""
    name, *arguments = {**SUBCOMMANDS, **STANDALONE}.get(service, [f"sightline-{service}"])
    if not (BINARIES / name).exists():
        raise SystemExit(f"{BINARIES / name} is not there: run `make build` first")
    return [str(BINARIES / name), *arguments]


def parse(listed: str) -> List[Key]:
    """Reads what `--list-keys` prints: a key, its meaning, and its facts, each on a line."""
    keys = []
    lines = listed.splitlines()
    for name, *rest in _entries(lines):
        facts = _FACTS.fullmatch(rest[-1])
        if facts is None:
            raise SystemExit(f"--list-keys printed a line that is not understood: {rest[-1]!r}")
        meaning = " ".join(line.strip() for line in rest[:-1])
        keys.append(Key(name, meaning, facts["kind"], facts["default"], facts["variable"]))
    return keys


def _entries(lines: List[str]) -> List[List[str]]:
    entries: List[List[str]] = []
    for line in lines:
        if line.startswith(" "):
            entries[-1].append(line)
        elif line:
            entries.append([line])
    return entries


def json_schema(key: Key) -> Dict[str, Any]:
    """What a value of this key may be, as JSON Schema."""
    kind = key.kind
    if kind == "text":
        schema: Dict[str, Any] = {"type": "string", "minLength": 1}
    elif kind == "a whole number":
        schema = {"type": "integer", "minimum": 0}
    elif kind == "a number":
        schema = {"type": "number"}
    elif kind == "true or false":
        schema = {"type": "boolean"}
    elif kind.startswith("a list of"):
        schema = {"type": "array", "items": {"type": "string", "minLength": 1}}
    elif " | " in kind:
        schema = {"enum": kind.split(" | ")}
    else:
        raise SystemExit(f"{key.name}: a kind that the chart does not know: {kind}")
    return {**schema, "description": key.meaning}
