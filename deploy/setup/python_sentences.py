"""sentence-transformers over the environment of torch and transformers: what makes the fixtures that parity is held
against. 230 MB beside that one's 4.9 GB."""

import sys

import paths
import python_torch
import venv_lock


def setup() -> None:
    python_torch.setup()
    venv_lock.install("python-sentences", "sentences", paths.VENV_SENTENCES)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # What it lacks is found in the other environment.
    packages = paths.VENV_TORCH / "lib" / version / "site-packages"
    link = paths.VENV_SENTENCES / "lib" / version / "site-packages" / "torch-environment.pth"
    link.write_text(f"{packages}\n")
