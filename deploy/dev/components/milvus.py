"""Milvus 2.3.5 standalone, with its metadata store inside and its data in local files.

It listens on every address and cannot be told otherwise. Its log's last words are a panic, after a
clean shutdown too: its metadata store is closed before the last of its watchers.
"""

import re
import shutil
from pathlib import Path
from typing import Dict, List

import paths
from components.base import Component, Instance, Launch, Options
from probes import NotReady, grpc

_SERVICE = "/milvus.proto.milvus.MilvusService/"
# Names of the wheel's configuration template: every `*_port` in it, and `etcd_port` twice.
_PORTS = ["proxy_port", "proxy_internal_port", "root_coord_port", "query_coord_port", "query_node_port",
          "index_coord_port", "index_node_port", "data_coord_port", "data_node_port", "etcd_port"]


class Milvus(Component):
    name = "milvus"
    start_seconds = 90

    def installed(self) -> bool:
        return (paths.MILVUS / "bin/milvus").exists()

    def port_names(self, options: Options) -> List[str]:
        return [*_PORTS, "etcd_peer_port", "metrics_port"]

    def prepare(self, instance: Instance) -> List[Launch]:
        folder = instance.folder
        for name in ("configs", "logs", "run"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "configs/milvus.yaml").write_text(_configuration(instance))
        (folder / "configs/etcd.yaml").write_text(_etcd_configuration(instance))
        shutil.copyfile(paths.MILVUS / "glog.conf", folder / "configs/glog.conf")
        env = {
            "HOME": str(folder),
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(instance.ports["metrics_port"]),
            "LD_LIBRARY_PATH": str(paths.MILVUS / "bin"),
        }
        return [Launch([str(paths.MILVUS / "bin/milvus"), "run", "standalone"], env)]

    def check(self, instance: Instance) -> None:
        port = instance.ports["proxy_port"]
        health = grpc.fields(grpc.call(port, _SERVICE + "CheckHealth"))
        if health.get(2) != [1]:
            raise NotReady(f"Milvus is not healthy: {health.get(3)}")
        list_collections(port)

    def environment(self, instance: Instance) -> Dict[str, str]:
        return {"SIGHTLINE_TEST_MILVUS_URL": f"milvus://127.0.0.1:{instance.ports['proxy_port']}"}

    def tidy(self, instance: Instance, main: int) -> None:
        Path(f"/tmp/milvus/server_id_{main}").unlink(missing_ok=True)


def list_collections(port: int) -> None:
    """ShowCollections: the cheapest call that needs the metadata."""
    answer = grpc.fields(grpc.call(port, _SERVICE + "ShowCollections"))
    status = answer.get(1, [b""])[0]
    if isinstance(status, bytes) and grpc.fields(status).get(1, [0]) != [0]:
        raise NotReady(f"Milvus does not list its collections: {status!r}")


def _configuration(instance: Instance) -> str:
    folder = instance.folder
    values: Dict[str, str] = {name: str(port) for name, port in instance.ports.items()}
    values.update({
        "etcd_data_dir": f"{folder}/data/etcd",
        "etcd_log_path": "stdout",
        "etcd_log_level": "warn",
        "local_storage_dir": f"{folder}/data",
        "rocksmq_data_dir": f"{folder}/data/rocksmq",
        # No log file of its own: it also logs to its output.
        "system_log_path": '""',
    })

    def fill(match: "re.Match[str]") -> str:
        name, _, default = match.group(1).partition(":")
        name = name.partition("(")[0].strip()
        return values.get(name, default.strip())

    text = re.sub(r"\{\{(.*?)\}\}", fill, (paths.MILVUS / "config.yaml.template").read_text())
    # Its parts would find each other by the machine's first outward address, which may change or be absent.
    text = re.sub(r"(?m)^  ip:.*$", "  ip: 127.0.0.1", text)
    text = text.replace("\netcd:\n", f"\netcd:\n  config:\n    path: {folder}/configs/etcd.yaml\n", 1)
    # After a SIGKILL a new server waits until the sessions of the old one have run out.
    text = re.sub(r"(?m)^(  session:\n    ttl:) \d+", r"\1 10", text)
    return re.sub(r"gracefulStopTimeout: \d+", "gracefulStopTimeout: 10", text)


def _etcd_configuration(instance: Instance) -> str:
    """Without it the metadata store listens on its usual ports, and two folders could not run side by side."""
    client = f"http://127.0.0.1:{instance.ports['etcd_port']}"
    peer = f"http://127.0.0.1:{instance.ports['etcd_peer_port']}"
    return "".join(f"{key}: {value}\n" for key, value in {
        "name": "default", "data-dir": f"{instance.folder}/data/etcd",
        "listen-client-urls": client, "advertise-client-urls": client,
        "listen-peer-urls": peer, "initial-advertise-peer-urls": peer, "initial-cluster": f"default={peer}",
        "log-level": "warn",
    }.items())
