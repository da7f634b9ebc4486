"""The version: said in Cargo.toml, and nowhere else by hand.

    tools/dist/versions.py            sees that every other place says the same
    tools/dist/versions.py 0.2.0      sets it in every place
"""

import re
import sys
from pathlib import Path
from typing import Dict, List, Tuple

REPO: Path = Path(__file__).resolve().parents[2]
_CARGO = "Cargo.toml"
# Everything before the version, in a file.
_CARGO_PLACE = r'(\[workspace\.package\]\nversion = ")'
_PLACES: Dict[str, List[str]] = {
    "helm/sightline/Chart.yaml": [r"(\nversion: )", r"(\nappVersion: )"],
    "deploy/docker/*.Dockerfile": [r"(\nARG VERSION=)"],
    "docs/kubernetes.md": [r"( TAG=)"],
    "tests/chart/values/all-in.yaml": [r"(tag: )"],
}
_VERSION = r"(\d+\.\d+\.\d+(?:-[0-9a-z.]+)?)"


def workspace() -> str:
    """The workspace's version."""
    found = re.search(_CARGO_PLACE + _VERSION, (REPO / _CARGO).read_text())
    if found is None:
        raise SystemExit("Cargo.toml says no version under [workspace.package]")
    return found[2]


def places() -> List[Tuple[Path, str]]:
    """Every other place: its file, and the pattern that ends in the version."""
    return [(file, pattern) for glob, patterns in _PLACES.items() for file in sorted(REPO.glob(glob))
            for pattern in patterns]


def check() -> None:
    """Ends the program where a place says another version, or none."""
    version, wrong = workspace(), []
    for file, pattern in places():
        found = re.search(pattern + _VERSION, file.read_text())
        if found is None or found[2] != version:
            wrong.append(f"{file.relative_to(REPO)} says {found[2] if found else 'none'}")
    if f"\n## {version}" not in (REPO / "CHANGELOG.md").read_text():
        wrong.append("CHANGELOG.md has no section of it")
    if wrong:
        raise SystemExit(f"Cargo.toml says version {version}, but " + "; ".join(wrong)
                         + f"\nremedy: tools/dist/versions.py {version}, and a section in CHANGELOG.md")


def put(version: str) -> None:
    if not re.fullmatch(_VERSION, version):
        raise SystemExit(f"{version} is no version: MAJOR.MINOR.PATCH, and -NAME where it is a release before one")
    for file, pattern in [(REPO / _CARGO, _CARGO_PLACE), *places()]:
        text = file.read_text()
        file.write_text(re.sub(pattern + _VERSION, rf"\g<1>{version}", text))


if __name__ == "__main__":
    if sys.argv[1:]:
        put(sys.argv[1])
    else:
        check()
