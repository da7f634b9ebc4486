#!/usr/bin/env python3
"""Does with runs what their users do, by the program `sightline` alone, and looks at rows and objects beside it.

    operations.py [--report FILE]

Two coordinators, a worker and a gateway over the real servers, which run already: `deploy/dev/dev.py run rabbitmq milvus moto -- …`
starts and ends them. Commands go to the two coordinators in turn. See README.md beside this file.
"""

import argparse
import csv
import io
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List

from console import FAILURE, PARTIAL, SHARD_ITEMS, STOPPED, Site
from processes import REPOSITORY, Processes

STAMPS = REPOSITORY / ".local/pictures/stamps"
PICTURES = 24
# What is no picture.
NOTES: FrozenSet[str] = frozenset({"notes.txt"})

def picture(number: int) -> bytes:
    manifest = (STAMPS / "captions.jsonl").read_text().splitlines()
    return (STAMPS / json.loads(manifest[number])["image"]).read_bytes()


def counts(run: Dict[str, Any]) -> List[int]:
    return [int(run["counts"].get(name, 0)) for name in ("indexed", "unchanged", "skipped", "failed", "stale")]


def fill(site: Site) -> None:
    """Pictures in two folders, two of them damaged, and a file that is none; another dataset with the same keys."""
    for number in range(PICTURES):
        site.put("pictures", f"{'ab'[number % 2]}/{number:03}.png", picture(number))
    for name in ("x", "y"):
        site.put("pictures", f"broken/{name}.png", picture(0)[:200])
    site.put("pictures", "notes.txt", b"not a picture")
    for number in range(3):
        site.put("others", f"{'ab'[number % 2]}/{number:03}.png", picture(number))


def preview(site: Site) -> None:
    """A dry run counts, and leaves nothing anywhere."""
    told = site.ingest("pictures", "--dry-run").last
    site.check(int(told["items"]) == PICTURES + 3, "items of the preview", told)
    site.check(not site.objects("state"), "a dry run stored something")
    site.check(not site.milvus.has_collection(site.collection), "a dry run made a collection")


def first_run(site: Site) -> str:
    """All of it, and what failed as a table, as CSV and as JSON lines."""
    ended = site.ingest("pictures", expect=PARTIAL).last
    site.check(counts(ended) == [PICTURES, 0, 1, 2, 0], "counts of the first run", ended)
    site.mirrors("pictures", NOTES | {"broken/x.png", "broken/y.png"})
    broken = ["broken/x.png", "broken/y.png"]
    table = site.run("runs", "failures", ended["name"]).out
    site.check(all(key in table for key in broken), "failures as a table", table)
    rest = ["runs", "failures", ended["name"]]
    listed = list(csv.DictReader(io.StringIO(site.run(*rest, "--csv").out)))
    site.check([line["key"] for line in listed] == broken, "failures as CSV", listed)
    lines = site.run(*rest, "--jsonl").lines
    site.check([(line["key"], line["reason"]) for line in lines] == [(key, "corrupt_image") for key in broken],
               "failures as JSON lines", lines)
    site.run("runs", "watch", ended["name"], expect=PARTIAL)
    site.ingest("others")
    return str(ended["name"])


def retry(site: Site, run: str) -> None:
    """What failed once more, after one of the pictures was mended; the same request twice is one run."""
    site.put("pictures", "broken/x.png", picture(100))
    request = ["runs", "retry", run, "--json", "--request-id", f"{site.name}-retry"]
    child = site.run(*request, expect=PARTIAL).last
    site.check(counts(child) == [1, 0, 0, 1, 0], "counts of the retry", child)
    again = site.run(*request, "--no-wait").last
    site.check(again["name"] == child["name"], "the same request made another run", again)
    site.put("pictures", "broken/y.png", picture(101))
    grandchild = site.run("runs", "retry", child["name"], "--json").last
    site.check(counts(grandchild) == [1, 0, 0, 0, 0], "counts of the retry of the retry", grandchild)
    site.mirrors("pictures", NOTES)
    nothing = site.run("runs", "retry", grandchild["name"], expect=FAILURE).err
    site.check("nothing to try again" in nothing, "a retry of nothing says", nothing)


