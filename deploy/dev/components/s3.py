"""The S3 servers: MinIO, and moto for quick tests."""

from typing import Dict, List

import paths
from components.base import Component, Instance, Launch, Options
from probes import s3

_BUCKET = "sightline-test"
_ACCESS_KEY = "sightline-dev"
_SECRET_KEY = "sightline-dev-secret"
_REGION = "us-east-1"


class _S3(Component):
    start_seconds = 30
    stop_seconds = 10

    def check(self, instance: Instance) -> None:
        s3.make_bucket(instance.ports["s3"], _BUCKET, _ACCESS_KEY, _SECRET_KEY, _REGION)

    def environment(self, instance: Instance) -> Dict[str, str]:
        return {
            "SIGHTLINE_TEST_S3_ENDPOINT": f"http://127.0.0.1:{instance.ports['s3']}",
            "SIGHTLINE_TEST_S3_BUCKET": _BUCKET,
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
            "AWS_REGION": _REGION,
        }


class MinIo(_S3):
    name = "s3"

    def installed(self) -> bool:
        return (paths.S3 / "minio").exists()

    def port_names(self, options: Options) -> List[str]:
        return ["s3"]

    def prepare(self, instance: Instance) -> List[Launch]:
        data = instance.folder / "data"
        data.mkdir(exist_ok=True)
        env = {
            "HOME": str(instance.folder),
            "MINIO_ROOT_USER": _ACCESS_KEY,
            "MINIO_ROOT_PASSWORD": _SECRET_KEY,
            "MINIO_REGION": _REGION,
            "MINIO_BROWSER": "off",
            # It would ask its authors' site for news.
            "MINIO_UPDATE": "off",
        }
        command = [str(paths.S3 / "minio"), "server", "--quiet", "--address", f"127.0.0.1:{instance.ports['s3']}"]
        return [Launch([*command, str(data)], env)]


class Moto(_S3):
    """It keeps everything in memory, and takes any credentials."""

    name = "moto"

    def installed(self) -> bool:
        return (paths.VENV_MOTO / "bin/moto_server").exists()

    def port_names(self, options: Options) -> List[str]:
        return ["s3"]

    def prepare(self, instance: Instance) -> List[Launch]:
        command = [str(paths.VENV_MOTO / "bin/python"), str(paths.VENV_MOTO / "bin/moto_server")]
        return [Launch([*command, "-H", "127.0.0.1", "-p", str(instance.ports["s3"])], {"HOME": str(instance.folder)})]
