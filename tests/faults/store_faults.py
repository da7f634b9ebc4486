"""Faults of the object store and the index: rows 15 to 20 of the table."""

import json
import time
import urllib.parse
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, Optional

from faulty_milvus import UPSERT, FaultyMilvus
from faulty_s3 import Fault, FaultyS3, Request
from pymilvus import DataType, MilvusClient
from servers import port_of
from trial import Run, Trial

# How often a delivery of a shard may ask for an object (`pipeline.attempts`).
MOST_ATTEMPTS = 6
# How often one object is refused at first, whoever asks: what two deliveries may ask for. Were the attempts of two layers multiplied,
# the first delivery alone would ask more often.
REFUSED_AT_FIRST = 2 * MOST_ATTEMPTS


@contextmanager
def faulty_s3(trial: Trial) -> Iterator[FaultyS3]:
    front = FaultyS3(trial.servers.s3, trial.random.randrange(1 << 30))
    try:
        yield front
    finally:
        front.close()


def throttled(trial: Trial) -> None:
    """S3 answers 503 to 20 % of requests."""
    with faulty_s3(trial) as front, trial.cluster(s3=front.url) as cluster:
        cluster.ready()
        busy = Fault("503", status=503, code="SlowDown")
        pictures = trial.plan.pictures
        chosen = trial.random.choice(sorted(key for key, outcome in pictures.expected.items() if outcome == "indexed"))
        path = f"/{pictures.bucket}/{pictures.root}/{chosen}"
        asked = 0

        def rule(request: Request) -> Optional[Fault]:
            nonlocal asked
            # A part of it is asked for beside other objects, which is no attempt to read it.
            if request.method == "GET" and request.path == path and not request.range:
                with front.lock:
                    asked += 1
                    if asked <= REFUSED_AT_FIRST:
                        return busy
            return busy if front.random.random() < 0.2 else None

        front.rule = rule
        run = trial.start(cluster)
        run.wait()
        front.rule = lambda request: None
        trial.hit(front.spoilt["503"])
        deliveries = delivery_of(trial, run, chosen)
        trial.details["most_503_of_one_request"] = front.most_asked()
        trial.details["one_object"] = {"asked_for": asked, "deliveries": deliveries}
        trial.must(asked > REFUSED_AT_FIRST, f"{chosen} was asked for {asked} times, and refused each time")
        trial.must(asked <= MOST_ATTEMPTS * deliveries, f"{chosen} was asked for {asked} times in {deliveries} deliveries")


def delivery_of(trial: Trial, run: Run, item: str) -> int:
    """In which delivery of its shard an item ended: results are named after that, so that no clock has to tell deliveries apart."""
    client, bucket = trial.servers.client(), trial.servers.bucket
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{run.prefix}/results/")
    found = 0
    for name in [entry["Key"] for page in pages for entry in page.get("Contents", [])]:
        items = json.loads(client.get_object(Bucket=bucket, Key=name)["Body"].read())["items"]
        if any(entry["key"] == item for entry in items):
            found = max(found, int(name.rpartition("/")[2].partition("-")[0]))
    return found


def spoilt_bodies(trial: Trial) -> None:
    """S3 bodies slow and truncated, listings with 200 and a broken body."""
    pictures = trial.plan.pictures

    def rule(request: Request) -> Optional[Fault]:
        chance = front.random.random()
        if request.lists:
            return Fault("broken listing", shortened=front.random.uniform(0.2, 0.9)) if chance < 0.3 else None
        if request.method != "GET" or f"/{pictures.root}/" not in request.path:
            return None
        if chance < 0.03:
            return Fault("slow body", pause=0.5, parts=4)
        if chance < 0.13:
            return Fault("truncated body", share=front.random.uniform(0.1, 0.9))
        return Fault("short body", shortened=front.random.uniform(0.1, 0.9)) if chance < 0.2 else None

    with faulty_s3(trial) as front, trial.cluster(s3=front.url) as cluster:
        cluster.ready()
        front.rule = rule
        run = trial.start(cluster)
        run.wait()
        front.rule = lambda request: None
        trial.hit(sum(front.spoilt.values()))
        trial.details["spoilt"] = dict(front.spoilt)
        trial.must(len(front.spoilt) == 4, f"not every fault was met: {dict(front.spoilt)}")


def changed_after_listing(trial: Trial) -> None:
    """Objects deleted or overwritten after LIST."""
    pictures = trial.own_pictures()
    keys = sorted(key for key, outcome in pictures.expected.items() if outcome == "indexed")
    chosen = trial.random.sample(keys, 10)
    with trial.cluster(workers=0) as cluster:
        run = trial.start(cluster, pictures, window_shards=10_000)
        run.until(lambda: run.state()["plan_complete"], 120)
        for key in chosen[:5]:
            pictures.delete(key)
            run.expected[key] = "skipped:gone"
        for key in chosen[5:]:
            pictures.put(key, pictures.picture())
            run.expected[key] = "skipped:changed"
        trial.hit(len(chosen))
        for name in "abc":
            cluster.add_worker(name)
        run.wait()
        # Each shows as one skip of its kind.
        skips = {entry["reason"]: int(entry["count"]) for entry in run.answer["skips"]}
        trial.must(skips == {"gone": 5, "changed": 5, "unsupported_type": 1}, f"skips: {skips}")


