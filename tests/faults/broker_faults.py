"""Faults of the broker and of the way to it: rows 3, 6, 8 to 11 of the table."""

import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator

from cluster import Cluster
from faulty_s3 import Fault
from proxy import Proxy
from servers import port_of
from store_faults import faulty_s3
from trial import Trial
from worker_faults import HEARTBEAT_SECONDS, SILENT_HEARTBEATS, longest_gap

# Longest time until sessions are back after the broker is.
BACK_SECONDS = 10
PAGE_BYTES = 4096


@contextmanager
def proxied(trial: Trial, **more: str) -> Iterator["tuple[Proxy, Cluster]"]:
    """A cluster that reaches its broker by way of a proxy."""
    proxy = Proxy("127.0.0.1", port_of(trial.servers.amqp))
    try:
        with trial.cluster(amqp=proxy.port, **more) as cluster:
            yield proxy, cluster.ready()
    finally:
        proxy.close()


def ack_lost(trial: Trial) -> None:
    """Ack lost: what goes to the broker is swallowed, then the connections are reset."""
    with proxied(trial) as (proxy, cluster):
        run = trial.start(cluster)
        for share in sorted(trial.random.uniform(0.05, 0.9) for _ in range(6)):
            if not run.until_share(share):
                break
            before = proxy.swallowed_up
            proxy.swallow_up = True
            # Until an ack, or whatever else was on its way, is gone.
            run.until(lambda before=before: proxy.swallowed_up > before, 60)
            time.sleep(trial.random.uniform(0, 0.3))
            cut = proxy.cut()
            proxy.swallow_up = False
            if cut and proxy.swallowed_up > before:
                trial.hit()
        run.wait()
        trial.details.update(swallowed=proxy.swallowed_up, cut=proxy.cut_connections)


def confirm_lost(trial: Trial) -> None:
    """Publisher confirm lost: what comes from the broker is swallowed while it is published, then the proxy cuts."""
    with proxied(trial) as (proxy, cluster):
        # Planning publishes; a narrow window makes it go on for the whole run.
        run = trial.start(cluster, window_shards=8)
        for share in sorted(trial.random.uniform(0, 0.8) for _ in range(6)):
            if not run.until_share(share):
                break
            before = proxy.swallowed_down
            proxy.swallow_down = True
            run.until(lambda before=before: proxy.swallowed_down > before + 2, 60)
            time.sleep(trial.random.uniform(0, 0.3))
            cut = proxy.cut()
            proxy.swallow_down = False
            if cut and proxy.swallowed_down > before:
                trial.hit()
        run.wait()
        trial.details.update(swallowed=proxy.swallowed_down, cut=proxy.cut_connections)


def broker_crash(trial: Trial) -> None:
    """Broker crash: kill -9 and restart."""
    with trial.cluster() as cluster:
        cluster.ready()
        run = trial.start(cluster)
        for share in sorted(trial.random.uniform(0.05, 0.7) for _ in range(2)):
            if not run.until_share(share):
                break
            trial.servers.kill("rabbitmq")
            time.sleep(trial.random.uniform(0.5, 5))
            trial.servers.start("rabbitmq")
            trial.hit()
            moment = trial.over[-1]
            run.until(lambda moment=moment: run.next_progress(moment) is not None, 120)
        run.wait()
        # A shard has to be embedded before it shows: what a session takes is less than this.
        trial.must(trial.recovered() <= BACK_SECONDS + longest_shard(trial), f"recovered after {trial.recovered()} s")


def longest_shard(trial: Trial) -> float:
    """About how long a worker takes for a shard and what it has before it, on this machine."""
    run = trial.runs[-1]
    return 3 * 2 * run.took / max(1, trial.shards) * 3


