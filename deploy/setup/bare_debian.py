"""The root folder of a Debian with nothing in it but its C and C++ libraries, for trying the release tarball."""

import shutil
from pathlib import Path

import debian
import paths
from download import Files
from errors import SetupError
from unpack import install


def setup() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError("the bare Debian is unpacked from Debian's packages and this machine has no apt-get: run "
                         "`make dist` on a Debian, or pack without the check (CHECK=no)")
    install("bare-debian", "bare-debian 1", paths.BARE_DEBIAN, _fill, fetch=debian.packages)
    shutil.rmtree(paths.LOCAL / "apt", ignore_errors=True)


def _fill(files: Files, target: Path) -> None:
    for file in files.values():
        debian.unpack(file, target)
    shutil.rmtree(target / "usr/share/doc", ignore_errors=True)
    for folder in ("dev", "etc", "proc", "tmp"):
        (target / folder).mkdir(exist_ok=True)
    # Debian's top folders are links into /usr; its packages of before that still carry the folders.
    for name in ("bin", "sbin", "lib", "lib64"):
        folder = target / name
        if folder.is_dir() and not folder.is_symlink():
            shutil.copytree(folder, target / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder)
        if (target / "usr" / name).is_dir():
            folder.symlink_to(f"usr/{name}")
