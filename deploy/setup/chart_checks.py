"""What the chart is checked with: helm in two versions, the schemas of Kubernetes and of the resources that others define, hadolint, and
promtool for the alerts."""

from pathlib import Path
from typing import Dict

import go_program
import helm
import paths
import prometheus
import python_chart

# Of each module the folder that holds its definitions.
_DEFINITIONS: Dict[str, str] = {
    "keda-definitions": "config/crd/bases",
    "gateway-api-definitions": "config/crd/standard",
    "prometheus-operator-definitions": "example/prometheus-operator-crd",
    "compose-schema": "schema",
}


def setup() -> None:
    helm.setup()
    helm.setup_oldest()
    python_chart.setup()
    prometheus.setup()
    for component, folder in _DEFINITIONS.items():
        go_program.copy(component, f"{component} 1", Path(folder), paths.DEFINITIONS / component)
