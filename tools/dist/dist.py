"""Packs the release tarball, and sees it run on a bare Debian: `make dist`.

    tools/dist/dist.py [--binaries target/release] [--no-check]

The tarball has the programs in bin, libtorch in lib beside them, where they look for it, the chart, the documentation, and the
licence of everything in it. Packed twice from the same files, it is the same to the byte.
"""

import argparse
import gzip
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import bare
import licences
import links
import versions
from versions import REPO

PROGRAMS = ["sightline", "sightline-coordinator", "sightline-worker", "sightline-gateway"]
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
_LIBTORCH = REPO / ".local/libtorch"
# Of the year 1980, where other archives begin.
_TIME = 315532800


def pack(binaries: Path) -> Path:
    """The tarball below target/dist, with its digest beside it."""
    name = f"sightline-{versions.workspace()}-linux-x86_64"
    folder = REPO / "target/dist" / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    for program in PROGRAMS:
        _program(binaries / program, folder / "bin" / program)
    (folder / "lib").mkdir()
    for library in sorted(_LIBTORCH.glob("lib/*.so*")):
        shutil.copy2(library, folder / "lib" / library.name)
    shutil.copytree(_LIBTORCH / "licenses", folder / "licenses/libtorch")
    (folder / "licenses/crates.txt").write_text(licences.of_crates())
    for file in ["LICENSE", *DOCUMENTS]:
        shutil.copy2(REPO / file, folder / file)
    for part in ("docs", "helm"):
        shutil.copytree(REPO / part, folder / part)
    links.check(folder)
    tarball = folder.with_name(name + ".tar.gz")
    _archive(folder, tarball)
    shutil.rmtree(folder)
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    tarball.with_name(tarball.name + ".sha256").write_text(f"{digest}  {tarball.name}\n")
    return tarball


def _program(built: Path, packed: Path) -> None:
    if not built.exists():
        raise SystemExit(f"{built} is not there: build it first (`make dist` does)")
    subprocess.run(["strip", "-o", str(packed), str(built)], check=True)
    packed.chmod(0o755)


def _archive(folder: Path, tarball: Path) -> None:
    with tarball.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(folder, folder.name, recursive=False, filter=_plain)
            for path in sorted(folder.rglob("*")):
                archive.add(path, f"{folder.name}/{path.relative_to(folder)}", recursive=False, filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """As root's, of no time: whoever packs it, and when, is no one's business."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = _TIME
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, default=REPO / "target/release")
    parser.add_argument("--no-check", action="store_true", help="do not try it on a bare Debian")
    arguments = parser.parse_args()
    versions.check()
    tarball = pack(arguments.binaries)
    print(f"{tarball}: {tarball.stat().st_size} bytes", flush=True)
    if not arguments.no_check:
        bare.check(tarball, PROGRAMS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