def black_hole(trial: Trial) -> None:
    """Broker black hole: a proxy drops all packets."""
    limit = SILENT_HEARTBEATS * HEARTBEAT_SECONDS
    with proxied(trial) as (proxy, cluster):
        run = trial.start(cluster)
        run.until_share(trial.random.uniform(0.05, 0.5))
        began = time.monotonic()
        connected = len(proxy.connections)
        proxy.black_hole = True
        # New connections are dropped as well: the first one that is asked for tells that the silence was noticed.
        deadline = began + 3 * limit
        while proxy.opened_after(began) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        noticed = proxy.opened_after(began)
        proxy.black_hole = False
        proxy.cut()
        if proxy.held and connected:
            trial.hit()
        run.wait()
        trial.details.update(held=proxy.held, noticed_after_s=None if noticed is None else round(noticed - began, 1))
        trial.must(noticed is not None and noticed - began <= limit + 2, f"noticed after {trial.details['noticed_after_s']} s")


def broker_alarm(trial: Trial) -> None:
    """Broker memory and disk alarms."""
    servers = trial.servers
    alarms = [("set_vm_memory_high_watermark", "0.00001", "0.4"), ("set_disk_free_limit", str(10**15), str(50 * 10**6))]
    with trial.cluster() as cluster:
        cluster.ready()
        run = trial.start(cluster, window_shards=8)
        usual = memory(cluster)
        highest = usual
        for number, (setting, alarming, normal) in enumerate(alarms):
            if not run.until_share((number + trial.random.random()) / 3):
                break
            try:
                servers.broker(setting, alarming)
                seen = servers.broker("alarms", "--silent", program="rabbitmq-diagnostics")
                deadline = time.monotonic() + max(trial.seconds(30), 5)
                while time.monotonic() < deadline:
                    highest = max(highest, memory(cluster))
                    time.sleep(0.2)
            finally:
                servers.broker(setting, normal)
            trial.details.setdefault("alarms", []).append(seen.strip())
            if "alarm" in seen.lower() and "no alarms" not in seen.lower():
                trial.hit()
        run.wait()
        trial.details.update(coordinators_mib=round(usual), coordinators_mib_highest=round(highest))
        trial.must(highest <= 2 * usual + 64, f"the publishers grew from {usual:.0f} to {highest:.0f} MiB")


def memory(cluster: Cluster) -> float:
    """Resident MiB of the larger coordinator."""
    found = [0.0]
    for member in cluster.coordinators:
        try:
            pages = int(Path(f"/proc/{member.process.pid}/statm").read_text().split()[1])
            found.append(pages * PAGE_BYTES / 2**20)
        except OSError:
            continue
    return max(found)


def consumer_timeout(trial: Trial) -> None:
    """Jobs longer than the broker's consumer timeout of 60 s."""
    servers = trial.servers
    servers.broker("eval", "application:set_env(rabbit, consumer_timeout, 60000), "
                           "application:set_env(rabbit, channel_tick_interval, 5000).")
    try:
        # Few large shards, whose objects come slowly: a worker needs more than a minute for one.
        with faulty_s3(trial) as front, trial.cluster(s3=front.url, SIGHTLINE_PIPELINE__FETCHES="4") as cluster:
            cluster.ready()
            shard = max(50, trial.plan.items // 8)
            # A worker with one shard needs 90 s for it, and 180 s with two.
            pause = 4 * 90 / shard
            root = f"/{trial.plan.pictures.root}/"
            slow = Fault("slow", pause=pause)
            front.rule = lambda request: slow if request.method == "GET" and root in request.path else None
            run = trial.start(cluster, shard_items=shard)
            run.wait()
            over = sum(member.log().count("PRECONDITION_FAILED") for member in cluster.workers)
            trial.hit(over)
            trial.details.update(timeouts=over, longest_gap_s=round(longest_gap(run), 1))
    finally:
        servers.broker("eval", "application:set_env(rabbit, consumer_timeout, 1800000), "
                               "application:set_env(rabbit, channel_tick_interval, 60000).")


FAULTS: Dict[int, Callable[[Trial], None]] = {
    3: ack_lost, 6: consumer_timeout, 8: broker_crash, 9: black_hole, 10: broker_alarm, 11: confirm_lost,
}
