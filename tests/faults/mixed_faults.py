"""Row 26 of the table: everything at random; and row 12, a broker of three nodes that loses one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List

from cluster import Cluster
from faulty_milvus import UPSERT
from faulty_s3 import Fault
from proxy import Proxy
from servers import DEV, port_of
from store_faults import faulty_milvus, faulty_s3
from trial import Trial

NODES = (1, 2, 3)
# Of what is asked of the coordinators so many succeed, as any client tries them: either, and again.
MIN_SUCCEEDED = 0.99


def everything(trial: Trial) -> None:
    """Everything at random for 30 minutes."""
    deadline = time.monotonic() + trial.seconds(1800)
    proxy = Proxy("127.0.0.1", port_of(trial.servers.amqp))
    busy = Fault("503", status=503, code="SlowDown")
    cut_short = Fault("truncated", share=0.5)
    with faulty_s3(trial) as s3, faulty_milvus(trial) as milvus, \
            trial.cluster(s3=s3.url, amqp=proxy.port, milvus=milvus.port) as cluster:
        cluster.ready()

        def store(fault: Fault, method: str) -> bool:
            s3.rule = lambda request: fault if request.method == method and s3.random.random() < 0.3 else None
            time.sleep(trial.random.uniform(1, 4))
            s3.rule = lambda request: None
            return s3.spoilt[fault.name] > 0

        def index(fault: str) -> bool:
            before = milvus.spoilt[fault]
            milvus.rule = lambda method: fault if fault == "away" or method == UPSERT else None
            time.sleep(trial.random.uniform(1, 4))
            milvus.rule = lambda method: None
            return milvus.spoilt[fault] > before

        def lost(up: bool) -> bool:
            before = proxy.swallowed_up + proxy.swallowed_down
            proxy.swallow_up, proxy.swallow_down = up, not up
            time.sleep(trial.random.uniform(0.1, 1))
            cut = proxy.cut()
            proxy.swallow_up = proxy.swallow_down = False
            return cut > 0 and proxy.swallowed_up + proxy.swallowed_down > before

        def broker() -> bool:
            trial.servers.kill("rabbitmq")
            time.sleep(trial.random.uniform(0, 3))
            trial.servers.start("rabbitmq")
            return True

        kinds: Dict[str, Callable[[], bool]] = {
            "worker killed": lambda: trial.random.choice(cluster.workers).kill(),
            "coordinator killed": lambda: trial.random.choice(cluster.coordinators).kill(),
            "engine killed": lambda: engine(trial, cluster, signal.SIGKILL),
            "engine stopped": lambda: engine(trial, cluster, signal.SIGSTOP),
            "worker ended": lambda: ended(trial, cluster),
            "store busy": lambda: store(busy, "GET"), "bodies truncated": lambda: store(cut_short, "GET"),
            "state not written": lambda: store(busy, "PUT"),
            "index away": lambda: index("away"), "reply lost": lambda: index("reply lost"), "limited": lambda: index("limited"),
            "acks lost": lambda: lost(True), "confirms lost": lambda: lost(False), "broker killed": broker,
        }
        seen: Dict[str, int] = {}
        try:
            while time.monotonic() < deadline:
                run = trial.start(cluster)
                while not run.has_ended() and time.monotonic() < deadline:
                    time.sleep(trial.random.uniform(0.5, 3))
                    kind = trial.random.choice(sorted(kinds))
                    if kinds[kind]():
                        trial.hit()
                        seen[kind] = seen.get(kind, 0) + 1
                run.wait()
        finally:
            asked, failed = cluster.asked, cluster.failed
            trial.details.update(seen=seen, asked=asked, failed=failed)
    proxy.close()
    trial.must(failed <= (1 - MIN_SUCCEEDED) * asked, f"of {asked} operations {failed} failed")


def engine(trial: Trial, cluster: Cluster, number: int) -> bool:
    engines = [pid for worker in cluster.workers for pid in worker.children()]
    if not engines:
        return False
    pid = trial.random.choice(engines)
    try:
        os.kill(pid, number)
        if number == signal.SIGSTOP:
            time.sleep(trial.random.uniform(1, 5))
            os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return False
    return True


def ended(trial: Trial, cluster: Cluster) -> bool:
    victim = trial.random.choice(cluster.workers)
    if not victim.alive():
        return False
    victim.process.signal(signal.SIGTERM)
    return True


def minority_lost(trial: Trial) -> None:
    """Minority of a quorum: of three broker nodes one is stopped for 10 s, then one for 30 s."""
    def dev(*arguments: str) -> str:
        done = subprocess.run([sys.executable, str(DEV), *arguments], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"dev.py {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    dev("up", "rabbitmq-cluster")
    try:
        lines = [line[len("export "):].partition("=") for line in dev("env").splitlines()]
        values = {name: value.strip("'") for name, _, value in lines}
        names = [values[f"SIGHTLINE_TEST_AMQP_CLUSTER_NODE_{node}"] for node in NODES]
        proxy = Proxy("127.0.0.1", 0)
        proxy.targets = [("127.0.0.1", port_of(values[f"SIGHTLINE_TEST_AMQP_CLUSTER_URL_{node}"])) for node in NODES]
        # The host of these brokers is their own: nothing else uses them.
        trial.host, host = "%2f", trial.host
        with trial.cluster(amqp=proxy.port) as cluster:
            cluster.ready()
            run = trial.start(cluster)
            for seconds in (10, 30):
                if not run.until_share(trial.random.uniform(0.02, 0.3)):
                    break
                stopped = node_processes(trial.random.choice(names))
                before = run.done
                signal_all(stopped, signal.SIGSTOP)
                time.sleep(max(trial.seconds(seconds), 8))
                trial.details.setdefault("shards_done_meanwhile", []).append(run.done - before)
                signal_all(stopped, signal.SIGCONT)
                if stopped:
                    trial.hit()
            run.wait()
        trial.host = host
        proxy.close()
    finally:
        dev("down", "rabbitmq-cluster")


def node_processes(name: str) -> List[int]:
    """The broker of a name, found by its environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"RABBITMQ_NODENAME={name}".encode() in (entry / "environ").read_bytes().split(b"\0") \
                    and b"beam" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def signal_all(pids: List[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


FAULTS: Dict[int, Callable[[Trial], None]] = {12: minority_lost, 26: everything}
