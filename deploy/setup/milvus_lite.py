"""milvus-lite 2.5.1: Milvus's C++ search core as one small server that keeps its data in one file.

It stands in for Milvus 2.4 and later in tests of collections with several vector fields, which the
standalone of the 2.3 line does not have.
"""

import zipfile
from pathlib import Path

import paths
from download import Files
from unpack import install

_LIB = "milvus_lite/lib/"


def setup() -> None:
    install("milvus-lite", "milvus-lite 1", paths.MILVUS_LITE, _fill)


def _fill(files: Files, target: Path) -> None:
    with zipfile.ZipFile(files["milvus-lite"]) as archive:
        for member in archive.namelist():
            if member.startswith(_LIB) and not member.endswith("/"):
                (target / member[len(_LIB):]).write_bytes(archive.read(member))
    (target / "milvus").chmod(0o755)
