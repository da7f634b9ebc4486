"""libfaketime, by which tests of faults move a process's clock; unpacked from Debian's package."""

import shutil
from pathlib import Path

import debian
import paths
from download import Files
from errors import SetupError
from unpack import install


def setup() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError("libfaketime is set up from Debian's package and this machine has no apt-get: leave the fault "
                         "24 out of the list in `make faults ONLY=…`")
    install("faketime", "faketime 1", paths.FAKETIME, _fill, fetch=debian.packages)
    shutil.rmtree(paths.LOCAL / "apt", ignore_errors=True)


def _fill(files: Files, target: Path) -> None:
    unpacked = target / "unpacked"
    debian.unpack(files["libfaketime"], unpacked)
    # Debian has a folder an architecture.
    library = next(unpacked.glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
    library.rename(target / library.name)
    shutil.rmtree(unpacked)
