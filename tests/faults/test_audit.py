#!/usr/bin/env python3
"""That the audit can fail: a finished run is made up here, by hand, spoilt in one way after another, and audited.

Needs an S3 server and Milvus: `deploy/dev/dev.py run milvus moto -- …`.
"""

import gzip
import hashlib
import io
import json
import os
import struct
import unittest
import uuid
from pathlib import Path
from typing import Any, Dict, List

import boto3
import numpy as np
from audit import audit
from network import Network
from PIL import Image
from pymilvus import DataType, MilvusClient

HERE = Path(__file__).resolve().parent
MODEL = HERE.parents[1] / ".local/models/sightline-demo"
KEYS = [f"folder/{number}.png" for number in range(4)]
TEXTS = ["id", "key", "content_hash", "run_id", "image_path"]


class TheAudit(unittest.TestCase):
    """Each spoils the run in its own way, and puts it right again."""

    @classmethod
    def setUpClass(cls) -> None:
        name = f"audit_{uuid.uuid4().hex[:12]}"
        cls.store = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"])
        cls.milvus = MilvusClient(uri=os.environ["SIGHTLINE_TEST_MILVUS_URL"].replace("milvus://", "http://"))
        cls.question = {
            "endpoint": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"], "bucket": os.environ["SIGHTLINE_TEST_S3_BUCKET"],
            "state": f"{name}/state/runs/r", "root": f"{name}/root", "dataset": "d", "runs": ["r"], "collection": name,
            "index": os.environ["SIGHTLINE_TEST_MILVUS_URL"], "expected": {key: "indexed" for key in KEYS}, "sample": 50,
            "seed": 1, "model": str(MODEL), "cache": f"/tmp/{name}.npz",
        }
        network, random = Network(MODEL / "image"), np.random.default_rng(1)
        cls.rows: Dict[str, Dict[str, Any]] = {}
        for key in KEYS:
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype="u1")).save(file, "PNG")
            cls.put(f"{name}/root/{key}", file.getvalue())
            cls.rows[key] = {
                "id": row_id("d", key), "key": key, "content_hash": hashlib.sha256(file.getvalue()).hexdigest(),
                "run_id": "r", "image_path": f"s3://{cls.question['bucket']}/{name}/root/{key}",
                "image_embedding": network.embed(Image.open(file)).astype("f4").tolist(),
            }
        cls.shards = {"s1": KEYS[:2], "s2": KEYS[2:]}
        for shard, keys in cls.shards.items():
            cls.manifest(shard, keys)
            cls.result(shard, keys)
        state = cls.question["state"]
        cls.put(f"{state}/plan/l/n.json", json.dumps({"shards": [{"id": shard} for shard in cls.shards]}).encode())
        cls.put(f"{state}/plan/complete.json", json.dumps({"nodes": [["l", "n"]]}).encode())
        schema = cls.milvus.create_schema()
        for text in TEXTS:
            schema.add_field(text, DataType.VARCHAR, max_length=1024, is_primary=text == "id")
        schema.add_field("image_embedding", DataType.FLOAT_VECTOR, dim=len(cls.rows[KEYS[0]]["image_embedding"]))
        index = cls.milvus.prepare_index_params()
        index.add_index("image_embedding", index_type="FLAT", metric_type="IP")
        cls.milvus.create_collection(name, schema=schema, index_params=index)
        cls.milvus.insert(name, list(cls.rows.values()))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.milvus.drop_collection(cls.question["collection"])
        Path(cls.question["cache"]).unlink(missing_ok=True)

    @classmethod
    def put(cls, key: str, body: bytes) -> None:
        cls.store.put_object(Bucket=cls.question["bucket"], Key=key, Body=body)

    @classmethod
    def manifest(cls, shard: str, keys: List[str]) -> None:
        lines = [json.dumps({"format": "manifest"}), *(json.dumps({"key": key}) for key in keys)]
        cls.put(f"{cls.question['state']}/shards/{shard}.jsonl.gz", gzip.compress("\n".join(lines).encode()))

    @classmethod
    def result(cls, shard: str, keys: List[str], outcome: str = "indexed") -> None:
        items = [{"key": key, "outcome": outcome} for key in keys]
        cls.put(f"{cls.question['state']}/results/{shard}/1.json", json.dumps({"items": items}).encode())

    def audit(self, **other: Any) -> Dict[str, Any]:
        return audit({**self.question, **other})

    def counts(self, **other: Any) -> List[int]:
        answer = self.audit(**other)
        return [answer[name] for name in ("lost", "duplicated", "wrong")]

    def restore(self, row: Dict[str, Any]) -> None:
        self.milvus.delete(self.question["collection"], ids=[row["id"]])
        self.milvus.insert(self.question["collection"], [row])

    def replace(self, key: str, **fields: Any) -> None:
        """Another row in the place of a right one, until the test ends."""
        self.addCleanup(self.restore, self.rows[key])
        self.restore({**self.rows[key], **fields})

    def test_a_run_that_is_right_has_nothing_lost_duplicated_or_wrong_and_all_of_it_was_embedded_again(self) -> None:
        answer = self.audit()
        self.assertEqual([answer[name] for name in ("items", "lost", "duplicated", "wrong")], [4, 0, 0, 0], answer)
        self.assertEqual(answer["embedded_again"], 4)
        self.assertEqual(answer["findings"], [])

    def test_a_missing_row_is_lost(self) -> None:
        self.addCleanup(self.restore, self.rows[KEYS[0]])
        self.milvus.delete(self.question["collection"], ids=[self.rows[KEYS[0]]["id"]])
        self.assertEqual(self.counts(), [1, 0, 0])

    def test_a_second_row_of_an_item_is_a_duplicate(self) -> None:
        # `insert` keeps both rows of one primary key.
        self.addCleanup(self.restore, self.rows[KEYS[1]])
        self.milvus.insert(self.question["collection"], [self.rows[KEYS[1]]])
        self.assertEqual(self.counts(), [0, 1, 0])

    def test_a_vector_of_another_picture_is_wrong(self) -> None:
        self.replace(KEYS[2], image_embedding=self.rows[KEYS[3]]["image_embedding"])
        self.assertEqual(self.counts(), [0, 0, 1])

    def test_a_vector_that_is_slightly_off_or_too_long_is_wrong(self) -> None:
        vector = np.array(self.rows[KEYS[2]]["image_embedding"])
        vector[0] += 0.02
        self.replace(KEYS[2], image_embedding=(vector / np.linalg.norm(vector)).tolist())
        self.replace(KEYS[3], image_embedding=(2 * np.array(self.rows[KEYS[3]]["image_embedding"])).tolist())
        self.assertEqual(self.counts(), [0, 0, 2])

    def test_a_row_with_the_hash_or_the_run_of_another_is_wrong(self) -> None:
        self.replace(KEYS[0], content_hash="0" * 64)
        self.replace(KEYS[1], run_id="another")
        self.assertEqual(self.counts(), [0, 0, 2])

    def test_a_row_of_an_item_that_should_have_none_is_wrong(self) -> None:
        expected = {**self.question["expected"], KEYS[0]: "skipped:gone"}
        # The outcome is another, and the row should not be.
        self.assertEqual(self.counts(expected=expected), [0, 0, 2])

    def test_a_shard_without_result_is_lost(self) -> None:
        self.addCleanup(self.result, "s2", self.shards["s2"])
        self.store.delete_object(Bucket=self.question["bucket"], Key=f"{self.question['state']}/results/s2/1.json")
        self.assertEqual(self.counts(), [2, 0, 0])

    def test_an_item_in_two_shards_is_a_duplicate(self) -> None:
        self.addCleanup(self.manifest, "s2", self.shards["s2"])
        self.manifest("s2", [*self.shards["s2"], KEYS[0]])
        self.assertEqual(self.counts(), [0, 1, 0])

    def test_an_outcome_other_than_the_expected_one_is_wrong(self) -> None:
        self.addCleanup(self.result, "s1", self.shards["s1"])
        self.result("s1", self.shards["s1"], "unchanged")
        self.assertEqual(self.counts(), [0, 0, 2])


def row_id(dataset: str, key: str) -> str:
    digest = hashlib.sha256()
    for part in ("sightline/row/v1", dataset, key):
        digest.update(struct.pack("<Q", len(part.encode())) + part.encode())
    return digest.hexdigest()[:32]


if __name__ == "__main__":
    unittest.main()
