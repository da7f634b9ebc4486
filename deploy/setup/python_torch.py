"""torch and transformers: what models are held against and benchmarked beside. The package registry's build of torch, which
computes on GPUs too: 2.7 GB to fetch, 4.9 GB on the disk."""

import paths
import venv_lock


def setup() -> None:
    venv_lock.install("python-torch", "torch", paths.VENV_TORCH, adopt=True)
