"""The real servers as a fault sees them: killed, started again, told to misbehave."""

import os
import subprocess
import sys
import urllib.parse
from typing import Any, Dict, List

import boto3
from processes import REPOSITORY

DEV = REPOSITORY / "deploy/dev/dev.py"


class Servers:
    """What `deploy/dev/dev.py run` started."""

    def __init__(self) -> None:
        self.amqp = os.environ["SIGHTLINE_TEST_AMQP_URL"]
        self.milvus = os.environ["SIGHTLINE_TEST_MILVUS_URL"]
        self.s3 = os.environ["SIGHTLINE_TEST_S3_ENDPOINT"]
        self.bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]

    def client(self) -> Any:
        return boto3.client("s3", endpoint_url=self.s3)

    def kill(self, name: str) -> None:
        self._dev("kill", name)

    def start(self, name: str) -> None:
        self._dev("start", name)

    def broker(self, *arguments: str, program: str = "rabbitmqctl") -> str:
        """Runs a command of the broker's own."""
        return self._dev("broker", program, *arguments)

    def _dev(self, *arguments: str) -> str:
        done = subprocess.run([sys.executable, str(DEV), *arguments], capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise RuntimeError(f"dev.py {' '.join(arguments)} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def make_hosts(self, names: List[str]) -> None:
        """A virtual host a trial, so that no message of one trial reaches another."""
        steps = [f'rabbit_vhost:add(<<"{name}">>, <<"guest">>), rabbit_auth_backend_internal:set_permissions('
                 f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"guest">>)' for name in names]
        self.broker("eval", ", ".join(steps) + ".")

    def amqp_url(self, host: str, port: int = 0) -> str:
        """The broker's address for a trial, by way of a proxy where a port is given."""
        url = urllib.parse.urlsplit(self.amqp)
        netloc = url.netloc if not port else f"{url.username}:{url.password}@127.0.0.1:{port}"
        return f"amqp://{netloc}/{host}"

    def queues(self, host: str) -> Dict[str, int]:
        """Messages in each queue of a trial."""
        lines = self.broker("list_queues", "--silent", "-p", host, "name", "messages").splitlines()
        pairs = [line.split("\t") for line in lines if "\t" in line]
        return {name: int(count) for name, count in pairs if count.isdigit()}


def port_of(url: str) -> int:
    port = urllib.parse.urlsplit(url).port
    assert port is not None, url
    return port
