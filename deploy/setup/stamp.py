"""A component is set up when its stamp holds the key that the present lock gives."""

import hashlib
from typing import Iterable

import paths
from lock import Artefact


def key(recipe: str, parts: Iterable[Artefact] = ()) -> str:
    """What must be unchanged for a component to need nothing: its recipe's version and its digests.

    `recipe` is raised by hand when a component is unpacked or built in another way.
    """
    text = "\n".join([recipe, *(f"{a.package} {a.version} {a.sha256}" for a in parts)])
    return hashlib.sha256(text.encode()).hexdigest()


def holds(component: str, expected: str) -> bool:
    """Whether the component was set up to the end with exactly this key."""
    try:
        return (paths.STAMPS / component).read_text().strip() == expected
    except FileNotFoundError:
        return False


def clear(component: str) -> None:
    """Forget the stamp before changing files, so that an interrupted setup starts again."""
    (paths.STAMPS / component).unlink(missing_ok=True)


def write(component: str, value: str) -> None:
    paths.STAMPS.mkdir(parents=True, exist_ok=True)
    (paths.STAMPS / component).write_text(value + "\n")
