"""milvus-lite 2.5.1: several vector fields in a collection."""

from typing import Dict, List

import paths
from components.base import Component, Instance, Launch, Options
from components.milvus import list_collections


class MilvusLite(Component):
    name = "milvus-lite"
    start_seconds = 30
    stop_seconds = 10

    def installed(self) -> bool:
        return (paths.MILVUS_LITE / "milvus").exists()

    def port_names(self, options: Options) -> List[str]:
        return ["grpc"]

    def prepare(self, instance: Instance) -> List[Launch]:
        address = f"127.0.0.1:{instance.ports['grpc']}"
        command = [str(paths.MILVUS_LITE / "milvus"), str(instance.folder / "lite.db"), address, "ERROR"]
        return [Launch(command, {"LD_LIBRARY_PATH": str(paths.MILVUS_LITE), "HOME": str(instance.folder)})]

    def check(self, instance: Instance) -> None:
        list_collections(instance.ports["grpc"])

    def environment(self, instance: Instance) -> Dict[str, str]:
        return {"SIGHTLINE_TEST_MILVUS_LITE_URL": f"milvus://127.0.0.1:{instance.ports['grpc']}"}
