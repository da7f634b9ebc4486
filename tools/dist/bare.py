"""The tarball on a bare Debian: a root folder with Debian's C and C++ libraries and nothing else.

In a user namespace, so that no root is needed: the root folder is that of the processes, with this machine's /proc and /dev.
"""

import json
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import List

import versions
from versions import REPO

_DEBIAN = REPO / ".local/bare-debian"
_MODEL = REPO / ".local/models/sightline-demo"
_STAMPS = REPO / ".local/pictures/stamps"
_PICTURES = 20
# Bound read-only, then the root changes; the command's arguments are the shell's own.
_ENTER = ('mount --rbind /proc "$1/proc"; mount --rbind /dev "$1/dev"; root=$1; shift; '
          'exec chroot "$root" "$@"')


def check(tarball: Path, programs: List[str]) -> None:
    """Ends the program with what went wrong, where something does."""
    with tempfile.TemporaryDirectory(prefix="sightline-bare-") as folder:
        root = Path(folder)
        shutil.copytree(_DEBIAN, root, symlinks=True, dirs_exist_ok=True)
        (root / "tmp").chmod(0o1777)
        with tarfile.open(tarball) as archive:
            archive.extractall(root / "opt", filter="data")
        binaries = f"/opt/{tarball.name.removesuffix('.tar.gz')}/bin"
        for program in programs:
            said = inside(root, [f"{binaries}/{program}", "--version"])
            if said.split()[:2] != [program, versions.workspace()]:
                raise SystemExit(f"{program} --version said {said!r} on a bare Debian")
        shutil.copytree(_MODEL, root / "model")
        (root / "pictures").mkdir()
        for picture in _pictures():
            shutil.copy2(picture, root / "pictures")
        _embeds(root, binaries)
        _searches(root, binaries)
    print(f"{tarball.name} runs on a bare Debian: {', '.join(programs)}; it embedded and searched {_PICTURES} pictures")


def _pictures() -> List[Path]:
    rows = (_STAMPS / "captions.jsonl").read_text().splitlines()
    return [_STAMPS / json.loads(row)["image"] for row in rows[:_PICTURES]]


def _embeds(root: Path, binaries: str) -> None:
    inside(root, [f"{binaries}/sightline", "embed", "--model", "/model", "--images", "/pictures", "--out", "/tmp/v.npy"])
    head = (root / "tmp/v.npy").read_bytes()[:128].decode("latin-1")
    if f"'shape': ({_PICTURES}, " not in head:
        raise SystemExit(f"sightline embed wrote no {_PICTURES} vectors on a bare Debian: {head!r}")


def _searches(root: Path, binaries: str) -> None:
    """All services in one process, with their engine as another: indexes the pictures and finds each by itself."""
    said = inside(root, [f"{binaries}/sightline", "--json", "demo", "--data", "/tmp/demo", "--model", "/model",
                         "--images", "/pictures"])
    result = json.loads(said)
    if (result["indexed"], result["self_top1"]) != (_PICTURES, 1.0):
        raise SystemExit(f"sightline demo did not index and find every picture on a bare Debian: {said}")


def inside(root: Path, command: List[str]) -> str:
    """What a command says whose root folder that is."""
    entered = ["unshare", "--map-root-user", "--mount", "sh", "-euc", _ENTER, "enter", str(root), *command]
    ended = subprocess.run(entered, capture_output=True, text=True, check=False, env={"HOME": "/tmp", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    if ended.returncode != 0:
        raise SystemExit(f"on a bare Debian, {shlex.join(command)} ended with {ended.returncode}: {ended.stderr}")
    return ended.stdout
