"""The Python environment that renders and checks the chart's own files, with hadolint and the schemas of Kubernetes."""

import paths
import venv_lock


def setup() -> None:
    venv_lock.install("chart-checks", "chart", paths.VENV_CHART)
