#!/usr/bin/env python3
"""Prints the share of covered lines by crate, as a Markdown table, from cargo-tarpaulin's JSON report.

    coverage_by_crate.py target/tarpaulin-report.json
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Tuple

REPOSITORY = Path(__file__).resolve().parents[2]


def main(arguments: List[str]) -> int:
    report = json.loads(Path(arguments[0]).read_text())
    lines: Dict[str, Tuple[int, int]] = defaultdict(lambda: (0, 0))
    for entry in report["files"]:
        path = Path(*entry["path"]) if isinstance(entry["path"], list) else Path(entry["path"])
        parts = path.relative_to(REPOSITORY).parts
        if "src" not in parts:
            continue
        crate = "/".join(parts[: parts.index("src")])
        covered, coverable = lines[crate]
        lines[crate] = (covered + entry["covered"], coverable + entry["coverable"])
    print("| crate | covered | lines |\n|---|---|---|")
    for crate, (covered, coverable) in sorted(lines.items()):
        print(f"| `{crate}` | {100 * covered / max(coverable, 1):.1f} % | {coverable} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
