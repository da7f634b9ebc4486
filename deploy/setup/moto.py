"""moto: an S3 server in Python, up in a second. It checks no credentials; for quick tests and fault scripts."""

import paths
import venv_lock


def setup() -> None:
    venv_lock.install("moto", "moto", paths.VENV_MOTO)
