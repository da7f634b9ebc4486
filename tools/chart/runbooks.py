"""Puts each alert's expression into its page, docs/runbooks/ALERT.md, as the chart has it.

    tools/chart/runbooks.py           writes it
    tools/chart/runbooks.py --check   fails where a page has another
"""

import re
import sys
from typing import Any, Dict

import yaml

import drift
import keys
import rules

_FOLDER = keys.REPO / "docs/runbooks"
# Helm takes no capitals in names, and the pages have placeholders in them.
_RELEASE, _NAMESPACE = "release-of-page", "namespace-of-page"
_VOLUME = {"persistentVolumeClaim": {"claimName": "models"}}
_VALUES: Dict[str, Any] = {
    "state": {"url": "s3://bucket/runs"}, "queue": {"url": "amqp://rabbitmq:5672"}, "index": {"url": "milvus://milvus:19530"},
    "scaling": "none", "workers": {"pool": {"model": {"name": "model", "volume": _VOLUME}}},
    "encoder": {"enabled": True, "model": {"name": "model", "volume": _VOLUME}},
    "monitoring": {"prometheusRule": {"enabled": True, "rabbitmqMetrics": True, "vhost": "VHOST"}},
}
# What the program has written before, or nothing, up to the first section.
_PLACE = re.compile(r"\n(?:```promql\n.*?```\n\n[^\n]*\n\n)?(?=## What it means\n)", re.S)


def block(rule: Dict[str, Any]) -> str:
    expression = rule["expr"].replace(_RELEASE, "RELEASE").replace(_NAMESPACE, "NAMESPACE")
    lasting = f"when this has had an answer for {rule['for']}" if "for" in rule else "as soon as this has an answer"
    return f"\n```promql\n{expression}\n```\n\nIt fires, as `{rule['labels']['severity']}`, {lasting}.\n\n"


def page(rule: Dict[str, Any]) -> int:
    file = _FOLDER / f"{rule['alert']}.md"
    text = file.read_text() if file.exists() else ""
    if _PLACE.search(text) is None:
        raise SystemExit(f"{file} is not there, or has no section `## What it means`")
    return drift.main(file, _PLACE.sub(lambda _: block(rule), text, count=1))


if __name__ == "__main__":
    made = yaml.safe_load(rules.rules(_RELEASE, _NAMESPACE, _VALUES))["groups"][0]["rules"]
    sys.exit(max(page(rule) for rule in made))
