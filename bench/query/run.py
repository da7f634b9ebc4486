#!/usr/bin/env python3
"""Our search against the engine called directly and against brute force (target/bench/query.json).

    run.py [--items 100000] [--dimension 256] [--queries 200] [--seconds 10]

Needs the servers (`deploy/dev/dev.py run milvus milvus-lite -- …`), the programs in their release build
(`SIGHTLINE_BINARIES=target/release`), and `ghz` in .local/ghz. Every answer that claims EXACT is compared with brute force; one that is not right is `false_exact`.
Ways that are compared take turns, query by query, so that other load meets both; times are of one client in Python,
the same library for both, answers with ids alone.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/e2e"))
import data as rows  # noqa: E402
import joint as joint_field  # noqa: E402
from engines import SIDES, Direct, Gateway, resident_mib, write_request  # noqa: E402
from processes import BINARIES, Process, Processes  # noqa: E402

OUT = REPOSITORY / "target/bench"
FILL = BINARIES / "examples/fill"
GHZ = REPOSITORY / ".local/ghz/ghz"
TOP_K = 10
NLIST = 128
ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9)
EXACT = 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=10, help="of load by ghz")
    arguments = parser.parse_args()
    work = OUT / "query"
    data = rows.make(arguments.items, arguments.dimension, arguments.queries, work)
    with Processes(work / "logs") as processes:
        report = {
            "items": arguments.items, "dimension": arguments.dimension, "queries": arguments.queries,
            "milvus_lite": both_sides(processes, data, os.environ["SIGHTLINE_TEST_MILVUS_LITE_URL"], arguments, True),
            "embedded": both_sides(processes, data, f"sqlite:{work / 'index.db'}", arguments, False),
            "milvus": one_side(processes, data, os.environ["SIGHTLINE_TEST_MILVUS_URL"], arguments),
        }
    report.update(headline(report))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "query.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    good = report["false_exact"] == 0 and report["recall_at_10_hybrid"] == 1.0
    overhead = report["overhead_p50_ms"] <= 1 or report["overhead_ratio_p50"] <= 1.1
    return 0 if good and overhead else 1


def headline(report: Dict[str, Any]) -> Dict[str, Any]:
    """The figures that have to hold, over all engines."""
    hybrid = [report[engine] for engine in ("milvus_lite", "embedded")]
    return {
        "recall_at_10_hybrid": min(engine["recall_at_10_hybrid"] for engine in hybrid),
        "false_exact": sum(engine["false_exact"] for engine in (*hybrid, report["milvus"])),
        "native_recall_at_10": report["milvus_lite"]["native_recall_at_10"],
        "ivf_nprobe16_recall_at_10": report["milvus"]["ivf_nprobe16_recall_at_10"],
        "overhead_p50_ms": report["milvus"]["overhead_p50_ms"],
        "overhead_ratio_p50": report["milvus"]["overhead_ratio_p50"],
        "hybrid_p50_ms": report["milvus_lite"]["hybrid_p50_ms"],
        # 32 clients of ghz, hybrid over exact fields.
        **{key: report["milvus_lite"][key] for key in ("p99_ms", "qps")},
        "memory_mib": report["milvus_lite"]["gateway_rss_mib"],
    }


def fill(url: str, collection: str, nlist: int, dimension: int, **files: Path) -> float:
    """Fills a collection, and gives the seconds that it took."""
    started = time.monotonic()
    named = [f"{field}={path}" for field, path in files.items()]
    subprocess.run([FILL, url, collection, str(nlist), str(dimension), *named], check=True, stdout=subprocess.DEVNULL)
    return round(time.monotonic() - started, 1)


def start(processes: Processes, name: str, url: str) -> Process:
    return processes.start(name, ["sightline-gateway"], {
        "SIGHTLINE_INDEX__URL": url, "SIGHTLINE_LISTEN__ADDRESS": "127.0.0.1:0", "SIGHTLINE_TELEMETRY__LOG": "info"})


def both_sides(processes: Processes, data: rows.Data, url: str, arguments: argparse.Namespace, native: bool) -> Dict[str, Any]:
    """Hybrid searches over two exact fields, and one search over the joint field."""
    files = {SIDES[0]: data.image_file, SIDES[1]: data.text_file}
    report: Dict[str, Any] = {"fill_s": fill(url, "BenchBoth", 0, arguments.dimension, **files)}
    report["fill_joint_s"] = fill(url, "BenchJoint", 0, 2 * arguments.dimension, **{SIDES[0]: data.joint_file})
    process = start(processes, f"gateway-{len(report)}-{native}", url)
    gateway, joint = Gateway(process.address(), "BenchBoth"), Gateway(process.address(), "BenchJoint")
    direct = Direct(url, "BenchBoth") if native else None
    recalls: Dict[str, List[float]] = {"hybrid": [], "joint": [], "native": []}
    times: Dict[str, List[float]] = {"hybrid": [], "joint": [], "native": []}
    false_exact = claimed = 0
    for query in range(arguments.queries):
        alpha = ALPHAS[query % len(ALPHAS)]
        image, text = data.query_image[query], data.query_text[query]
        right = set(rows.brute_force(data, query, alpha, TOP_K).tolist())
        legs = [(SIDES[0], alpha, image), (SIDES[1], 1 - alpha, text)]
        answer = timed(times["hybrid"], lambda: gateway.ask(gateway.request(legs, TOP_K, ("key",))))
        recall = len(right & set(gateway.keys(answer))) / TOP_K
        recalls["hybrid"].append(recall)
        claimed += answer.ranking == EXACT
        false_exact += answer.ranking == EXACT and recall < 1
        asked = np.concatenate([alpha * image, (1 - alpha) * text])
        answer = timed(times["joint"], lambda: joint.ask(joint.request([(SIDES[0], 1.0, asked)], TOP_K, ("key",))))
        recalls["joint"].append(len(right & set(joint.keys(answer))) / TOP_K)
        if direct is not None:
            found = timed(times["native"], lambda: direct.hybrid(image, text, alpha, TOP_K))
            recalls["native"].append(len(right & set(found)) / TOP_K)
    report.update(claimed_exact=claimed, false_exact=int(false_exact))
    for way in ("hybrid", "joint", "native") if native else ("hybrid", "joint"):
        report[f"recall_at_10_{way}"] = round(float(np.mean(recalls[way])), 4)
        report[f"{way}_p50_ms"], report[f"{way}_p99_ms"] = percentiles(times[way])
    if native:
        report["native_recall_at_10"] = report.pop("recall_at_10_native")
    if native:
        lists = {"BenchBothLists": (arguments.dimension, files),
                 "BenchJointLists": (2 * arguments.dimension, {SIDES[0]: data.joint_file})}
        for name, (dimension, of_fields) in lists.items():
            fill(url, name, joint_field.NLIST, dimension, **of_fields)
        report["joint"] = joint_field.compare(process.address(), *lists, data, timed)
    request = gateway.request([(SIDES[0], 0.5, data.query_image[0]), (SIDES[1], 0.5, data.query_text[0])], TOP_K)
    report.update(load(process, request, arguments.seconds), gateway_rss_mib=round(resident_mib(process.pid), 1))
    process.end()
    return report


def one_side(processes: Processes, data: rows.Data, url: str, arguments: argparse.Namespace) -> Dict[str, Any]:
    """One leg on real Milvus, IVF_FLAT: what our gateway adds to the direct call, and what 16 lists of 128 find.

    The direct call is made with the consistency that the gateway asks for, Session. With Strong, which is what a
    collection of ours is made with and so what a client gets who says nothing, the server lets each call wait for its
    clock: that is measured beside it.
    """
    report: Dict[str, Any] = {"fill_s": fill(url, "BenchImage", NLIST, arguments.dimension, **{SIDES[0]: data.image_file})}
    process = start(processes, "gateway-milvus", url)
    probing, whole = (Gateway(process.address(), "BenchImage", effort) for effort in (16, NLIST))
    direct = Direct(url, "BenchImage")
    times: Dict[str, List[float]] = {"ours": [], "direct": [], "strong": []}
    recalls: Dict[str, List[float]] = {"probing": [], "whole": []}
    false_exact = 0
    for query in range(arguments.queries):
        vector = data.query_image[query]
        right = set(rows.brute_force(data, query, 1.0, TOP_K).tolist())
        legs = [(SIDES[0], 1.0, vector)]
        ways: List[Callable[[], Any]] = [
            lambda: timed(times["ours"], lambda: probing.ask(probing.request(legs, TOP_K))),
            lambda: timed(times["direct"], lambda: direct.one_leg(vector, TOP_K, {"nprobe": 16}, "Session")),
        ]
        for way in ways if query % 2 == 0 else reversed(ways):
            way()
        if query % 4 == 0:
            timed(times["strong"], lambda: direct.one_leg(vector, TOP_K, {"nprobe": 16}, "Strong"))
        answer = probing.ask(probing.request(legs, TOP_K, ("key",)))
        recalls["probing"].append(len(right & set(probing.keys(answer))) / TOP_K)
        answer = whole.ask(whole.request(legs, TOP_K, ("key",)))
        recall = len(right & set(whole.keys(answer))) / TOP_K
        recalls["whole"].append(recall)
        false_exact += answer.ranking == EXACT and recall < 1
    ours, direct_p50 = percentiles(times["ours"])[0], percentiles(times["direct"])[0]
    process.end()
    return {
        **report,
        "ivf_nprobe16_recall_at_10": round(float(np.mean(recalls["probing"])), 4),
        "ivf_all_lists_recall_at_10": round(float(np.mean(recalls["whole"])), 4),
        "false_exact": int(false_exact),
        "one_leg_p50_ms": ours, "direct_p50_ms": direct_p50, "direct_strong_p50_ms": percentiles(times["strong"])[0],
        "overhead_p50_ms": round(ours - direct_p50, 3), "overhead_ratio_p50": round(ours / direct_p50, 3),
    }


def timed(times: List[float], call: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    answer = call()
    times.append((time.perf_counter() - started) * 1000)
    return answer


def percentiles(times: List[float]) -> List[float]:
    """Median and 99th percentile in ms, without the first tenth, which warms up."""
    warm = times[len(times) // 10:]
    return [round(float(np.percentile(warm, at)), 3) for at in (50, 99)]


def load(process: Process, request: Any, seconds: int) -> Dict[str, Any]:
    """32 clients by ghz for a while, each with the same query: nothing is cached on the way."""
    path = OUT / "query" / "requests.bin"
    write_request(request, path)
    command = [GHZ, "--insecure", "--call", "sightline.v1.Search/Search", "--concurrency", "32", "--connections", "8",
               "--duration", f"{seconds}s", "--binary-file", path, "--format", "json", process.address()]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    report = json.loads(found)
    latencies = {entry["percentage"]: round(entry["latency"] / 1e6, 3) for entry in report["latencyDistribution"]}
    # Those that were cut off when the time ended are no failures.
    refused = {code: count for code, count in report["statusCodeDistribution"].items() if code not in ("OK", "Unavailable", "Canceled")}
    return {"qps": round(report["rps"], 1), "p50_ms": latencies[50], "p99_ms": latencies[99], "failed": refused}


if __name__ == "__main__":
    sys.exit(main())
