"""How large the images are, computed from their parts: nothing here builds one.

    tools/dist/image_sizes.py [--binaries target/release] [IMAGE …]

What the last stage of a Dockerfile copies is taken from where it lies on this machine: stripped programs, libtorch of `make setup`,
for CUDA the torch of `setup.py python-torch`. Debian's packages count as apt says. Bytes as unpacked, in MB of 10^6.
"""

import argparse
import functools
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

import licences
from dockerfile import Dockerfile
from versions import REPO

_FOLDER = REPO / "deploy/docker"
# debian:bookworm-slim unpacked, as it is commonly given; no registry could be asked.
_DEBIAN_MB = 75.0
# What each package brings that this image has not: it has the C++ library for apt.
BRINGS = {"ca-certificates": ["ca-certificates", "openssl", "libssl3"], "libstdc++6": []}


def parts(file: Dockerfile, binaries: Path) -> Dict[str, float]:
    """The image's parts by name, each with its MB."""
    found = {"Debian": _DEBIAN_MB, "packages": _packages(file)}
    for copy in file.final.copies():
        for source in copy.sources:
            name, paths = local(source, binaries)
            size = _stripped if name == "program" else _bytes
            found[name] = found.get(name, 0) + sum(size(path) for path in paths) / 1e6
    return found


def local(source: str, binaries: Path) -> "tuple[str, List[Path]]":
    """What part of an image a source of COPY is, and the files here that stand for it."""
    if source.startswith("/src/target/release/"):
        return "program", [binaries / Path(source).name]
    if source.startswith("/src/.local/libtorch/"):
        return "libraries", sorted((REPO / ".local/libtorch").glob(source.removeprefix("/src/.local/libtorch/")))
    if source == "/src/crates.txt":
        return "licences", [_of_crates()]
    if source == "LICENSE":
        return "licences", [REPO / source]
    if source == "/opt/sightline":
        return "libraries", _of_torch()
    raise SystemExit(f"a Dockerfile copies {source}, which {Path(__file__).name} knows no part of: add it there")


@functools.lru_cache(maxsize=None)
def _of_crates() -> Path:
    written = REPO / "target/dist/crates.txt"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(licences.of_crates())
    return written


def _of_torch() -> List[Path]:
    """As worker-cuda.Dockerfile picks them."""
    packages = next((REPO / ".local/venv-torch").glob("lib/python3*/site-packages"), None)
    if packages is None:
        raise SystemExit("there is no torch of which the CUDA image's libraries could be measured: "
                         "deploy/setup/setup.py python-torch fetches it (2.7 GB)")
    libraries = [path for folder in ("torch/lib", "nvidia") for path in (packages / folder).rglob("*.so*")]
    licences = [path for folder in packages.glob("*.dist-info") if re.match(r"torch-|nvidia", folder.name)
                for path in folder.rglob("*") if re.match(r"licen[sc]e|notice", path.name, re.IGNORECASE)]
    return [path for path in [*libraries, *licences] if path.name != "libtorch_python.so"]


def _bytes(path: Path) -> int:
    return sum(_bytes(one) for one in path.iterdir()) if path.is_dir() else path.stat().st_size


def _stripped(program: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder) / program.name
        subprocess.run(["strip", "-o", str(stripped), str(program)], check=True)
        return stripped.stat().st_size


def _packages(file: Dockerfile) -> float:
    """What apt installs in the last stage beside what the base image has."""
    wanted = [word for arguments in file.final.commands("apt-get", "install") for word in arguments if not word.startswith("-")]
    unknown = set(wanted) - set(BRINGS)
    if unknown:
        raise SystemExit(f"{file.name} installs {', '.join(sorted(unknown))}: say in {Path(__file__).name} what that brings")
    return sum(_installed(package) for name in wanted for package in BRINGS[name]) * 1024 / 1e6


@functools.lru_cache(maxsize=None)
def _installed(package: str) -> int:
    """In KiB, as its maintainers say."""
    shown = subprocess.run(["apt-cache", "show", "--no-all-versions", package], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"(?m)^Installed-Size: (\d+)$", shown)[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, default=REPO / "target/release")
    parser.add_argument("image", nargs="*", help="coordinator, worker, …; all whose program is built where none is named")
    arguments = parser.parse_args()
    if shutil.which("apt-cache") is None:
        raise SystemExit("the sizes of Debian's packages are asked of apt-cache: run this on Debian")
    for path in sorted(_FOLDER.glob("*.Dockerfile")):
        file = Dockerfile(path)
        if arguments.image and file.name not in arguments.image:
            continue
        programs = [program for copy in file.final.copies() for source in copy.sources
                    for name, paths in [local(source, arguments.binaries)] if name == "program" for program in paths]
        if not all(program.exists() for program in programs):
            print(f"{file.name}: {programs[0]} is not built")
            continue
        found = parts(file, arguments.binaries)
        each = ", ".join(f"{name} {size:.1f}" for name, size in found.items())
        print(f"{file.name}: {sum(found.values()):.0f} MB ({each})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
