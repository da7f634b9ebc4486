"""helm, which renders, checks and installs the chart: for `make helm-test` and `make helm-live`."""

import go_program
import paths


def setup() -> None:
    go_program.build("helm", "helm 1", "./cmd/helm", paths.HELM, "  building helm from source")


def setup_oldest() -> None:
    """The oldest version that the chart is for: the first ones of Helm 3 that know its values' schema."""
    go_program.build("helm-3", "helm-3 1", "./cmd/helm", paths.HELM_3, "  building helm 3 from source")
