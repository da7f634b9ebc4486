"""Python environments with every package pinned by digest (`requirements/*.txt`)."""

import hashlib
import shutil
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


def install(component: str, name: str, target: Path) -> None:
    """The environment `target` with the packages of `requirements/<name>.txt`."""
    requirements = _REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    key = stamp.key(f"{component} 1 {digest} {sys.version_info[:3]} {sys.prefix}")
    if stamp.holds(component, key) and (target / "bin/python").exists():
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
