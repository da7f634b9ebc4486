"""A RabbitMQ broker of our own, with an Erlang port mapper of its own: nothing of the system's is touched."""

import hashlib
import http.client
import os
import shutil
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import paths
from components.base import Component, Instance, Launch, Options
from probes import NotReady, amqp

USER = PASSWORD = "guest"


class RabbitMq(Component):
    name = "rabbitmq"
    start_seconds = 90

    def installed(self) -> bool:
        return (paths.RABBITMQ / "usr/lib/rabbitmq/bin/rabbitmq-server").exists() or paths.RABBITMQ_SYSTEM.exists()

    def port_names(self, options: Options) -> List[str]:
        management = ["management"] if options.rabbitmq_management else []
        return ["amqp", "distribution", "epmd", *management]

    def prepare(self, instance: Instance) -> List[Launch]:
        server, path = programs()
        env = environment_of(instance, path)
        epmd = shutil.which("epmd", path=path) or "epmd"
        return [Launch([epmd], env), Launch([str(server)], env)]

    def control(self, instance: Instance, program: str = "rabbitmqctl") -> Tuple[str, Dict[str, str]]:
        """How one of the broker's own commands is run against it: its path and environment."""
        server, path = programs()
        env = environment_of(instance, path)
        # Those are the server's.
        del env["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
        return str(server.with_name(program)), {**env, "LANG": "C.UTF-8"}

    def check(self, instance: Instance) -> None:
        amqp.connect(instance.ports["amqp"], USER, PASSWORD)
        management = instance.ports.get("management")
        if management is not None:
            _check_page(management)

    def environment(self, instance: Instance) -> Dict[str, str]:
        login = f"{USER}:{PASSWORD}@127.0.0.1"
        variables = {"SIGHTLINE_TEST_AMQP_URL": f"amqp://{login}:{instance.ports['amqp']}/%2f"}
        management: Optional[int] = instance.ports.get("management")
        if management is not None:
            variables["SIGHTLINE_TEST_AMQP_MANAGEMENT_URL"] = f"http://{login}:{management}"
        return variables


def environment_of(instance: Instance, path: str, more: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """Writes a broker's configuration, and gives the variables that it is started with."""
    folder = instance.folder
    settings = {
        "listeners.tcp.1": f"127.0.0.1:{instance.ports['amqp']}",
        # All of it in the one log file that our output goes to.
        "log.file": "false",
        "log.console": "true",
        **instance.options.rabbitmq_conf,
        **(more or {}),
    }
    if "management" in instance.ports:
        settings["management.tcp.ip"] = "127.0.0.1"
        settings["management.tcp.port"] = str(instance.ports["management"])
    (folder / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    plugins = "rabbitmq_management" if "management" in instance.ports else ""
    (folder / "enabled_plugins").write_text(f"[{plugins}].\n")
    return {
        "PATH": path,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": node_name(instance),
        "RABBITMQ_NODE_PORT": str(instance.ports["amqp"]),
        "RABBITMQ_DIST_PORT": str(instance.ports["distribution"]),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        # Or the machine's own settings would be read.
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        # The start script then becomes the broker, instead of waiting for it as its parent.
        "RUNNING_UNDER_SYSTEMD": "true",
        # The port mapper is a process of ours: one that the broker starts would outlive it. And no
        # spinning while idle.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} "
                                               "+sbwt none +sbwtdcpu none +sbwtdio none",
        "ERL_EPMD_PORT": str(instance.ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP_SECONDS": "0",
    }


def node_name(instance: Instance) -> str:
    return f"sightline-{hashlib.sha256(str(instance.folder).encode()).hexdigest()[:8]}@localhost"


def programs() -> Tuple[Path, str]:
    """The start script, and the PATH that it needs."""
    own = paths.RABBITMQ / "usr/lib/rabbitmq/bin/rabbitmq-server"
    path = os.environ.get("PATH", os.defpath)
    if own.exists():
        return own, f"{paths.RABBITMQ}/usr/lib/erlang/bin:{path}"
    return paths.RABBITMQ_SYSTEM, path


def _check_page(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"the management page on port {port}: {error}") from None
    finally:
        connection.close()
    if status != 200:
        raise NotReady(f"the management page on port {port} gave {status}")
