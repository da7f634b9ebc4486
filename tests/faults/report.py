"""The report of the faults: an entry a fault, written after each, in one go or in several."""

import hashlib
import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Iterable, List

HERE = Path(__file__).resolve().parent

Entry = Dict[str, Any]


def identity(programs: Iterable[Path], **settings: Any) -> str:
    """Of what is tried and how: the services' programs, this harness, and what it was told. Entries with another one say
    nothing of these programs."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in [*sorted(HERE.glob("*.py")), *sorted(programs)]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def commit() -> str:
    """For people: the state of the sources."""
    describe = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(describe, check=True, capture_output=True, text=True).stdout.strip()


class Report:
    """A file that grows. One of some of the faults goes on with what an earlier one of the same identity found of the others."""

    def __init__(self, path: Path, identity: str, **of_each: Any) -> None:
        self.path = path
        self.entries: Dict[str, Entry] = {}
        self._of_each = {"of": identity, **of_each}

    def go_on(self) -> List[str]:
        """Takes what is there already and still holds, and gives the numbers of what does not."""
        try:
            found = json.loads(self.path.read_text())
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise SystemExit(f"{self.path} is no report that can be gone on with: {error}. Move it away.") from error
        holds = {number: entry.get("of") == self._of_each["of"] for number, entry in found.items()}
        self.entries = {number: found[number] for number, same in holds.items() if same}
        return [number for number, same in holds.items() if not same]

    def add(self, number: int, entry: Entry) -> None:
        """Writes an entry, in the place of an earlier one. At once, so that what is broken off leaves what it knows."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.entries[str(number)] = {**entry, **self._of_each, "at": now}
        self.entries = dict(sorted(self.entries.items(), key=lambda item: int(item[0])))
        part = self.path.with_name(f"{self.path.name}.part")
        part.write_text(json.dumps(self.entries, indent=2) + "\n")
        part.replace(self.path)
