"""The dev program against the real components. `python3 -m unittest deploy/dev/test_dev.py`; about two minutes.

A component that deploy/setup has not put in place is skipped, by name.
"""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Dict, List
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "setup")]

import processes  # noqa: E402
from components import ALL  # noqa: E402
from probes import NotReady, amqp, grpc, s3  # noqa: E402

LIST_COLLECTIONS = "/milvus.proto.milvus.MilvusService/ShowCollections"
URL = {"rabbitmq": "SIGHTLINE_TEST_AMQP_URL", "milvus": "SIGHTLINE_TEST_MILVUS_URL",
       "milvus-lite": "SIGHTLINE_TEST_MILVUS_LITE_URL", "s3": "SIGHTLINE_TEST_S3_ENDPOINT",
       "moto": "SIGHTLINE_TEST_S3_ENDPOINT"}


def dev(*arguments: str, data: Path, limit: float = 120) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(HERE / "dev.py"), arguments[0], "--data", str(data), *arguments[1:]],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit, check=False)


def call(name: str, variables: Dict[str, str]) -> None:
    """Use a component as its client would, by nothing but the printed variables."""
    port = urlsplit(variables[URL[name]]).port
    assert port is not None
    if name == "rabbitmq":
        amqp.connect(port, "guest", "guest")
    elif name in ("milvus", "milvus-lite"):
        grpc.call(port, LIST_COLLECTIONS)
    else:
        status, _ = s3.request(port, "GET", f"/{variables['SIGHTLINE_TEST_S3_BUCKET']}",
                               variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"],
                               variables["AWS_REGION"])
        if status != 200:
            raise NotReady(f"listing the bucket gave {status}")


