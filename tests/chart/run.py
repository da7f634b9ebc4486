"""Checks the chart: `make helm-test`.

Lints it, renders every values file for every version of Kubernetes through strict schemas, sees typical mistakes
refused by name, all that by the oldest helm that the chart is for, too, and runs the unit tests. Writes target/helm.json; ends with 1 where anything is wrong.
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List

import yaml

import render
import schemas

_HERE = Path(__file__).resolve().parent
_REPORT = render.REPO / "target/helm.json"


def main() -> int:
    report: Dict[str, Any] = {"values_files": 0, "manifests": 0, "invalid": 0, "rejected_mistakes": 0,
                              "kubernetes": render.VERSIONS, "lint_failures": 0, "accepted_mistakes": 0,
                              "same_by_oldest_helm": 0}
    problems: List[str] = []
    for name in render.names():
        problems += _lint(name, report)
        problems += _validate(name, report)
        problems += _same(name, report)
        report["values_files"] += 1
    problems += _mistakes(report)
    tests = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.discover(str(_HERE)))
    report["unit_tests"] = tests.testsRun
    report["failed_unit_tests"] = len(tests.failures) + len(tests.errors)
    _REPORT.parent.mkdir(exist_ok=True)
    _REPORT.write_text(json.dumps(report, indent=1) + "\n")
    for problem in problems:
        print(problem)
    print(json.dumps(report))
    return 1 if problems or not tests.wasSuccessful() else 0


def _lint(name: str, report: Dict[str, Any]) -> List[str]:
    problems: List[str] = []
    for helm in (render.HELM, render.OLDEST_HELM):
        command = [str(helm), "lint", "--strict", str(render.CHART), "--kube-version", render.VERSIONS[-1],
                   "--values", str(render.VALUES / f"{name}.yaml")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            report["lint_failures"] += 1
            problems.append(f"{name}: {helm} lint: {ended.stdout}{ended.stderr}")
    return problems


def _same(name: str, report: Dict[str, Any]) -> List[str]:
    """Whether the oldest helm makes the same objects."""
    files = [render.VALUES / f"{name}.yaml"]

    def objects(helm: Path) -> List[str]:
        # Each version has an order of its own.
        return sorted(json.dumps(manifest, sort_keys=True) for manifest in render.chart(files, helm=helm))

    if objects(render.HELM) == objects(render.OLDEST_HELM):
        report["same_by_oldest_helm"] += 1
        return []
    return [f"{name}: {render.OLDEST_HELM} makes other objects of it than {render.HELM}"]


def _validate(name: str, report: Dict[str, Any]) -> List[str]:
    problems: List[str] = []
    for version in render.versions(name):
        for manifest in render.named(name, version):
            found = schemas.problems(manifest, version)
            report["manifests"] += 1
            report["invalid"] += bool(found)
            problems += [f"{name}, Kubernetes {version}: {problem}" for problem in found]
    return problems


def _mistakes(report: Dict[str, Any]) -> List[str]:
    problems: List[str] = []
    for mistake in yaml.safe_load((_HERE / "mistakes.yaml").read_text()):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(mistake["values"], file)
            file.flush()
            found = [problem for helm in (render.HELM, render.OLDEST_HELM) for problem in _mistake(mistake, Path(file.name), helm)]
        report["accepted_mistakes" if found else "rejected_mistakes"] += 1
        problems += found
    return problems


def _mistake(mistake: Dict[str, Any], values: Path, helm: Path) -> List[str]:
    try:
        render.chart([render.VALUES / "minimal.yaml", values], helm=helm)
    except render.Refused as refused:
        if mistake["says"] in str(refused):
            return []
        return [f"{mistake['name']}: the message of {helm} does not name {mistake['says']}: {refused}"]
    return [f"a mistake is taken by {helm}: {mistake['name']}"]


if __name__ == "__main__":
    sys.exit(main())
