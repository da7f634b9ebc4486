"""Faults of what a process lives on: rows 23 and 24 of the table."""

import calendar
import resource
import time
from typing import Callable, Dict, List

from cluster import Member
from faulty_s3 import Fault, FaultyS3
from processes import REPOSITORY
from store_faults import faulty_s3
from trial import Trial

FAKETIME = REPOSITORY / ".local/faketime/libfaketimeMT.so.1"
HOUR = 3600
# Every process has so many open from its first moments on.
FEW = 8
CUT = Fault("cut", share=0.5)
FULL = Fault("disk full", status=507, code="XMinioStorageFull")


def exhausted(trial: Trial) -> None:
    """Disk full at the store and at a worker, file descriptors exhausted."""
    with faulty_s3(trial) as front, trial.cluster(s3=front.url) as cluster:
        cluster.ready()
        run = trial.start(cluster)
        faults: List[Callable[[Member], bool]] = [
            lambda victim: no_descriptors(trial, victim, front), lambda victim: no_file_grows(victim)]
        trial.random.shuffle(faults)
        for number, fault in enumerate(faults):
            if not run.until_share((number + trial.random.uniform(0.1, 0.9)) / 4):
                break
            victim = trial.random.choice(cluster.workers)
            victim.process.wait_for(r"(taking shards)")
            if fault(victim):
                trial.hit()
        if run.until_share(trial.random.uniform(0.5, 0.8)):
            # The state root takes no more objects.
            front.rule = lambda request: FULL if request.method == "PUT" else None
            time.sleep(max(trial.seconds(30), 5))
            front.rule = lambda request: None
            if front.spoilt["disk full"]:
                trial.hit()
        run.wait()
        trial.details["refused_writes"] = front.spoilt["disk full"]


def no_descriptors(trial: Trial, victim: Member, front: FaultyS3) -> bool:
    """A worker and its engine may open nothing more for some seconds; whether that was felt."""
    # Connections that are open serve on: only who loses one needs another.
    front.rule = lambda request: CUT if request.method == "GET" and front.random.random() < 0.3 else None
    before = victim.log().count("Too many open files")
    processes = [victim.process.pid, *victim.children()]
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in processes}
    for pid in processes:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (FEW, limits[pid][1]))
    deadline = time.monotonic() + max(trial.seconds(20), 5)
    while time.monotonic() < deadline and victim.process.pid == processes[0] and victim.alive():
        time.sleep(0.1)
    front.rule = lambda request: None
    felt = victim.log().count("Too many open files") > before or not victim.alive()
    for pid in processes:
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits[pid])
        except ProcessLookupError:
            continue
    trial.details["said_too_many_open_files"] = felt
    return felt


def no_file_grows(victim: Member) -> bool:
    """No file of a worker's may grow: its log is one, so it is ended by SIGXFSZ."""
    life = victim.process
    resource.prlimit(life.pid, resource.RLIMIT_FSIZE, (0, 0))
    deadline = time.monotonic() + 60
    while life.alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not life.alive()


def clock_jumps(trial: Trial) -> None:
    """The clock jumps an hour, forwards and back."""
    offset = trial.work / "offset"
    offset.write_text("+0\n")
    # Durations are measured with the monotonic clock, which does not jump when the time of day is set.
    faked = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
             "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    trial.must(FAKETIME.exists(), f"{FAKETIME} is missing: deploy/setup/setup.py faketime")
    with trial.cluster(everywhere=faked) as cluster:
        cluster.ready()
        run = trial.start(cluster)
        stamps = {name: life_stamp(member) for name, member in zip("ab", cluster.coordinators)}
        for number, jump in enumerate([HOUR, -HOUR, 0]):
            if not run.until_share((number + trial.random.uniform(0.1, 0.9)) / 4):
                break
            offset.write_text(f"{jump:+d}\n")
            moment = time.monotonic()
            run.until(lambda moment=moment: run.next_progress(moment) is not None, 60)
            said = [life_stamp(member) for member in cluster.workers]
            # The logs say which time they think it is.
            if any(abs(stamp - (time.time() + jump)) < HOUR / 2 for stamp in said):
                trial.hit()
        run.wait()
        trial.details.update(stamps=stamps, deaths_by_clock=list(cluster.deaths))
        trial.must(not cluster.deaths, f"the clock ended {cluster.deaths}")


def life_stamp(member: Member) -> float:
    """The time of day of a service's last line, in seconds."""
    lines = [line for line in member.process.log.read_text(errors="replace").splitlines() if line[:2] == "20"]
    stamp = lines[-1].split("Z")[0] if lines else "1970-01-01T00:00:00"
    return float(calendar.timegm(time.strptime(stamp.split(".")[0], "%Y-%m-%dT%H:%M:%S")))


FAULTS: Dict[int, Callable[[Trial], None]] = {23: exhausted, 24: clock_jumps}
