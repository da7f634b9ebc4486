"""MinIO, the S3 server of the integration tests, built from source by the machine's Go toolchain.

Its authors publish no binaries any more, and the module proxy serves no release tags, so the lock pins
a commit. It is a tool of development, under the AGPL: no part of it is linked into Sightline or shipped.
"""

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

_RECIPE = "s3 1"
_GO = "install Go 1.24.8 or later"


def setup() -> None:
    module = artefacts("s3")[0]
    key = stamp.key(_RECIPE, [module])
    binary = paths.S3 / "minio"
    if stamp.holds("s3", key) and binary.exists():
        return
    started = time.monotonic()
    say("  building MinIO from source: 0.25 GB to download, 2.3 GB of room meanwhile, 4 to 8 minutes on two cores")
    # Kept when the build is interrupted, so that the next one goes on from there.
    build = paths.LOCAL / "s3.build"
    env = _environment(str(build))
    source = _source(module, env)
    stamp.clear("s3")
    paths.S3.mkdir(parents=True, exist_ok=True)
    # Built in its own folder, so that its go.sum, which the pinned sum covers, pins every dependency.
    run(["nice", "go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(binary), "."],
        what="building MinIO", remedy=_GO, cwd=Path(source), env=env)
    license_file = Path(source) / "LICENSE"
    shutil.copyfile(license_file, paths.S3 / "LICENSE")
    stamp.write("s3", key)
    shutil.rmtree(build, ignore_errors=True)
    say(f"  MinIO {module.version}: {binary.stat().st_size} bytes, built in {time.monotonic() - started:.0f} s")


def _source(module: Artefact, env: Dict[str, str]) -> str:
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
            f"    remedy: delete {paths.LOCAL / 's3.build'} and run setup again; if it happens twice, do not use it"
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
