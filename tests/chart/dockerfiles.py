"""The Dockerfiles, and what of the repository their builds see."""

import re
import sys
from pathlib import Path
from typing import Iterator, List

from render import REPO

sys.path.insert(0, str(REPO / "tools/dist"))
from dockerfile import Dockerfile  # noqa: E402

FOLDER: Path = REPO / "deploy/docker"


def all_of_them() -> List[Dockerfile]:
    return [Dockerfile(file) for file in sorted(FOLDER.glob("*.Dockerfile"))]


class Ignored:
    """What .dockerignore leaves out, as BuildKit reads it: a pattern is for what lies below, too, and the last one that fits wins."""

    def __init__(self, text: str):
        lines = [line.strip() for line in text.splitlines()]
        self._patterns = [(line.startswith("!"), _compiled(line.lstrip("!").strip("/")))
                          for line in lines if line and not line.startswith("#")]

    def __contains__(self, path: str) -> bool:
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        ignored = False
        for kept, pattern in self._patterns:
            if any(pattern.fullmatch(one) for one in above):
                ignored = not kept
        return ignored


def ignored() -> Ignored:
    return Ignored((REPO / ".dockerignore").read_text())


def _compiled(pattern: str) -> "re.Pattern[str]":
    means = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(means.get(piece, re.escape(piece)) for piece in pieces))


def files(place: str) -> Iterator[str]:
    """Every file at or below a place of the repository that a build sees, by its path in it."""
    out = ignored()
    found = REPO / place
    for file in [found] if found.is_file() else sorted(found.rglob("*")):
        path = str(file.relative_to(REPO))
        if file.is_file() and path not in out:
            yield path
