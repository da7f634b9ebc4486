#!/usr/bin/env python3
"""A collection as medical-imaging teams have it: 7,466 pictures with reports, 1152-d, IVF_FLAT, IP (target/scenario-medical.json).

Vectors are generated, files are as they have them: merged_df.csv beside two .npy files, in S3. The collection is made, the files
are loaded by a run of kind IMPORT, then it is searched by picture, by text, by both at alpha 0, 0.3 and 1, by item and by patient;
each answer is compared with numpy. Its statistics are asked for, the run is verified, and pymilvus reads the rows.
`make scenario-medical` starts the servers.
"""

import csv
import io
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List

import boto3
import numpy as np
from pymilvus import MilvusClient

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests/e2e"), str(REPOSITORY / "bench/query")]
import data as rows  # noqa: E402
from engines import SIDES, Gateway  # noqa: E402
from processes import Processes  # noqa: E402
from reflection import Service  # noqa: E402

ROWS, DIMENSION, NLIST, TOP_K = 7466, 1152, 128, 10
COLLECTION = "medical_images_v1"
RESOURCE = f"collections/{COLLECTION}"
MODEL = REPOSITORY / ".local/models/sightline-demo"
WORK = REPOSITORY / "target/scenario-medical"
EXACT_OVER_CANDIDATES = 2
LIMIT_SECONDS = 600
ENDED = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED"}


