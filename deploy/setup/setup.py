#!/usr/bin/env python3
"""Fetch and unpack what Sightline is built with and tested against, under `<repo>/.local`.

    deploy/setup/setup.py COMPONENT...

A second run does nothing. Everything fetched is pinned by SHA-256 in `lock.json`.
"""

import argparse
import contextlib
import fcntl
import importlib
import sys
import time
from typing import Dict, Iterator, List

import disk
import paths
from download import say
from errors import SetupError

# A component's name and the module beside this file whose `setup()` puts it in place. It is imported
# only when asked for.
COMPONENTS: Dict[str, str] = {
    "libtorch": "libtorch",
    "build-tools": "build_tools",
    "rabbitmq": "rabbitmq",
    "milvus": "milvus",
    "milvus-lite": "milvus_lite",
    "s3": "s3",
    "moto": "moto",
    "ghz": "ghz",
    "grpcurl": "grpcurl",
    "faketime": "faketime",
    "python-clients": "python_clients",
    "python-dicom": "python_dicom",
    "python-torch": "python_torch",
    "python-sentences": "python_sentences",
    "helm": "helm",
    "python-chart": "python_chart",
    "chart-checks": "chart_checks",
    "prometheus": "prometheus",
    "control-plane": "control_plane",
    "keda": "keda",
    "bare-debian": "bare_debian",
    "models": "models",
    "pictures": "pictures",
}


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One setup at a time: two would unpack into one folder."""
    paths.LOCAL.mkdir(parents=True, exist_ok=True)
    with (paths.LOCAL / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another setup in this folder to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("component", nargs="+", choices=list(COMPONENTS), metavar="COMPONENT",
                        help="one or more of: " + ", ".join(COMPONENTS))
    parser.add_argument("--room", type=float, default=0, metavar="GB",
                        help="refuse at once if .local and target cannot grow to so many gigabytes together")
    asked = parser.parse_args(arguments)
    try:
        disk.require(asked.room, [paths.LOCAL, paths.REPO / "target"])
    except SetupError as error:
        sys.stderr.write(f"setup refused: {error}\n")
        return 1
    for component in asked.component:
        started = time.monotonic()
        try:
            with alone():
                importlib.import_module(COMPONENTS[component]).setup()
        except SetupError as error:
            sys.stderr.write(f"setup of {component} failed: {error}\n")
            return 1
        seconds = time.monotonic() - started
        if seconds >= 1:
            say(f"{component}: ready in {seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