def verify(site: Site, run: str) -> None:
    """A row that somebody deleted is found, and made again."""
    site.check(site.run("runs", "verify", run, "--json").last["verified"], "the first run is not verified")
    key, row = sorted(site.rows("pictures").items())[0]
    site.milvus.delete(site.collection, ids=[row["id"]])
    found = site.run("runs", "verify", run, "--json", expect=PARTIAL).last
    site.check(found["problems"] == [{"key": key, "problem": "missing_row", "shard": found["problems"][0]["shard"]}],
               "the audit of a lost row", found)
    site.run("runs", "verify", run, "--repair", "--json")
    site.check(site.run("runs", "verify", run, "--json").last["verified"], "the repaired run is not verified")
    site.mirrors("pictures", NOTES)


def mirror(site: Site) -> None:
    """Objects are deleted, one is changed, one is new: rows follow, and those of the other dataset stay as they are."""
    before, others = site.rows("pictures"), site.rows("others")
    gone = sorted(before)[:6]
    changed = sorted(before)[7]
    site.delete("pictures", gone)
    site.put("pictures", changed, picture(200))
    site.put("pictures", "new/one.png", picture(201))
    plain = site.ingest("pictures").last
    site.check(counts(plain)[:2] == [2, len(before) - 7], "counts without --mirror", plain)
    site.check(set(gone) <= set(site.rows("pictures")), "rows went though nobody asked for it")
    mirrored = site.ingest("pictures", "--mirror").last
    site.check(int(mirrored["deleted_rows"]) == 6 and counts(mirrored)[0] == 0, "the mirroring run", mirrored)
    site.mirrors("pictures", NOTES)
    same = set(before) - {*gone, changed}
    after = site.rows("pictures")
    site.check(all(after[key]["indexed_at"] == before[key]["indexed_at"] for key in same), "unchanged rows were written")
    site.check(json.dumps(others, default=str, sort_keys=True) == json.dumps(site.rows("others"), default=str, sort_keys=True), "rows of others changed")
    again = site.ingest("pictures", "--mirror").last
    site.check(int(again.get("deleted_rows", 0)) == 0, "mirrored again", again)


def refused_mirror(site: Site) -> None:
    """Where most is gone nothing is deleted, unless that is what was meant."""
    kept = sorted(key for key in site.objects("pictures") if key.endswith(".png"))
    site.delete("pictures", kept[5:])
    refused = site.ingest("pictures", "--mirror", expect=STOPPED).last
    site.check("more than 50% of them" in refused["state_message"], "the refusal says", refused)
    site.check(set(site.rows("pictures")) == set(kept), "rows went though that was refused")
    meant = site.ingest("pictures", "--mirror", "--mirror-limit", "100%").last
    site.check(int(meant["deleted_rows"]) == len(kept) - 5, "what was meant", meant)
    site.mirrors("pictures", NOTES)


def limited(site: Site) -> None:
    """A run with too many failures ends itself."""
    for number in range(3 * SHARD_ITEMS):
        site.put("damaged", f"{number:03}.png", picture(number)[:200])
    ended = site.ingest("damaged", "--max-failures", "2", expect=STOPPED).last
    site.check("more than the 2 that the run allows" in ended["state_message"], "the limit says", ended)


