"""Programs that the machine's Go toolchain builds from a pinned module."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Dict

import paths
import stamp
from download import say
from errors import SetupError
from lock import Artefact, artefacts
from process import run

_GO = "install Go 1.24.8 or later"


def build(component: str, recipe: str, package: str, binary: Path, announce: str) -> None:
    """Builds `package` (a folder of the component's module) into `binary`, unless it stands there already."""
    build_each(component, recipe, {binary: package}, announce)


def build_each(component: str, recipe: str, packages: Dict[Path, str], announce: str) -> None:
    """Builds several packages of one module, one after the other, into programs of one folder."""
    module = artefacts(component)[0]
    key = stamp.key(recipe, [module])
    if stamp.holds(component, key) and all(binary.exists() for binary in packages):
        return
    started = time.monotonic()
    say(announce)
    # Kept when the build is interrupted, so that the next one goes on from there.
    folder = paths.LOCAL / f"{component}.build"
    env = _environment(str(folder))
    source = Path(_source(component, module, env))
    stamp.clear(component)
    for binary, package in packages.items():
        binary.parent.mkdir(parents=True, exist_ok=True)
        # Built in its own folder, so that its go.sum, which the pinned sum covers, pins every dependency.
        run(["nice", "go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(binary), package],
            what=f"building {binary.name}", remedy=_GO, cwd=source, env=env)
        shutil.copyfile(source / "LICENSE", binary.parent / "LICENSE")
    stamp.write(component, key)
    shutil.rmtree(folder, ignore_errors=True)
    seconds, size = time.monotonic() - started, sum(binary.stat().st_size for binary in packages)
    say(f"  {component} {module.version}: {size} bytes, built in {seconds:.0f} s")


def copy(component: str, recipe: str, folder: Path, target: Path) -> None:
    """Copies the files of one folder of the component's module into `target`; nothing is built."""
    module = artefacts(component)[0]
    key = stamp.key(recipe, [module])
    if stamp.holds(component, key) and target.is_dir():
        return
    cache = paths.LOCAL / f"{component}.build"
    source = Path(_source(component, module, _environment(str(cache))))
    stamp.clear(component)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source / folder, target)
    shutil.copyfile(source / "LICENSE", target / "LICENSE")
    stamp.write(component, key)
    shutil.rmtree(cache, ignore_errors=True)
    say(f"  {component} {module.version} is in {target}")


def build_tools(
    component: str, recipe: str, module: Path, packages: Dict[str, str], target: Path, announce: str, facts: Dict[str, str]
) -> None:
    """Builds `packages`, each into the program of its name in `target`, with the versions of the go.mod in `module`.

    For programs whose own module cannot be built as it is published. The go.sum beside the go.mod pins every
    dependency, and the stamp holds both files. `facts` are variables that the linker sets.
    """
    pinned = hashlib.sha256((module / "go.mod").read_bytes() + (module / "go.sum").read_bytes()).hexdigest()
    key = stamp.key(f"{recipe} {pinned} {sorted(packages.items())} {sorted(facts.items())}")
    if stamp.holds(component, key) and all((target / name).exists() for name in packages):
        return
    started = time.monotonic()
    say(announce)
    folder = paths.LOCAL / f"{component}.build"
    env = _environment(str(folder))
    stamp.clear(component)
    target.mkdir(parents=True, exist_ok=True)
    flags = " ".join(["-ldflags=-s -w", *(f"-X {name}={value}" for name, value in facts.items())])
    for name, package in packages.items():
        # One package at a time, so that a small machine is not used up.
        run(["nice", "go", "build", "-mod=readonly", "-trimpath", "-p=2", flags, "-o", str(target / name), package], what=f"building {name}", remedy=_GO, cwd=module, env=env)
    stamp.write(component, key)
    shutil.rmtree(folder, ignore_errors=True)
    say(f"  {', '.join(packages)}: built in {time.monotonic() - started:.0f} s")


def _source(component: str, module: Artefact, env: Dict[str, str]) -> str:
    """The module's unpacked source, verified by its Go sum: a SHA-256 over the names and bytes of its files."""
    answer = json.loads(run(
        ["go", "mod", "download", "-json", f"{module.package}@{module.version}"],
        what=f"downloading {module.package} {module.version}",
        remedy=f"see that Go reaches its module proxy, and {_GO}", cwd=paths.LOCAL, env=env,
    ))
    if answer["Sum"] != module.sha256:
        raise SetupError(
            f"{answer['Zip']} is another file than the one pinned in deploy/setup/lock.json\n"
            f"    expected {module.sha256}\n    got      {answer['Sum']}\n"
            f"    remedy: delete {paths.LOCAL / (component + '.build')} and run setup again; if it happens twice, do not use it"
        )
    return str(answer["Dir"])


def _environment(build: str) -> Dict[str, str]:
    return {
        **os.environ,
        "GOMODCACHE": f"{build}/mod",
        "GOCACHE": f"{build}/cache",
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
