"""Fetching Debian packages into the download cache without installing them, and without root."""

import os
import time
from pathlib import Path
from typing import List

import paths
from download import Files, say, verify
from errors import SetupError
from lock import Artefact
from process import run


def packages(pinned: List[Artefact]) -> Files:
    """The packages that the lock pins or, where the archive has moved on, the archive's present ones.

    A distribution replaces a package when it mends a hole in it, and another release of it never had
    the pinned one. What comes then is verified by apt itself, against the archive's signed index, and
    a line says so.
    """
    missing = [artefact for artefact in pinned if not (paths.DOWNLOADS / artefact.file).exists()]
    if missing:
        paths.DOWNLOADS.mkdir(parents=True, exist_ok=True)
        total = sum(artefact.bytes for artefact in missing)
        say(f"  downloading {len(missing)} Debian packages ({total / 1e6:.1f} MB)")
        started = time.monotonic()
        names = [f"{artefact.package}={artefact.version}" for artefact in missing]
        try:
            _download(names)
        except SetupError:
            _fetch_index()
            try:
                _download(names)
            except SetupError:
                return _present(pinned)
        say(f"  {total} bytes in {time.monotonic() - started:.1f} s")
    for artefact in pinned:
        verify(paths.DOWNLOADS / artefact.file, artefact)
    return {artefact.package: paths.DOWNLOADS / artefact.file for artefact in pinned}


def unpack(file: Path, target: Path) -> None:
    run(["dpkg-deb", "-x", str(file), str(target)],
        what=f"unpacking {file.name}", remedy="delete the file and run setup again")


def _present(pinned: List[Artefact]) -> Files:
    """Every package anew, so that the set is of one release."""
    for artefact in pinned:
        for old in paths.DOWNLOADS.glob(f"{artefact.package}_*.deb"):
            old.unlink()
    _download([artefact.package for artefact in pinned])
    files = {a.package: next(paths.DOWNLOADS.glob(f"{a.package}_*.deb")) for a in pinned}
    say(f"  this machine's Debian archive has other versions than the lock ({files[pinned[0].package].name} …): "
        "taken, verified by apt's signed index")
    return files


def _download(names: List[str]) -> None:
    run(
        ["apt-get", *_options(), "--quiet", "download", *names],
        what=f"downloading the Debian packages {names[0]} …",
        remedy="see that apt reaches the Debian archive, or install the package yourself",
        cwd=paths.DOWNLOADS,
    )


def _fetch_index() -> None:
    """Fetch the archive's index into a folder of our own: the machine's may be absent or old."""
    own = paths.LOCAL / "apt"
    (own / "lists/partial").mkdir(parents=True, exist_ok=True)
    (own / "cache").mkdir(exist_ok=True)
    say("  fetching the Debian archive's package index")
    run(
        ["apt-get", *_options(), "--quiet", "update"],
        what="fetching the Debian package index",
        remedy="see that apt reaches the Debian archive",
    )


def _options() -> List[str]:
    own = paths.LOCAL / "apt"
    # apt's own user cannot read a folder of root's, and says so at length.
    options = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    if (own / "lists").is_dir():
        options += ["-o", f"Dir::State::lists={own}/lists", "-o", f"Dir::Cache={own}/cache"]
    return options