def cancelled_and_resumed(site: Site) -> None:
    """Without a worker: one run is cancelled, another loses its messages and is resumed."""
    for number in range(PICTURES):
        site.put("later", f"{number:03}.png", picture(300 + number))
    site.check(site.worker.end() == 0, "the worker did not end in order")
    run = site.ingest("later", "--no-wait").last["name"]
    site.until(run, lambda run: run["plan_complete"])
    refused = site.ingest("later", expect=FAILURE).err
    site.check(run in refused, "a second run over the same dataset is refused by the first one's name", refused)
    cancelled = site.run("runs", "cancel", run, "--json").last
    site.check(cancelled["state"] == "CANCELLED" and int(cancelled["unprocessed_items"]) == PICTURES, "cancelled", cancelled)
    site.run("runs", "watch", run, expect=STOPPED)
    run = site.ingest("later", "--no-wait", "--max-failures", "50%").last["name"]
    site.until(run, lambda run: run["plan_complete"])
    for queue, messages in site.servers.queues(site.name).items():
        if messages:
            site.servers.broker("purge_queue", "-p", site.name, queue)
    site.worker = site.start_worker("b")
    site.run("runs", "resume", run)
    ended = site.run("runs", "watch", run, "--json").last
    site.check(counts(ended) == [PICTURES, 0, 0, 0, 0], "the resumed run", ended)
    site.check(site.run("runs", "verify", run, "--json").last["verified"], "the resumed run is not verified")
    site.mirrors("later")


def dedupe(site: Site) -> None:
    """Of rows with the same picture the first by key stays; a second time nothing is left to do."""
    for key, number in (("copies/0.png", 300), ("copies/1.png", 301), ("zz.png", 300)):
        site.put("later", key, picture(number))
    site.ingest("later")
    before = site.rows()
    groups: Dict[str, List[str]] = {}
    for row in sorted(before.values(), key=lambda row: (row["key"], row["dataset"])):
        groups.setdefault(row["content_hash"], []).append(f"{row['dataset']}/{row['key']}")
    stay = {names[0] for names in groups.values()}
    surplus = len(before) - len(stay)
    site.check(surplus >= 3, "there are no duplicates to drop", groups)
    told = site.run("collections", "duplicates", site.collection, "--json").lines
    told_groups = {group["items"][0]["key"] for group in told if "items" in group}
    site.check(told_groups == {names[0].split("/", 1)[1] for names in groups.values() if len(names) > 1},
               "duplicates", told)
    site.run("collections", "dedupe", site.collection, "--dry-run")
    site.check(len(site.rows()) == len(before), "a dry run deleted rows")
    dropped = site.run("collections", "dedupe", site.collection, "--yes", "--json").last
    site.check(int(dropped["deleted_rows"]) == surplus, "dropped", dropped)
    site.check(set(site.rows()) == stay, "not the first of each stays", set(site.rows()) ^ stay)
    again = site.run("collections", "dedupe", site.collection, "--yes", "--json").last
    site.check(int(again.get("deleted_rows", 0)) == 0 and set(site.rows()) == stay, "a second time", again)


def listed(site: Site) -> None:
    """Both coordinators list the same runs, newest first."""
    one, other = (site.run("runs", "list", "--json", "--limit", "50").lines for _ in range(2))
    names = [run["name"] for run in one]
    site.check(names == [run["name"] for run in other] and len(names) == len(set(names)) > 10, "lists of runs", names)
    created = [run["create_time"] for run in one]
    site.check(created == sorted(created, reverse=True), "runs are not listed newest first", created)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=REPOSITORY / "target/operations.json")
    arguments = parser.parse_args()
    work = REPOSITORY / "target/operations"
    shutil.rmtree(work, ignore_errors=True)
    report: Dict[str, float] = {}
    with Processes(work / "logs") as processes:
        site = Site(processes)
        fill(site)
        run = ""

        def step(do: Callable[..., Any], *more: Any) -> Any:
            began = time.monotonic()
            result = do(site, *more)
            report[do.__name__] = round(time.monotonic() - began, 1)
            return result

        step(preview)
        run = step(first_run)
        step(retry, run)
        step(verify, run)
        for do in (mirror, refused_mirror, limited, cancelled_and_resumed, dedupe, listed):
            step(do)
    arguments.report.write_text(json.dumps({"checks": site.checks, "seconds": report}, indent=2) + "\n")
    print(f"operations: {site.checks} passed, 0 failed, in {sum(report.values()):.0f} s: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
