"""Prints what the chart makes of every values file, and the definitions of the custom resources among it, as JSON.

    tests/chart/objects.py > objects.json
"""

import json
import sys

import render
import schemas


def main() -> int:
    objects = {name: render.named(name) for name in render.names()}
    kinds = {(manifest["apiVersion"].rpartition("/")[0], manifest["kind"]) for made in objects.values() for manifest in made}
    definitions = [definition for definition in schemas.custom_resources()
                   if (definition["spec"]["group"], definition["spec"]["names"]["kind"]) in kinds]
    # A definition's example may be a date.
    json.dump({"definitions": definitions, "objects": objects}, sys.stdout, default=str)
    return 0


if __name__ == "__main__":
    sys.exit(main())
