"""Milvus 2.3.5 standalone: the server's own binary and libraries, out of its Python wrapper's wheel.

The wrapper is left out: it hides the server behind a second process that loses it on SIGTERM.
`deploy/dev` starts the binary itself, with a configuration made from the template kept here.
"""

import lzma
import shutil
import zipfile
from pathlib import Path

import paths
from download import Files
from unpack import install

_PACKED = "milvus/data/bin/"


def setup() -> None:
    install("milvus", "milvus 1", paths.MILVUS, _fill)


def _fill(files: Files, target: Path) -> None:
    (target / "bin").mkdir()
    with zipfile.ZipFile(files["milvus"]) as archive:
        for member in archive.namelist():
            if member.startswith(_PACKED) and member.endswith(".lzma"):
                out = target / "bin" / member[len(_PACKED):-len(".lzma")]
                with archive.open(member) as packed, lzma.open(packed) as source, out.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                out.chmod(0o755)
        for member in ("milvus/data/config.yaml.template", "milvus/data/glog.conf"):
            (target / Path(member).name).write_bytes(archive.read(member))
        license_file = next(name for name in archive.namelist() if name.endswith(".dist-info/LICENSE"))
        (target / "LICENSE").write_bytes(archive.read(license_file))
