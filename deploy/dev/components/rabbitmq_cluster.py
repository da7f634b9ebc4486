"""Three RabbitMQ brokers that are one: what loses a minority and goes on."""

import secrets
import shutil
from pathlib import Path
from typing import Dict, List

from components.base import Component, Instance, Launch, Options
from components.rabbitmq import PASSWORD, USER, RabbitMq, environment_of, node_name, programs
from probes import amqp

NODES = (1, 2, 3)


class RabbitMqCluster(Component):
    name = "rabbitmq-cluster"
    start_seconds = 180

    def installed(self) -> bool:
        return RabbitMq().installed()

    def port_names(self, options: Options) -> List[str]:
        return [*(f"{kind}_{node}" for node in NODES for kind in ("amqp", "distribution")), "epmd"]

    def prepare(self, instance: Instance) -> List[Launch]:
        server, path = programs()
        _write_cookie(instance.folder / ".erlang.cookie")
        launches = []
        for node in NODES:
            member = _member(instance, node)
            member.folder.mkdir(exist_ok=True)
            peers = {f"cluster_formation.classic_config.nodes.{peer}": node_name(_member(instance, peer)) for peer in NODES}
            settings = {"cluster_formation.peer_discovery_backend": "classic_config", **peers}
            launches.append(Launch([str(server)], {**environment_of(member, path, settings), "HOME": str(instance.folder)}))
        # Started before the brokers, which find each other by it.
        return [Launch([shutil.which("epmd", path=path) or "epmd"], launches[0].env), *launches]

    def check(self, instance: Instance) -> None:
        for node in NODES:
            amqp.connect(instance.ports[f"amqp_{node}"], USER, PASSWORD)

    def environment(self, instance: Instance) -> Dict[str, str]:
        urls = {f"SIGHTLINE_TEST_AMQP_CLUSTER_URL_{node}":
                f"amqp://{USER}:{PASSWORD}@127.0.0.1:{instance.ports[f'amqp_{node}']}/%2f" for node in NODES}
        names = {f"SIGHTLINE_TEST_AMQP_CLUSTER_NODE_{node}": node_name(_member(instance, node)) for node in NODES}
        return {**urls, **names}


def _write_cookie(path: Path) -> None:
    """What the brokers know each other by. Each would make it where it is missing, and meet another's half made."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))


def _member(instance: Instance, node: int) -> Instance:
    """One of the brokers, as one that is alone would see itself."""
    ports = {kind: instance.ports[f"{kind}_{node}"] for kind in ("amqp", "distribution")}
    return Instance(instance.folder / f"node-{node}", {**ports, "epmd": instance.ports["epmd"]}, instance.options)
