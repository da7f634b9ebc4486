"""Reads the stamps of Tux Paint: drawings and photographs, each with a caption in many languages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

GALLERY_SIZE = 200
_GALLERY_SEED = "sightline gallery 1"


@dataclass(frozen=True)
class Stamp:
    """A picture of the package with what its text file says."""

    path: str
    caption: str
    korean: str
    translations: int

    @property
    def labels(self) -> List[str]:
        """The folders it lies in, from the outermost: they are the package's categories."""
        return self.path.split("/")[:-1]


def read(root: Path) -> Tuple[List[Stamp], List[str]]:
    """The PNG pictures that have a caption, and the paths of the SVG ones that have no PNG beside them."""
    captioned = {file.with_suffix("") for file in root.rglob("*.txt")}
    stamps = [_stamp(root, file) for file in sorted(root.rglob("*.png")) if file.with_suffix("") in captioned]
    drawings = [
        file.relative_to(root).as_posix()
        for file in sorted(root.rglob("*.svg"))
        if file.with_suffix("") in captioned and not file.with_suffix(".png").exists()
    ]
    return stamps, drawings


def _stamp(root: Path, file: Path) -> Stamp:
    lines = file.with_suffix(".txt").read_text(encoding="utf-8", errors="replace").splitlines()
    # The first line is the English caption, then come lines such as `ko.utf8=…`.
    other: Dict[str, str] = {}
    for line in lines[1:]:
        language, mark, text = line.partition(".utf8=")
        if mark and text.strip():
            other[language] = text.strip()
    return Stamp(file.relative_to(root).as_posix(), lines[0].strip(), other.get("ko", ""), len(other))


def gallery(stamps: List[Stamp]) -> List[Stamp]:
    """The pictures that recall is measured on: a fixed choice among those whose caption is theirs alone."""
    count: Dict[str, int] = {}
    for stamp in stamps:
        count[stamp.caption.lower()] = count.get(stamp.caption.lower(), 0) + 1
    fit = [s for s in stamps if count[s.caption.lower()] == 1]
    fit.sort(key=lambda s: hashlib.sha256(f"{_GALLERY_SEED}\n{s.path}".encode()).digest())
    return fit[:GALLERY_SIZE]