def expired_credentials(trial: Trial) -> None:
    """Credentials expire: S3 answers 403 ExpiredToken."""
    with faulty_s3(trial) as front, trial.cluster(s3=front.url) as cluster:
        cluster.ready()
        run = trial.start(cluster)
        expired = Fault("403", status=403, code="ExpiredToken")
        root = f"/{trial.plan.pictures.root}/"
        for share in sorted(trial.random.uniform(0.1, 0.7) for _ in range(2)):
            if not run.until_share(share):
                break
            # Of the dataset's keys only: the state's are others, so that the run can say what it waits for.
            front.rule = lambda request: expired if root in request.path or root[1:] in urllib.parse.unquote(request.query) else None
            before, deadline = front.spoilt["403"], time.monotonic() + max(trial.seconds(60), 20)
            said = None
            while time.monotonic() < deadline:
                state = run.state()
                if state["state"] == "WAITING":
                    said = state["state_message"]
                time.sleep(1)
            trial.must(said is not None and "ExpiredToken" in said, f"the run did not say what it waited for: {said}")
            trial.details["said"] = said
            front.rule = lambda request: None
            if front.spoilt["403"] > before:
                trial.hit()
        run.wait()


@contextmanager
def faulty_milvus(trial: Trial) -> Iterator[FaultyMilvus]:
    front = FaultyMilvus(port_of(trial.servers.milvus))
    try:
        yield front
    finally:
        front.close()


def index_away(trial: Trial) -> None:
    """Milvus away for 60 s, slow by 5 s, rate-limited, and its reply lost after an upsert."""
    with faulty_milvus(trial) as front, trial.cluster(milvus=front.port) as cluster:
        cluster.ready()
        run = trial.start(cluster)
        faults = ["away", "slow", "limited", "reply lost"]
        trial.random.shuffle(faults)
        lasting = {"away": max(trial.seconds(60), 5), "slow": trial.seconds(20), "limited": trial.seconds(20)}
        for number, fault in enumerate(faults):
            if not run.until_share((number + trial.random.uniform(0.2, 0.8)) / 6):
                break
            spoil(trial, front, run, fault, lasting.get(fault, 0))
        front.rule = lambda method: None
        run.wait()
        trial.details["spoilt"] = dict(front.spoilt)
        trial.must(len(front.spoilt) == len(faults), f"not every fault was met: {dict(front.spoilt)}")


def spoil(trial: Trial, front: FaultyMilvus, run: Run, fault: str, seconds: float) -> None:
    """One kind of fault for some time, and until it met at least three calls."""
    front.rule = lambda method: fault if fault in ("away", "slow") or method == UPSERT else None
    deadline = time.monotonic() + seconds
    said = None
    while time.monotonic() < deadline or front.spoilt[fault] < 3:
        if run.has_ended() or time.monotonic() > deadline + 60:
            break
        if run.answer["state"] == "WAITING":
            said = run.answer["state_message"]
        time.sleep(0.2)
    front.rule = lambda method: None
    trial.details.setdefault("said", {})[fault] = said
    if front.spoilt[fault]:
        trial.hit()


def another_collection(trial: Trial) -> None:
    """The collection is there, of another dimension or of another model."""
    client = MilvusClient(uri=trial.servers.milvus.replace("milvus://", "http://"))
    with trial.cluster() as cluster:
        cluster.ready()
        name = trial.collection(1)
        schema = client.create_schema()
        schema.add_field("id", DataType.VARCHAR, max_length=64, is_primary=True)
        schema.add_field("image_embedding", DataType.FLOAT_VECTOR, dim=8)
        index = client.prepare_index_params()
        index.add_index("image_embedding", index_type="FLAT", metric_type="IP")
        client.create_collection(name, schema=schema, index_params=index)
        client.insert(name, [{"id": "theirs", "image_embedding": [1.0] * 8}])
        refused(trial, trial.start(cluster), {"theirs"}, client)
    # And one that another model has filled: the same weights cut to fewer numbers are another model.
    with trial.cluster() as cluster:
        cluster.ready()
        trial.start(cluster).wait()
    kept = {row["id"] for row in client.query(trial.collection(2), filter='id > ""', output_fields=["id"], limit=16_384)}
    with trial.cluster(SIGHTLINE_MODEL__TRUNCATE_DIM="128") as cluster:
        cluster.ready()
        refused(trial, trial.start(cluster, collection=f"collections/{trial.collection(2)}"), kept, client)


def refused(trial: Trial, run: Run, kept: set, client: MilvusClient) -> None:
    """The run has failed, says why, and the collection is as it was."""
    answer = run.wait()
    trial.details.setdefault("said", []).append(answer["state_message"])
    trial.must(answer["state"] == "FAILED" and bool(answer["state_message"]), f"the run ended {answer['state']}")
    trial.must(run.done == 0, f"{run.done} shards were done")
    collection = run.spec["collection"].partition("/")[2]
    rows = {row["id"] for row in client.query(collection, filter='id > ""', output_fields=["id"], limit=16_384)}
    trial.must(rows == kept, f"the collection had {len(kept)} rows and has {len(rows)}")
    # Nothing is to be found of a run that was refused, so there is nothing to audit but this.
    trial.runs.remove(run)
    trial.refused += len(run.expected)
    trial.hit()


FAULTS: Dict[int, Callable[[Trial], None]] = {
    15: throttled, 16: spoilt_bodies, 17: changed_after_listing, 18: expired_credentials, 19: index_away, 20: another_collection,
}
