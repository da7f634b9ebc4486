"""Room on the disk, asked for before anything is fetched: a linker that meets a full disk dies of a bus error."""

import os
import shutil
from pathlib import Path
from typing import List

import paths
from errors import SetupError

GB = 10**9


def used(folder: Path) -> int:
    """Bytes on disk below a folder; a file with several links counts once."""
    seen = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except OSError:
                continue  # gone meanwhile: another build is at work
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def require(needed_gb: float, folders: List[Path]) -> None:
    """That `needed_gb` fit, what lies in `folders` already included."""
    free = shutil.disk_usage(paths.REPO).free
    if free >= needed_gb * GB:
        return
    there = sum(used(folder) for folder in folders)
    if free + there < needed_gb * GB:
        raise SetupError(f"{paths.REPO} needs {needed_gb:g} GB in .local and target, of which {there / GB:.1f} GB are there, "
                         f"and its disk has {free / GB:.1f} GB free; remedy: make room, or clone to another disk")
