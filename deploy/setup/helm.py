"""helm, which renders, checks and installs the chart: for `make helm-test` and `make helm-live`."""

import go_program
import paths


def setup() -> None:
    go_program.build("helm", "helm 1", "./cmd/helm", paths.HELM, "  building helm from source")
