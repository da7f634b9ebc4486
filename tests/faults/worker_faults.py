"""Faults of workers: rows 1, 2, 4, 5, 7 and 22 of the table."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

from cluster import Member
from servers import port_of
from trial import Run, Trial

# The broker's heartbeat, and how many silent ones end a session.
HEARTBEAT_SECONDS = 10
SILENT_HEARTBEATS = 2
GRACE_SECONDS = 30


def worker_crash(trial: Trial) -> None:
    """Worker crash: kill -9 every 5 s for 120 s."""
    with trial.cluster() as cluster:
        cluster.ready()
        deadline = time.monotonic() + trial.seconds(120)
        while time.monotonic() < deadline:
            run = trial.start(cluster)
            while run.until(after(trial.random.uniform(2.5, 7.5))):
                victim = trial.random.choice(cluster.workers)
                engines = victim.children()
                if engines and trial.random.random() < 0.3:
                    kill(trial, engines[0])
                elif victim.kill():
                    trial.hit()
                if time.monotonic() > deadline:
                    run.wait()
            run.wait()


def kill(trial: Trial, pid: int) -> None:
    """An engine alone: its supervisor starts another."""
    try:
        os.kill(pid, signal.SIGKILL)
        trial.hit()
    except ProcessLookupError:
        return


def crash_at_points(trial: Trial) -> None:
    """Crash before upsert, after upsert, before the result, after it and before the ack."""
    points = ["engine-before-upsert", "engine-after-upsert", "worker-before-result", "worker-before-ack"]
    at_points(trial, points * 2)


def at_points(trial: Trial, points: List[str]) -> None:
    """Arms one fail point after another at random moments of a run, and sees each fire."""
    folder = trial.work / "fail-points"
    with trial.cluster() as cluster:
        cluster.ready()
        run = trial.start(cluster)
        trial.random.shuffle(points)
        for number, point in enumerate(points):
            if not run.until_share(number / len(points) * trial.random.uniform(0.5, 0.9)):
                break
            (folder / point).touch()
            if run.until(lambda point=point: not (folder / point).exists()):
                trial.hit()
        run.wait()
        trial.details["fired"] = sorted(re.sub(r"-\d+$", "", path.name) for path in folder.glob("*.fired-*"))


def graceful_stop(trial: Trial) -> None:
    """Graceful stop: SIGTERM at random moments."""
    with trial.cluster() as cluster:
        cluster.ready()
        run = trial.start(cluster)
        slowest = 0.0
        for share in sorted(trial.random.uniform(0.05, 0.8) for _ in range(4)):
            if not run.until_share(share):
                break
            victim = trial.random.choice(cluster.workers)
            # A process that is still being loaded has nothing to end in order.
            victim.process.address()
            victim.held = True
            victim.process.signal(signal.SIGTERM)
            began = time.monotonic()
            while victim.alive() and time.monotonic() < began + GRACE_SECONDS + 10:
                time.sleep(0.05)
            slowest = max(slowest, time.monotonic() - began)
            trial.must(victim.process.status() == 0, f"{victim.name} ended with {victim.process.status()}")
            trial.hit()
            victim.start()
            victim.held = False
        run.wait()
        trial.details["slowest_stop_s"] = round(slowest, 2)
        trial.must(slowest <= GRACE_SECONDS, f"a stop took {slowest:.1f} s")
        # What was finished before the stop has one result: nobody did it again.
        again = repeated_shards(trial, run)
        trial.must(not again, f"{again} shards were done twice")


def repeated_shards(trial: Trial, run: Run) -> int:
    """Shards with more than one result."""
    pages = trial.servers.client().get_paginator("list_objects_v2").paginate(
        Bucket=trial.servers.bucket, Prefix=f"{run.prefix}/results/")
    shards = [entry["Key"].split("/")[-2] for page in pages for entry in page.get("Contents", [])]
    return len(shards) - len(set(shards))


def hung_worker(trial: Trial) -> None:
    """Hung worker: SIGSTOP for 120 s."""
    silent = SILENT_HEARTBEATS * HEARTBEAT_SECONDS
    with trial.cluster() as cluster:
        cluster.ready()
        run = trial.start(cluster)
        run.until_share(trial.random.uniform(0.1, 0.4))
        victim = trial.random.choice(cluster.workers)
        engines = victim.children()
        began = time.monotonic()
        for pid in [victim.process.pid, *engines]:
            os.kill(pid, signal.SIGSTOP)
        trial.injected += 1
        given_up = sessions_ended(trial, victim, silent + 20)
        trial.details["given_up_after_s"] = None if given_up is None else round(given_up - began, 1)
        # The broker looks once a heartbeat, and closes what was silent twice.
        trial.must(given_up is not None and given_up - began <= silent + HEARTBEAT_SECONDS,
                   f"the broker kept the hung worker's shards: given up after {trial.details['given_up_after_s']} s")
        # All others are done, and what the victim held comes back to them.
        run.wait()
        over = time.monotonic() - began
        trial.details["run_ended_after_s"] = round(over, 1)
        # It sleeps on for the rest of its time, and at least until the broker has given it up.
        remaining = max(trial.seconds(120), silent + 10) - over
        time.sleep(max(0.0, remaining))
        for pid in [victim.process.pid, *engines]:
            os.kill(pid, signal.SIGCONT)
        # Its late work, if it does any, would be rows and results within seconds.
        victim_works_again(victim)
    idle = longest_gap(run)
    trial.details["longest_gap_s"] = round(idle, 1)


def sessions_ended(trial: Trial, victim: Member, limit: float) -> Optional[float]:
    """When the broker has closed the last session of a stopped process: what it held is delivered to others by then.
    The kernel tells, at once; the broker's own commands take minutes on a machine with much to do."""
    deadline = time.monotonic() + limit
    port = port_of(trial.servers.amqp)
    while time.monotonic() < deadline:
        if not established(victim.process.pid, port):
            return time.monotonic()
        time.sleep(0.1)
    return None


