"""nasm and CMake, which libjpeg-turbo is built with. A machine that has them is left as it is.

Builds call them through `deploy/setup/tools`.
"""

import shutil
import zipfile
from pathlib import Path

import debian
import paths
from download import Files
from errors import SetupError
from unpack import install

_CMAKE = "cmake/data/"


def setup() -> None:
    if shutil.which("nasm") is None:
        _nasm()
    if shutil.which("cmake") is None:
        install("cmake", "cmake 1", paths.CMAKE, _fill_cmake)


def _nasm() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError("nasm is set up from Debian's package and this machine has no apt-get: install nasm with "
                         "its own package manager")
    install("nasm", "nasm 1", paths.NASM, _fill_nasm, fetch=debian.packages)
    shutil.rmtree(paths.LOCAL / "apt", ignore_errors=True)


def _fill_nasm(files: Files, target: Path) -> None:
    debian.unpack(files["nasm"], target)
    shutil.rmtree(target / "usr/share", ignore_errors=True)


def _fill_cmake(files: Files, target: Path) -> None:
    with zipfile.ZipFile(files["cmake"]) as archive:
        for member in archive.namelist():
            if member.startswith(_CMAKE):
                archive.extract(member, target.parent / "cmake.unpacked")
    (target.parent / "cmake.unpacked" / _CMAKE).rename(target / "data")
    shutil.rmtree(target.parent / "cmake.unpacked")
    for program in (target / "data/bin").iterdir():
        program.chmod(0o755)
