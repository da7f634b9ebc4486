"""Python environments with every package pinned by digest (`requirements/*.txt`)."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import stamp
from download import say
from errors import SetupError
from process import run

_REQUIREMENTS: Path = Path(__file__).resolve().parent / "requirements"
# Nothing to build; what may be read from the lock file is all that may be installed.
_INSTALL = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps",
            "--only-binary=:all:", "--require-hashes"]
_OLDEST = (3, 11)


# Run by an environment's own Python, which brings what reads requirements with its pip.
_COMPARE = """
import importlib.metadata, re, sys
from pip._vendor.packaging.requirements import Requirement
for line in open(sys.argv[1]):
    if not re.match(r"[A-Za-z0-9]", line):
        continue
    wanted = Requirement(line.rstrip().rstrip(chr(92)))
    # Python puts a setuptools of its own into environments; who asks for one takes any.
    if wanted.name != "setuptools" and (wanted.marker is None or wanted.marker.evaluate()):
        if importlib.metadata.version(wanted.name) not in wanted.specifier:
            sys.exit(wanted.name)
"""


def as_pinned(python: Path, requirements: Path) -> bool:
    """Whether an environment has every package of a lock file in the pinned version."""
    compared = subprocess.run([str(python), "-c", _COMPARE, str(requirements)], capture_output=True, check=False)
    return compared.returncode == 0


def install(component: str, name: str, target: Path, adopt: bool = False) -> None:
    """The environment `target` with the packages of `requirements/<name>.txt`.

    With `adopt`, one that is there with the pinned versions is taken as it is, whoever made it: for environments of
    gigabytes.
    """
    requirements = _REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    key = stamp.key(f"{component} 1 {digest} {sys.version_info[:3]} {sys.prefix}")
    if stamp.holds(component, key) and (target / "bin/python").exists():
        return
    if adopt and (target / "bin/python").exists() and as_pinned(target / "bin/python", requirements):
        say(f"  {target} has every package as pinned: taken as it is")
        stamp.write(component, key)
        return
    if sys.version_info < _OLDEST:
        raise SetupError(f"its pinned packages need Python {_OLDEST[0]}.{_OLDEST[1]} or later and this is "
                         f"{sys.version.split()[0]}: run setup with a later python3")
    count = requirements.read_text().count("==")
    say(f"  installing {count} pinned Python packages into {target}")
    stamp.clear(component)
    shutil.rmtree(target, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(target)], what="making a Python environment",
        remedy="see that this Python has its venv module (Debian: apt-get install python3-venv)")
    run([str(target / "bin/python"), *_INSTALL, "-r", str(requirements)],
        what=f"installing {requirements.name}",
        remedy="see that pip reaches the Python package registry; a digest that does not match is no accident")
    stamp.write(component, key)
