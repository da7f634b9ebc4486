"""Prometheus and promtool, unpacked from Debian's package: for the chart's alerts."""

import shutil
from pathlib import Path

import debian
import paths
from download import Files
from unpack import install


def setup() -> None:
    install("prometheus", "prometheus 1", paths.PROMETHEUS, _fill, fetch=debian.packages)
    shutil.rmtree(paths.LOCAL / "apt", ignore_errors=True)


def _fill(files: Files, target: Path) -> None:
    unpacked = target / "unpacked"
    debian.unpack(files["prometheus"], unpacked)
    for program in ("prometheus", "promtool"):
        (unpacked / "usr/bin" / program).rename(target / program)
    shutil.copyfile(unpacked / "usr/share/doc/prometheus/copyright", target / "LICENSE")
    shutil.rmtree(unpacked)
