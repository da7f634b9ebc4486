"""Makes deploy/docker/compose/rules.yaml: the chart's alerts for the Prometheus of compose.yaml, which knows no PrometheusRule.

    tools/chart/rules.py           writes it
    tools/chart/rules.py --check   fails where the file is another
"""

import json
import subprocess
import sys
import textwrap
from typing import Any, Dict

import drift
import keys

_HELM = keys.REPO / ".local/helm/helm"
_FILE = keys.REPO / "deploy/docker/compose/rules.yaml"
_HEAD = "# The chart's alerts for what compose.yaml runs: made by tools/chart/rules.py (`make chart-docs`).\n"
# As compose/prometheus.yaml labels what it reads.
COMPOSE = "compose"
POOL = "worker"
# What compose.yaml is as a release of the chart. With another model than this one, alerts on its queue go by the queue's consumers.
_VALUES: Dict[str, Any] = {
    "state": {"url": "s3://sightline/runs"}, "queue": {"url": "amqp://rabbitmq:5672"}, "index": {"url": "milvus://milvus:19530"},
    "scaling": "none",
    "workers": {POOL: {"model": {"name": "sightline-demo", "volume": {"persistentVolumeClaim": {"claimName": "models"}}}}},
    "monitoring": {"prometheusRule": {"enabled": True, "rabbitmqMetrics": True, "runbookBase": "docs/runbooks"}},
}


def rules(release: str, namespace: str, values: Dict[str, Any]) -> str:
    """A rule file of Prometheus, as the chart has it in its PrometheusRule."""
    if not _HELM.exists():
        raise SystemExit(f"{_HELM} is not there: run `python3 deploy/setup/setup.py helm` first")
    command = [str(_HELM), "template", release, str(keys.REPO / "helm/sightline"), "--namespace", namespace,
               "--show-only", "templates/monitoring.yaml", "--values", "-"]
    # JSON is YAML.
    text = subprocess.run(command, input=json.dumps(values), check=True, stdout=subprocess.PIPE, text=True).stdout
    # The object's spec is what a rule file is; what stands before it is Kubernetes' own.
    return textwrap.dedent(text[text.index("\nspec:\n") + len("\nspec:\n"):])


if __name__ == "__main__":
    sys.exit(drift.main(_FILE, _HEAD + rules(COMPOSE, COMPOSE, _VALUES)))