class DevCase(unittest.TestCase):
    def setUp(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="sightline-dev-"))
        self.data = self.top / "data"
        self.addCleanup(self.clean)

    def clean(self) -> None:
        left = {folder: pids for folder, pids in processes.marked().items() if folder.startswith(f"{self.top}/")}
        for folder in left:
            processes.kill(Path(folder))
        shutil.rmtree(self.top, ignore_errors=True)
        self.assertEqual(left, {}, "processes were left behind")

    def need(self, *names: str) -> None:
        missing = [name for name in names if not ALL[name].installed()]
        if missing:
            self.skipTest(f"not set up: {', '.join(missing)}")

    def ok(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        done = dev(*arguments, data=self.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def variables(self) -> Dict[str, str]:
        lines = self.ok("env").stdout.splitlines()
        pairs = [line[len("export "):].split("=", 1) for line in lines]
        return {name: value.strip("'") for name, value in pairs}

    def main_process(self, name: str) -> int:
        line = next(line for line in self.ok("status").stdout.splitlines() if line.split()[0] == name)
        self.assertIn("running, process", line)
        return int(line.split("process ")[1].split(",")[0])


class Lifecycle(DevCase):
    def test_rabbitmq(self) -> None:
        self.life("rabbitmq")

    def test_milvus(self) -> None:
        self.life("milvus")

    def test_milvus_lite(self) -> None:
        self.life("milvus-lite")

    def test_s3(self) -> None:
        self.life("s3")

    def test_moto(self) -> None:
        self.life("moto")

    def life(self, name: str) -> None:
        self.need(name)
        self.ok("up", name)
        first, variables = self.main_process(name), self.variables()
        call(name, variables)
        self.assertIn("already running", self.ok("up", name).stderr)
        self.assertEqual(self.main_process(name), first)

        self.ok("kill", name)
        with self.assertRaises(NotReady):
            call(name, variables)
        self.ok("start", name)
        self.assertEqual(self.variables(), variables)
        call(name, variables)

        self.ok("down")
        self.assertEqual(processes.of(self.data / name), [])
        self.assertEqual(dev("env", data=self.data).returncode, 1)
        self.ok("down", "--wipe")
        self.assertFalse(self.data.exists())


class SideBySide(DevCase):
    def test_two_folders(self) -> None:
        self.need("rabbitmq", "milvus")
        ends: List[str] = []
        for folder in ("one", "two"):
            self.data = self.top / folder
            self.ok("up", "rabbitmq", "milvus")
            variables = self.variables()
            ends += [variables[URL["rabbitmq"]], variables[URL["milvus"]]]
        self.assertEqual(len(set(ends)), 4)
        self.ok("down")
        self.data = self.top / "one"
        for name in ("rabbitmq", "milvus"):
            call(name, self.variables())
        self.ok("down")


class Faults(DevCase):
    def test_down_after_an_up_that_was_killed(self) -> None:
        self.need("rabbitmq")
        up = subprocess.Popen([sys.executable, str(HERE / "dev.py"), "up", "--data", str(self.data), "rabbitmq"],
                              stderr=subprocess.DEVNULL)
        while not processes.of(self.data / "rabbitmq"):
            time.sleep(0.02)
        up.kill()
        up.wait()
        self.ok("down")
        self.assertEqual(processes.of(self.data / "rabbitmq"), [])

    def test_down_ends_what_does_not_answer(self) -> None:
        self.need("milvus-lite")
        self.ok("up", "milvus-lite")
        os.kill(self.main_process("milvus-lite"), signal.SIGSTOP)
        self.assertIn("was killed", self.ok("down").stderr)

    def test_a_component_that_cannot_start_shows_its_log(self) -> None:
        self.need("rabbitmq")
        done = dev("up", "--rabbitmq-conf", "no.such.setting=1", "rabbitmq", data=self.data)
        self.assertEqual(done.returncode, 1)
        self.assertIn("rabbitmq ended while starting", done.stderr)
        self.assertIn("no.such.setting", done.stderr)

    def test_start_refuses_ports_that_others_took(self) -> None:
        self.need("milvus-lite")
        self.ok("up", "milvus-lite")
        port = urlsplit(self.variables()[URL["milvus-lite"]]).port
        self.ok("down")
        thief = subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.top)
        try:
            time.sleep(1)
            done = dev("start", "milvus-lite", data=self.data)
            self.assertEqual(done.returncode, 1)
            self.assertIn(str(port), done.stderr)
            self.ok("up", "milvus-lite")
            self.assertNotEqual(urlsplit(self.variables()[URL["milvus-lite"]]).port, port)
        finally:
            thief.kill()
            thief.wait()
        self.ok("down")


class RabbitMqOptions(DevCase):
    def test_settings_and_management(self) -> None:
        self.need("rabbitmq")
        self.ok("up", "--rabbitmq-management", "--rabbitmq-conf", "heartbeat=7", "rabbitmq")
        variables = self.variables()
        page = urlsplit(variables["SIGHTLINE_TEST_AMQP_MANAGEMENT_URL"])
        connection = http.client.HTTPConnection("127.0.0.1", page.port or 0, timeout=10)
        # guest:guest
        connection.request("GET", "/api/overview", headers={"authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="})
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.assertEqual(amqp.connect(urlsplit(variables[URL["rabbitmq"]]).port or 0, "guest", "guest"), 7)
        self.ok("down")


class Run(DevCase):
    def run_command(self, *command: str) -> "subprocess.CompletedProcess[str]":
        self.need("milvus-lite", "moto")
        return dev("run", "milvus-lite", "moto", "--", *command, data=self.data)

    def test_it_gives_the_variables_and_ends_everything(self) -> None:
        done = self.run_command("sh", "-c", "echo $SIGHTLINE_TEST_MILVUS_LITE_URL $SIGHTLINE_TEST_S3_ENDPOINT; exit 7")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertRegex(done.stdout, "milvus://127.0.0.1:[0-9]+ http://127.0.0.1:[0-9]+")
        self.assertTrue((self.data / "moto.log").exists())
        self.assertEqual([folder for folder in processes.marked() if folder.startswith(f"{self.top}/")], [])

    def test_a_command_can_kill_and_start_its_components(self) -> None:
        program = f"{sys.executable} {HERE / 'dev.py'}"
        done = self.run_command("sh", "-ec", f"{program} kill moto --data {self.data}; "
                                             f"{program} start moto --data {self.data}")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_signals_end_everything(self) -> None:
        self.need("milvus-lite")
        for number, code in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
            with self.subTest(signal=number):
                ready = self.top / "ready"
                run = subprocess.Popen([sys.executable, str(HERE / "dev.py"), "run", "--data", str(self.data),
                                        "milvus-lite", "--", "sh", "-c", f"touch {ready}; exec sleep 20"],
                                       stderr=subprocess.DEVNULL)
                while not ready.exists():
                    self.assertIsNone(run.poll())
                    time.sleep(0.05)
                ready.unlink()
                run.send_signal(number)
                self.assertEqual(run.wait(timeout=30), code)
                time.sleep(0.3)
                self.assertEqual(processes.of(self.data / "milvus-lite"), [])


if __name__ == "__main__":
    unittest.main()
