"""Fetching Debian packages into the download cache without installing them, and without root."""

import os
import time
from pathlib import Path
from typing import List

import paths
from download import say, verify
from errors import SetupError
from lock import Artefact
from process import run


def package(artefact: Artefact) -> Path:
    """The package that the lock pins or, where the archive has moved on, the archive's present one.

    A distribution replaces a package when it mends a hole in it, and another release of it never had
    the pinned one. What comes then is verified by apt itself, against the archive's signed index, and
    a line says so.
    """
    pinned = paths.DOWNLOADS / artefact.file
    if not pinned.exists():
        paths.DOWNLOADS.mkdir(parents=True, exist_ok=True)
        say(f"  downloading {artefact.file} ({artefact.bytes / 1e6:.1f} MB)")
        started = time.monotonic()
        try:
            _download(f"{artefact.package}={artefact.version}")
        except SetupError:
            _refresh_index()
            try:
                _download(f"{artefact.package}={artefact.version}")
            except SetupError:
                return _present(artefact)
        say(f"  {pinned.stat().st_size} bytes in {time.monotonic() - started:.1f} s")
    verify(pinned, artefact)
    return pinned


def unpack(file: Path, target: Path) -> None:
    run(["dpkg-deb", "-x", str(file), str(target)], what=f"unpacking {file.name}", remedy="delete the file and run setup again")


def _present(artefact: Artefact) -> Path:
    before = set(paths.DOWNLOADS.glob(f"{artefact.package}_*.deb"))
    _download(artefact.package)
    fresh = set(paths.DOWNLOADS.glob(f"{artefact.package}_*.deb")) - before
    file = fresh.pop() if fresh else before.pop()
    say(f"  the archive no longer has {artefact.file}: taking {file.name}, verified by apt's signed index")
    return file


def _download(name: str) -> None:
    run(
        ["apt-get", *_options(), "--quiet", "download", name],
        what=f"downloading the Debian package {name}",
        remedy="see that apt reaches the Debian archive, or install rabbitmq-server yourself",
        cwd=paths.DOWNLOADS,
    )


def _refresh_index() -> None:
    """Fetch the archive's index into a folder of our own: the machine's may be absent or old."""
    lists = paths.LOCAL / "apt"
    if (lists / "lists").is_dir():
        return
    (lists / "lists" / "partial").mkdir(parents=True)
    (lists / "cache").mkdir()
    say("  fetching the Debian archive's package index")
    run(
        ["apt-get", *_options(), "--quiet", "update"],
        what="fetching the Debian package index",
        remedy="see that apt reaches the Debian archive",
    )


def _options() -> List[str]:
    own = paths.LOCAL / "apt"
    options = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    if (own / "lists").is_dir():
        options += ["-o", f"Dir::State::lists={own}/lists", "-o", f"Dir::Cache={own}/cache"]
    return options