def established(pid: int, port: int) -> int:
    """Connections of a process to a port that both sides hold open."""
    links = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    fields = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(f"socket:[{field[9]}]" in links and field[3] == "01" and int(field[2].partition(":")[2], 16) == port
               for field in fields)


def victim_works_again(victim: Member) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and victim.alive():
        time.sleep(0.2)


def longest_gap(run: Run) -> float:
    """The longest time in which no shard was done."""
    moments = [run.began, *run.progress]
    return max((later - earlier for earlier, later in zip(moments, moments[1:])), default=0.0)


def poison_item(trial: Trial) -> None:
    """Poison item: pictures that abort the process."""
    pictures = trial.own_pictures()
    keys = [f"folder-{trial.random.randrange(8)}/poison!abort-{number}.png" for number in range(2)]
    pictures.add(keys, "failed:engine_killed")
    with trial.cluster() as cluster:
        cluster.ready()
        run = trial.start(cluster, pictures)
        run.wait()
        deaths = sum(len(re.findall(r"fail point", worker.log())) for worker in cluster.workers)
    trial.hit(deaths)
    failures = run.answer.get("failures", [])
    trial.details["failures"] = failures
    trial.must([(entry["reason"], int(entry["count"])) for entry in failures] == [("engine_killed", len(keys))],
               f"failures: {failures}")


def device_errors(trial: Trial) -> None:
    """Device out of memory, and a sticky device error."""
    folder = trial.work / "fail-points"
    with trial.cluster() as cluster:
        cluster.ready()
        run = trial.start(cluster)
        for number, point in enumerate(["engine-out-of-memory", "engine-device"] * 2):
            if not run.until_share(trial.random.uniform(number, number + 0.8) / 5):
                break
            engines = {pid: worker for worker in cluster.workers for pid in worker.children()}
            (folder / point).touch()
            if not run.until(lambda point=point: not (folder / point).exists()):
                break
            trial.hit()
            if point == "engine-device":
                fired = max(folder.glob(f"{point}.fired-*"), key=lambda path: path.stat().st_mtime)
                pid, moment = int(fired.name.rpartition("-")[2]), time.monotonic()
                while pid in engines and pid in engines[pid].children() and time.monotonic() < moment + 10:
                    time.sleep(0.05)
                took = time.monotonic() - moment
                trial.details.setdefault("engine_exited_after_s", []).append(round(took, 2))
                trial.must(took <= 5, f"the engine with the broken device lived {took:.1f} s")
        run.wait()
        halved = sum(worker.log().count("halving the batch") for worker in cluster.workers)
        trial.details["batches_halved"] = halved
        trial.must(halved > 0, "no batch was halved")


def after(seconds: float) -> Callable[[], bool]:
    """Holds from some seconds on."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() >= deadline


FAULTS: Dict[int, Callable[[Trial], None]] = {
    1: worker_crash, 2: crash_at_points, 4: graceful_stop, 5: hung_worker, 7: poison_item, 22: device_errors,
}
