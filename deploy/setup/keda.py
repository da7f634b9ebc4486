"""KEDA's operator and its metrics server, built from source, with the definitions of its resources.

For `make keda-live` alone: they link the clients of every cloud, and building them takes longer than a control plane.
"""

from pathlib import Path

import go_program
import paths


def setup() -> None:
    go_program.copy("keda-definitions", "keda-definitions 1", Path("config/crd/bases"), paths.DEFINITIONS / "keda-definitions")
    programs = {"keda-metrics-apiserver": "./cmd/adapter", "keda-operator": "./cmd/operator"}
    go_program.build_each("keda", "keda 1", {paths.KEDA / name: package for name, package in programs.items()},
                          "  building KEDA from source")
