#!/usr/bin/env python3
"""Counts what a run lost, wrote twice or wrote wrong, from the stores themselves. No code of Sightline's is used.

    audit.py < question.json > answer.json

The objects are read with boto3, the rows with pymilvus, and some pictures are embedded again (`network.py`).

lost        an expected item without outcome, or one that was indexed and has no row
duplicated  an item in two shards of the plan, and every row of an item beyond its first
wrong       an outcome other than the expected one, a row that should not be, a row whose id, hash of its picture or
            vector is not the recomputed one
"""

import gzip
import hashlib
import io
import json
import os
import random
import struct
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, Tuple

import boto3
import numpy as np
from network import Network
from PIL import Image
from pymilvus import MilvusClient

MIN_COSINE = 0.9999
# The most that Milvus gives in one answer.
MOST_ROWS = 16_384
# Of two results of a shard the better outcome of each item counts.
ORDER = ["indexed", "unchanged", "skipped", "failed"]


class Store:
    """The bucket that holds dataset and state."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        self._client, self._bucket = boto3.client("s3", endpoint_url=endpoint), bucket

    def keys(self, prefix: str) -> List[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def read_all(self, keys: List[str]) -> Dict[str, bytes]:
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(keys, pool.map(self.read, keys)))


def main() -> int:
    json.dump(audit(json.load(sys.stdin)), sys.stdout)
    return 0


def audit(question: Dict[str, Any]) -> Dict[str, Any]:
    """What is lost, twice or wrong of a run."""
    store = Store(question["endpoint"], question["bucket"])
    findings: List[str] = []
    outcomes, twice = outcomes_of(store, question["state"], findings)
    rows, more = rows_of(question["index"], question["collection"])
    expected: Dict[str, str] = question["expected"]
    indexed = {key for key, outcome in expected.items() if outcome == "indexed"}
    lost = [key for key in expected if key not in outcomes]
    lost += [key for key in expected if outcomes.get(key) in ("indexed", "unchanged") and key not in rows]
    wrong = [f"{key}: {outcomes[key]} instead of {expected.get(key)}" for key in outcomes
             if outcomes[key] != expected.get(key)]
    wrong += [f"{key}: a row that should not be" for key in rows if key not in indexed]
    there = [key for key in sorted(indexed) if key in rows]
    bodies = store.read_all([f"{question['root']}/{key}" for key in there])
    bodies = {key: bodies[f"{question['root']}/{key}"] for key in there}
    wrong += [f"{key}: {what}" for key in there for what in faults_of(key, rows[key], bodies[key], question)]
    cosines = embedded_again(rows, bodies, question)
    wrong += [f"{key}: cosine {cosine:.6f}" for key, cosine in cosines.items() if not cosine >= MIN_COSINE]
    return {
        "items": len(expected), "lost": len(lost), "duplicated": len(twice) + more, "wrong": len(wrong),
        "rows": len(rows), "outcomes": dict(Counter(outcomes.values())), "embedded_again": len(cosines),
        "min_cosine": min(cosines.values(), default=None),
        "findings": [f"lost: {key}" for key in lost[:10]] + [f"twice: {key}" for key in twice[:10]] + wrong[:10] + findings,
    }


def outcomes_of(store: Store, run: str, findings: List[str]) -> Tuple[Dict[str, str], List[str]]:
    """How each item of the plan ended, and the items that the plan has twice."""
    keys = store.keys(f"{run}/")
    results: Dict[str, List[str]] = {}
    for key in keys:
        if key.startswith(f"{run}/results/"):
            results.setdefault(key.split("/")[-2], []).append(key)
    if f"{run}/plan/complete.json" not in keys:
        findings.append("the plan was never closed")
        return {}, []
    tree = json.loads(store.read(f"{run}/plan/complete.json"))
    nodes = [json.loads(store.read(f"{run}/plan/{link}/{digest}.json")) for link, digest in tree["nodes"]]
    shards = [shard["id"] for node in nodes for shard in node["shards"]]
    found: Dict[str, str] = {}
    planned: Counter = Counter()
    for shard in dict.fromkeys(shards):
        lines = gzip.decompress(store.read(f"{run}/shards/{shard}.jsonl.gz")).splitlines()[1:]
        planned.update(json.loads(line)["key"] for line in lines)
        for key in results.get(shard, []):
            for item in json.loads(store.read(key))["items"]:
                outcome = item["outcome"] + (f":{item['reason']}" if "reason" in item else "")
                found[item["key"]] = min(found.get(item["key"], outcome), outcome, key=rank)
        if shard not in results:
            findings.append(f"shard {shard} has no result")
    return found, [key for key, count in planned.items() if count > 1]


def rank(outcome: str) -> int:
    return ORDER.index(outcome.partition(":")[0])


def rows_of(index: str, collection: str) -> Tuple[Dict[str, Dict[str, Any]], int]:
    """The rows by their items' keys, and how many there are beyond one an item."""
    client = MilvusClient(uri=index.replace("milvus://", "http://"))
    if not client.has_collection(collection):
        return {}, 0
    read = client.query(collection, filter='id > ""', output_fields=["*"], limit=MOST_ROWS, consistency_level="Strong")
    counted = client.query(collection, filter="", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
    assert len(read) < MOST_ROWS, "one read does not reach"
    rows = {row["key"]: row for row in read}
    return rows, max(counted, len(read)) - len(rows)


def faults_of(key: str, row: Dict[str, Any], body: bytes, question: Dict[str, Any]) -> List[str]:
    """What of a row is not what its item makes it."""
    digest = hashlib.sha256()
    for part in ("sightline/row/v1", question["dataset"], key):
        digest.update(struct.pack("<Q", len(part.encode())) + part.encode())
    vector = np.asarray(row["image_embedding"], "f4")
    checks = {
        "its id is another": row["id"] == digest.hexdigest()[:32],
        "its hash is not that of the object": row["content_hash"] == hashlib.sha256(body).hexdigest(),
        "its run is another": row["run_id"] in question["runs"],
        "its vector is not of length one": abs(float(np.linalg.norm(vector)) - 1) < 1e-3,
        "its path is another": row["image_path"] == f"s3://{question['bucket']}/{question['root']}/{key}",
    }
    return [what for what, right in checks.items() if not right]


def embedded_again(rows: Dict[str, Dict[str, Any]], bodies: Dict[str, bytes], question: Dict[str, Any]) -> Dict[str, float]:
    """Cosines between some rows' vectors and what the pictures give here."""
    chosen = random.Random(question["seed"]).sample(sorted(bodies), min(question["sample"], len(bodies)))
    cache = Path(question["cache"])
    known = dict(np.load(cache)) if cache.exists() else {}
    network = Network(Path(question["model"]) / "image")
    cosines = {}
    for key in chosen:
        name = hashlib.sha256(bodies[key]).hexdigest()
        if name not in known:
            known[name] = network.embed(Image.open(io.BytesIO(bodies[key])))
        vector = np.asarray(rows[key]["image_embedding"], "f4")
        cosines[key] = float(np.dot(known[name], vector) / np.linalg.norm(vector))
    fresh = cache.with_suffix(f".{os.getpid()}.npz")
    np.savez(fresh, **known)
    fresh.replace(cache)
    return cosines


if __name__ == "__main__":
    sys.exit(main())