def main() -> int:
    data = rows.make(ROWS, DIMENSION, 20, WORK, seed=11)
    url = os.environ["SIGHTLINE_TEST_MILVUS_LITE_URL"]
    with Processes(WORK / "logs") as processes:
        services = start(processes, url)
        search = Service(services["gateway"].address(), "sightline.v1.Search")
        sides = [{"field": field, "dimension": DIMENSION, "model": "medsiglip-448"} for field in SIDES]
        created = search.CreateCollection(collection_id=COLLECTION, fields=sides, expected_rows=ROWS)
        loaded = bulk_load(Service(services["coordinator"].address(), "sightline.v1.Coordinator"), data)
        # All lists are probed, so that every answer can be compared; inverted lists claim no more than their candidates.
        gateway = Gateway(services["gateway"].address(), COLLECTION, NLIST)
        report = {**loaded, **searches(gateway, data), **by_item(gateway, search, data),
                  "index": created["index"], "collection": search.GetCollection(name=RESOURCE),
                  "statistics": search.GetCollectionStatistics(name=RESOURCE), **pymilvus_reads(url, data)}
        ended = [services[name].end() for name in ("gateway", "worker", "coordinator")]
    texts = int(np.any(data.text != 0, axis=1).sum())
    counts = {name: int(report["collection"][name]) for name in ("row_count", "image_count", "text_count")}
    views = {value["value"]: int(value["count"]) for value in attribute(report["statistics"], "projection")["values"]}
    report["good"] = all([
        report["wrong"] == [], report["same_rows"], report["item_first"], report["patients_distinct"], report["verified"],
        created["index"] == f"IVF_FLAT nlist={NLIST}", ended == [0, 0, 0],
        counts == {"row_count": ROWS, "image_count": ROWS, "text_count": texts},
        views == {"Frontal": (ROWS + 1) // 2, "Lateral": ROWS // 2}])
    (REPOSITORY / "target/scenario-medical.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 0 if report["good"] else 1


def start(processes: Processes, url: str) -> Dict[str, Any]:
    """The services as an operator starts them; the worker's model has no part in it."""
    bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
    shared = {
        "SIGHTLINE_S3__ENDPOINT": os.environ["SIGHTLINE_TEST_S3_ENDPOINT"], "SIGHTLINE_S3__PATH_STYLE": "true",
        "SIGHTLINE_LISTEN__ADDRESS": "127.0.0.1:0", "SIGHTLINE_TELEMETRY__LOG": "info", "SIGHTLINE_INDEX__URL": url}
    runs = {**shared, "SIGHTLINE_STATE__URL": f"s3://{bucket}/medical-{uuid.uuid4().hex[:8]}",
            "SIGHTLINE_QUEUE__URL": os.environ["SIGHTLINE_TEST_AMQP_URL"]}
    model = {"SIGHTLINE_MODEL__FOLDER": str(MODEL), "SIGHTLINE_MODEL__THREADS": "1"}
    return {"coordinator": processes.start("coordinator", ["sightline-coordinator"], runs),
            "worker": processes.start("worker", ["sightline-worker"], {**runs, **model}),
            "gateway": processes.start("gateway", ["sightline-gateway"], shared)}


def bulk_load(coordinator: Service, data: rows.Data) -> Dict[str, Any]:
    """The files into S3, and a run over them."""
    client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"])
    bucket, prefix = os.environ["SIGHTLINE_TEST_S3_BUCKET"], f"iu-{uuid.uuid4().hex[:8]}"
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["uid", "filename", "image_path", "report", "key", "projection"])
    for number in range(ROWS):
        name = f"{number // 2}_IM-{number:04d}-{1001 + number % 2}.dcm.png"
        text = f"Report {number}.\nThe heart is \"normal\", the lungs are clear." if data.text[number].any() else ""
        writer.writerow([number // 2, name, f"images/{name}", text, f"{number:09d}", ("Frontal", "Lateral")[number % 2]])
    files = {"merged_df.csv": table.getvalue().encode()}
    for side, name in ((data.image, "medsiglip_image_embeddings.npy"), (data.text, "medsiglip_text_embeddings.npy")):
        file = io.BytesIO()
        np.save(file, side)
        files[name] = file.getvalue()
    for name, body in files.items():
        client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=body)
    started = time.monotonic()
    run = coordinator.CreateRun(request_id=uuid.uuid4().hex, spec={
        "kind": "IMPORT", "collection": RESOURCE, "model": "medsiglip-448",
        "dataset": {"name": "iu", "root": f"s3://{bucket}/{prefix}", "embeddings": {
            "path": "merged_df.csv", "image_array": "medsiglip_image_embeddings.npy",
            "text_array": "medsiglip_text_embeddings.npy"}}})
    while run["state"] not in ENDED and time.monotonic() - started < LIMIT_SECONDS:
        time.sleep(0.5)
        run = coordinator.GetRun(name=run["name"])
    seconds = time.monotonic() - started
    audit = list(coordinator.VerifyRun(name=run["name"]))[-1]["audit"]
    return {"state": run["state"], "state_message": run["state_message"], "counts": run["counts"],
            "load_s": round(seconds, 1), "rows_per_s": round(ROWS / seconds), "verified": audit["verified"]}


def searches(gateway: Gateway, data: rows.Data) -> Dict[str, Any]:
    """Each kind of query, held against numpy in order and score."""
    wrong: List[str] = []
    asked = 0
    for query in range(len(data.query_image)):
        for alpha in (0.0, 0.3, 1.0):
            sides = zip(SIDES, (alpha, 1 - alpha), (data.query_image[query], data.query_text[query]))
            legs = [(field, weight, vector) for field, weight, vector in sides if weight]
            answer = gateway.ask(gateway.request(legs, TOP_K, ("key",)))
            asked += 1
            scores = alpha * (data.image @ data.query_image[query]) + (1 - alpha) * (data.text @ data.query_text[query])
            if alpha == 0:
                scores = np.where(np.any(data.text != 0, axis=1), scores, -np.inf)
            best = np.sort(scores)[::-1][:TOP_K]
            found = np.array([hit.score for hit in answer.hits])
            own = scores[gateway.keys(answer)]
            good = len(found) == TOP_K and np.abs(found - best).max() < 1e-5 and np.abs(found - own).max() < 1e-5
            if answer.ranking != EXACT_OVER_CANDIDATES or not good:
                wrong.append(f"query {query} at alpha {alpha}")
    return {"searches": asked, "wrong": wrong}


def by_item(gateway: Gateway, service: Service, data: rows.Data) -> Dict[str, Any]:
    """An item finds itself first, and one hit a patient is one."""
    answer = gateway.ask(gateway.request([(SIDES[0], 1.0, data.image[42])], 1))
    item = answer.hits[0].item.id
    like = service.Search(collection=RESOURCE, image={"item": item}, effort=NLIST)
    patients = service.Search(collection=RESOURCE, image={"item": item}, effort=NLIST, group_by="uid")
    groups = [hit["group"] for hit in patients["hits"]]
    read = service.GetItem(name=f"{RESOURCE}/items/{item}")
    return {"item_first": like["hits"][0]["item"]["id"] == item and int(read["key"]) == 42,
            "patients_distinct": len(groups) == TOP_K and len(set(groups)) == TOP_K}


def attribute(statistics: Dict[str, Any], name: str) -> Dict[str, Any]:
    return next(found for found in statistics["attributes"] if found["name"] == name)


def pymilvus_reads(url: str, data: rows.Data) -> Dict[str, Any]:
    """The rows as any client of Milvus reads them: the vectors to the bit."""
    client = MilvusClient(uri=url.replace("milvus://", "http://"))
    numbers = list(range(0, ROWS, 371))
    keys = ", ".join(f'"{number:09d}"' for number in numbers)
    found = client.query(COLLECTION, filter=f"key in [{keys}]", output_fields=["key", *SIDES], consistency_level="Strong")
    counted = client.query(COLLECTION, filter="", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
    same = all(np.array_equal(np.float32(row[field]), side[int(row["key"])])
               for row in found for field, side in zip(SIDES, (data.image, data.text)))
    return {"pymilvus_rows": counted, "same_rows": bool(same) and len(found) == len(numbers) and counted == ROWS}


if __name__ == "__main__":
    sys.exit(main())
