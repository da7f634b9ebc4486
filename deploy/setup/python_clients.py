"""The Python clients of end-to-end tests and audits."""

import paths
import venv_lock


def setup() -> None:
    venv_lock.install("python-clients", "clients", paths.VENV_CLIENTS)
