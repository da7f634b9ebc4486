"""The licences of the crates that the programs are made of. Called by itself, which the Dockerfiles do, it prints them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Set

from versions import REPO

_TARGET = "x86_64-unknown-linux-gnu"
_FILES = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "COPYRIGHT*", "license*")
_RULE = "=" * 120


def of_crates() -> str:
    """Every crate with what it says of its licence, then each text once, with the crates that carry it."""
    crates = _linked()
    lines = [f"{crate['name']} {crate['version']}: {crate['license'] or 'see its file'}" for crate in crates]
    texts: Dict[str, List[str]] = {}
    for crate in crates:
        for text in _texts(Path(crate["manifest_path"]).parent):
            texts.setdefault(text, []).append(f"{crate['name']} {crate['version']}")
    parts = [f"{_RULE}\n{', '.join(dict.fromkeys(names))}\n{_RULE}\n\n{text}\n" for text, names in texts.items()]
    return "\n".join(lines) + "\n\n" + "\n".join(parts)


def _linked() -> List[Dict[str, Any]]:
    """The crates of others that are linked into our programs: neither tests' nor build scripts'."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", _TARGET]
    told = json.loads(subprocess.run(command, cwd=REPO, check=True, capture_output=True, text=True).stdout)
    packages = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    open_, seen = list(told["workspace_members"]), set()  # type: List[str], Set[str]
    while open_:
        crate = open_.pop()
        if crate not in seen:
            seen.add(crate)
            open_ += [link["pkg"] for link in nodes[crate]["deps"]
                      if any(kind["kind"] is None for kind in link["dep_kinds"])]
    foreign = [packages[crate] for crate in seen if packages[crate]["source"] is not None]
    return sorted(foreign, key=lambda crate: (crate["name"], crate["version"]))


def _texts(folder: Path) -> List[str]:
    files = sorted({file for pattern in _FILES for file in folder.glob(pattern) if file.is_file()})
    return [file.read_text(errors="replace").strip() for file in files]


if __name__ == "__main__":
    sys.stdout.write(of_crates())
