#!/usr/bin/env python3
"""grpcurl, which knows a server by its reflection alone, creates a run, watches it to its end and searches.

Each way to search is asked for as a person would: by least score, by group, in pages, by rank, with several examples and with
one that hits are to be unlike, many at once, with a filter that is wrong, and with too little time.
"""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Dict, List

from processes import REPOSITORY, Processes

GRPCURL = Path(os.environ.get("SIGHTLINE_TEST_GRPCURL", REPOSITORY / ".local/grpcurl/grpcurl"))
MODEL = REPOSITORY / ".local/models/sightline-demo"
PICTURES = REPOSITORY / ".local/pictures/stamps/images/food/fruit"
SERVICES = {"Coordinator", "Worker", "Search", "Embedding"}


def call(address: str, method: str, request: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The answers of one call."""
    command = [str(GRPCURL), "-plaintext", "-d", json.dumps(request), address, f"sightline.v1.{method}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    decoder, answers, at = json.JSONDecoder(), [], 0
    while at < len(text):
        answer, at = decoder.raw_decode(text, at)
        answers.append(answer)
        at += len(text[at:]) - len(text[at:].lstrip())
    return answers


def refused(address: str, method: str, request: Dict[str, Any], *options: str) -> str:
    """What a call says that is refused; nothing where it is not."""
    command = [str(GRPCURL), "-plaintext", *options, "-d", json.dumps(request), address, f"sightline.v1.{method}"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def ids(answer: Dict[str, Any]) -> List[str]:
    return [hit["item"]["id"] for hit in answer.get("hits", [])]


def searches(address: str) -> Dict[str, bool]:
    """What holds of each way to search."""
    fruit = {"collection": "collections/fruit", "text": "a red apple", "fields": ["id"]}

    def ask(**more: Any) -> Dict[str, Any]:
        return call(address, "Search/Search", {**fruit, **more})[0]

    everything = ask(topK=1000)
    best, least = ids(everything), everything["hits"][2]["score"]
    in_range = ask(topK=1000, minScore=least)
    groups = ask(topK=5, groupBy="filename")
    pages: List[str] = []
    token = None
    while token != "":
        page = ask(pageSize=7, **({"pageToken": token} if token else {}))
        pages += ids(page)
        token = page.get("nextPageToken", "")
    field = "image_embedding"

    def legs(*weighted: Any, field: str = field, **more: Any) -> Dict[str, Any]:
        listed = [{"field": field, "weight": weight, **query} for weight, query in weighted]
        return call(address, "Search/Search", {"collection": "collections/fruit", "fields": ["id"], "legs": listed, **more})[0]

    like, other = {"item": best[0]}, {"item": best[-1]}
    alone, without, both = (legs((1, like), *more, topK=1000) for more in ((), ((-1, other),), ((1, other),)))
    scores, like_both = ({hit["item"]["id"]: hit["score"] for hit in answer["hits"]} for answer in (alone, both))
    own = legs((1, like), field="")
    ranked = legs((1, like), fusion="RECIPROCAL_RANK", topK=3)
    batch = call(address, "Search/BatchSearch", {"parent": "collections/fruit", "requests": [
        {"text": "a red apple", "topK": 1}, {"text": "a red apple", "topK": -1}]})[0]["results"]
    mistake = refused(address, "Search/Search", {**fruit, "filter": "labels:apple AND AND uid = a"})
    late = refused(address, "Search/Search", fruit, "-max-time", "0.000001")
    return {
        "all hits are ranked, and EXACT": everything["ranking"] == "EXACT" and len(best) > 20,
        "a least score gives what reaches it": ids(in_range) == best[:3],
        "one hit a group": len({hit["group"] for hit in groups["hits"]}) == 5 and ids(groups)[0] == best[0],
        "pages are the whole, in order": pages == best,
        "an item finds itself": ids(alone)[0] == best[0] and abs(alone["hits"][0]["score"] - 1) < 1e-5,
        "a leg that names no field is for its own kind": ids(own) == ids(alone)[:10],
        "what hits are to be unlike comes last": ids(without)[-1] == best[-1] and ids(without)[0] != best[-1],
        "two examples count as much": all(abs(like_both[one] - 1 - scores[best[-1]]) < 1e-5 for one in (best[0], best[-1])),
        "ranks are fused on request": abs(ranked["hits"][0]["score"] - 1 / 61) < 1e-9 and ranked["ranking"] == "EXACT",
        "a batch answers each in its place": "response" in batch[0] and batch[1]["error"]["reason"] == "INVALID_ARGUMENT",
        "a wrong filter is told by its place": "filter" in mistake and "at byte 17" in mistake,
        "too little time is said": "DeadlineExceeded" in late or "deadline" in late.lower(),
    }


def main() -> int:
    work = REPOSITORY / "target/e2e-grpcurl"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with Processes(work / "logs") as processes:
        command = ["sightline", "standalone", "--data", str(work / "data"), "--model", str(MODEL), "--listen", "127.0.0.1:0"]
        address = processes.start("standalone", command, {}).address()
        listed = subprocess.run([str(GRPCURL), "-plaintext", address, "list"], check=True, capture_output=True, text=True).stdout
        spec = {
            "kind": "EMBED",
            "dataset": {"name": "fruit", "root": PICTURES.as_uri(), "prefix": {}},
            "collection": "collections/fruit",
            "model": MODEL.name,
        }
        run = call(address, "Coordinator/CreateRun", {"spec": spec, "requestId": uuid.uuid4().hex})[0]
        states = call(address, "Coordinator/WatchRun", {"name": run["name"]})
        found = call(address, "Search/Search", {"collection": "collections/fruit", "text": "a red apple", "topK": 3})[0]
        ways = searches(address)
    checks = {
        "every service is listed": {f"sightline.v1.{name}" for name in SERVICES} <= set(listed.split()),
        "the run ended well": states[-1]["run"]["state"] in ("SUCCEEDED", "PARTIALLY_SUCCEEDED"),
        "something was indexed": int(states[-1]["run"]["counts"]["indexed"]) > 0,
        "the words find pictures": len(found["hits"]) == 3 and found["ranking"] == "EXACT",
        **ways,
    }
    for what, holds in checks.items():
        print(f"grpcurl: {'ok' if holds else 'NOT'}: {what}")
    print(f"grpcurl: {sum(checks.values())} passed, {len(checks) - sum(checks.values())} failed")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
