"""Running a command that must succeed."""

import subprocess
from pathlib import Path
from typing import Mapping, Optional, Sequence

from errors import SetupError


def run(
    command: Sequence[str],
    what: str,
    remedy: str,
    cwd: Optional[Path] = None,
    env: Optional[Mapping[str, str]] = None,
) -> str:
    """Run a command and give its standard output; a failure shows the end of what it printed."""
    try:
        done = subprocess.run(
            list(command), cwd=cwd, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )
    except FileNotFoundError:
        raise SetupError(f"{what}: the program '{command[0]}' is not on this machine; {remedy}") from None
    if done.returncode != 0:
        tail = "\n".join("    " + line for line in done.stdout.strip().splitlines()[-12:])
        raise SetupError(f"{what}: '{' '.join(command[:4])} …' ended with {done.returncode}; {remedy}\n{tail}")
    return done.stdout
