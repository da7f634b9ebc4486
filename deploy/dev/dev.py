#!/usr/bin/env python3
"""Start and stop the real components that Sightline works with, on free ports of this machine.

    dev.py up [COMPONENT...]               start them, and wait until they serve
    dev.py status | env | down             what runs; how to find it; end it
    dev.py run [COMPONENT...] -- COMMAND   start them, run the command with them, end them
    dev.py kill COMPONENT                  SIGKILL, as a fault
    dev.py start COMPONENT                 again, on the same ports
    dev.py broker rabbitmqctl ARGUMENT...  one of the broker's own commands
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "setup")]

import lifecycle  # noqa: E402
import paths  # noqa: E402
import processes  # noqa: E402
from command import run_with_components  # noqa: E402
from components import ALL, DEFAULT  # noqa: E402
from components.base import Options  # noqa: E402
from components.rabbitmq import RabbitMq  # noqa: E402
from datafolder import DataFolder  # noqa: E402
from problem import DevError  # noqa: E402


def main(arguments: List[str]) -> int:
    command: Optional[List[str]] = None
    if arguments[:1] == ["run"] and "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1:]
    own: List[str] = []
    if arguments[:1] == ["broker"] and len(arguments) > 1:
        # What follows the command's name is the command's own.
        arguments, own = arguments[:2], arguments[2:]
    parsed = _parser().parse_args(arguments)
    try:
        return _do(parsed, own if parsed.action == "broker" else command)
    except DevError as error:
        sys.stderr.write(f"dev.py {parsed.action}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _do(parsed: argparse.Namespace, command: Optional[List[str]]) -> int:
    if not Path("/proc/self/environ").exists():
        raise DevError("the components are Linux programs, and found by /proc: run this on Linux")
    chosen = parsed.data or os.environ.get("SIGHTLINE_TEST_DEV_DATA")
    if parsed.action == "run":
        if not command:
            raise DevError("name the command to run after `--`")
        # A folder of its own unless one is named: a test starts from nothing.
        return run_with_components(parsed.data, parsed.component or DEFAULT, _options(parsed), command)
    if parsed.action == "status" and parsed.all:
        return _status_of_all()
    data = DataFolder(Path(chosen) if chosen else paths.LOCAL / "dev")
    if parsed.action == "env":
        return _print_environment(data)
    if parsed.action == "status":
        return _status(data)
    if parsed.action == "broker":
        return _broker(data, parsed.program, command or [])
    with data.locked():
        if parsed.action == "up":
            lifecycle.up(data, parsed.component or DEFAULT, _options(parsed))
        elif parsed.action == "down":
            lifecycle.down(data, parsed.component or list(ALL))
            if parsed.wipe:
                data.remove(keep_logs=False)
        elif parsed.action == "kill":
            lifecycle.kill(data, parsed.component)
        elif parsed.action == "start":
            lifecycle.start(data, parsed.component)
    return 0


def _options(parsed: argparse.Namespace) -> Options:
    conf: Dict[str, str] = {}
    for setting in parsed.rabbitmq_conf:
        key, equals, value = setting.partition("=")
        if not equals:
            raise DevError(f"--rabbitmq-conf takes KEY=VALUE, not '{setting}'")
        conf[key.strip()] = value.strip()
    return Options(rabbitmq_conf=conf, rabbitmq_management=parsed.rabbitmq_management)


def _print_environment(data: DataFolder) -> int:
    variables = lifecycle.environment(data)
    if not variables:
        raise DevError(f"nothing runs in {data.root}; `dev.py up` starts the components")
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


def _status(data: DataFolder) -> int:
    for name in ALL:
        settings = data.settings(name)
        if data.is_running(name) and settings is not None:
            port = next(iter(settings.ports.values()))
            text = f"running, process {settings.main}, port {port}, log {data.log(name)}"
        elif processes.of(data.folder(name)):
            text = "ended, but left processes: `dev.py down` ends them"
        else:
            text = "not running"
        sys.stdout.write(f"{name:12} {text}\n")
    return 0


def _broker(data: DataFolder, program: str, arguments: List[str]) -> int:
    if not data.is_running(RabbitMq.name):
        raise DevError(f"no broker runs in {data.root}; `dev.py up rabbitmq` starts one")
    name, environment = RabbitMq().control(data.instance(RabbitMq.name), program)
    return subprocess.run([name, *arguments], env=environment).returncode


def _status_of_all() -> int:
    for folder, pids in sorted(processes.marked().items()):
        sys.stdout.write(f"{folder} {' '.join(map(str, sorted(pids)))}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, help="the folder of their data (default: $SIGHTLINE_TEST_DEV_DATA, else "
                                                  "<repo>/.local/dev; for run: a new one)")
    tuned = argparse.ArgumentParser(add_help=False)
    tuned.add_argument("--rabbitmq-conf", metavar="KEY=VALUE", action="append", default=[],
                       help="a line of rabbitmq.conf, as consumer_timeout=60000; may be repeated")
    tuned.add_argument("--rabbitmq-management", action="store_true", help="RabbitMQ's management page and API")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    several = {"nargs": "*", "metavar": "COMPONENT", "help": "of " + ", ".join(ALL)}
    for name, parents in (("up", [common, tuned]), ("run", [common, tuned]), ("down", [common])):
        action = actions.add_parser(name, parents=parents)
        action.add_argument("component", type=_component, **several)  # type: ignore[arg-type]
        if name == "down":
            action.add_argument("--wipe", action="store_true", help="also delete their data and logs")
    status = actions.add_parser("status", parents=[common])
    status.add_argument("--all", action="store_true", help="every data folder of this machine with processes")
    actions.add_parser("env", parents=[common])
    broker = actions.add_parser("broker", parents=[])
    broker.set_defaults(data=None)
    broker.add_argument("program", choices=["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-queues"])
    for name in ("kill", "start"):
        actions.add_parser(name, parents=[common]).add_argument("component", type=_component, metavar="COMPONENT")
    return parser


def _component(name: str) -> str:
    if name not in ALL:
        raise argparse.ArgumentTypeError(f"there is no component '{name}': choose of {', '.join(ALL)}")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
