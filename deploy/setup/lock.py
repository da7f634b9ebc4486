"""`lock.json`: every artefact that setup fetches, with the SHA-256 it must have."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

from errors import SetupError

LOCK_FILE: Path = Path(__file__).resolve().parent / "lock.json"


@dataclass(frozen=True)
class Artefact:
    """One file of a package registry."""

    package: str
    version: str
    file: str
    sha256: str
    bytes: int


def artefacts(component: str, lock_file: Path = LOCK_FILE) -> List[Artefact]:
    """The artefacts that the lock file pins for a component, in its order."""
    table: Dict[str, List[Dict[str, object]]] = json.loads(lock_file.read_text())
    if component not in table:
        raise SetupError(f"{lock_file.name} pins nothing for '{component}': add its artefacts there")
    return [Artefact(**entry) for entry in table[component]]  # type: ignore[arg-type]
