"""RabbitMQ and the Erlang it runs on, unpacked from Debian's packages: nothing is installed.

Installing them would start a broker as a system service. A machine that has RabbitMQ installed is
left as it is, and `deploy/dev` runs brokers of its own from that installation.
"""

import shutil
from pathlib import Path

import debian
import paths
from download import Files
from errors import SetupError
from unpack import install

# Debian's starts Erlang from the folder it is installed in; this one from where it lies.
_ERL = """#!/bin/sh
ROOTDIR=$(dirname "$(dirname "$(readlink -f "$0")")")
BINDIR="$ROOTDIR/{erts}/bin"
EMU=beam
PROGNAME=erl
export ROOTDIR BINDIR EMU PROGNAME
exec "$BINDIR/erlexec" ${{1+"$@"}}
"""


def setup() -> None:
    if paths.RABBITMQ_SYSTEM.exists() and not paths.RABBITMQ.exists():
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError("RabbitMQ is set up from Debian's packages and this machine has no apt-get: install "
                         f"rabbitmq-server with its own package manager so that {paths.RABBITMQ_SYSTEM} exists")
    install("rabbitmq", "rabbitmq 1", paths.RABBITMQ, _fill, fetch=debian.packages)
    shutil.rmtree(paths.LOCAL / "apt", ignore_errors=True)


def _fill(files: Files, target: Path) -> None:
    for file in files.values():
        debian.unpack(file, target)
    erlang = target / "usr/lib/erlang"
    erts = [folder.name for folder in erlang.glob("erts-*")]
    if len(erts) != 1:
        raise SetupError(f"the Erlang packages hold {len(erts)} runtimes where one is expected: correct "
                         "deploy/setup/rabbitmq.py")
    (erlang / "bin/erl").write_text(_ERL.format(erts=erts[0]))
    for unused in ("etc", "lib", "var", "usr/share/man", "usr/share/lintian", "usr/lib/ocf"):
        shutil.rmtree(target / unused, ignore_errors=True)
