#!/usr/bin/env python3
"""From S3 to the index: our worker, the Python pipeline of `pipeline.py`, and the model alone, by turns.

    deploy/dev/dev.py run rabbitmq milvus s3 -- .local/venv-torch/bin/python bench/ingest/run.py [--items 640] [--rounds 5]

The same pictures (500 x 375 JPEG, made from a seed; as many as fill every variant's batches) on MinIO, the same ViT-B/16
(random weights, full size), threads and Milvus. Each round: the model alone on ready pictures (`throughput`), our worker,
Python at both precisions; medians over the rounds. Before them variants of the Python pipeline (`variants.py`) are tried on a
quarter of the pictures; at each precision the two fastest take part in every round, and the better one is compared; one process a
core (`python_per_core`) is told beside it. Then
pictures that cost more to decode, with a model that costs nothing, against Pillow alone.

Writes target/bench/ingest.json: the headline case at the top (`of_limit`: processor seconds an image of the model alone over
those of supervisor and engine; `limited_by`: the stage that the others waited for; `within_budget`: whether the worker's peak
in the run stayed below what it had in memory when it was ready and its limits of bytes; `times_python_worst_round`: the least
of any round), other cases, variants and costs as objects of their own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

import clients
import boto3
import inputs
import objects
import stages
import usage
from botocore.config import Config
from fleet import Cost, Fleet
from processes import BINARIES, Processes
from variants import ENVIRONMENTS, PASSIVE, PER_CORE, SIZES, Variant, search, whole_batches

OUT = clients.REPOSITORY / "target/bench"
WORK = OUT / "ingest"
PIPELINE = Path(__file__).with_name("pipeline.py")


class Decoded(NamedTuple):
    """A case that decodes: which pictures, how many, and how exactly."""

    kind: str
    items: int
    decode: str = "exact"


DECODED = {
    "png_1024_grey": Decoded("png_1024_grey", 400),
    "jpeg_12_megapixel": Decoded("jpeg_12_megapixel", 80),
    # Scaled while it is decoded, which exact pixels do not allow.
    "jpeg_12_megapixel_fast": Decoded("jpeg_12_megapixel", 80, "fast"),
}
# Pictures of the run before the one that is measured.
WARM = 32
TINY = "vit-tiny"
MODEL = "vit-base-patch16"


class Bench:
    """What all measurements share."""

    def __init__(self, options: argparse.Namespace, processes: Processes) -> None:
        self.options, self.processes = options, processes
        self.index = os.environ["SIGHTLINE_TEST_MILVUS_URL"]
        self.bucket = os.environ["SIGHTLINE_TEST_S3_BUCKET"]
        self.client = boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"],
                                   config=Config(s3={"addressing_style": "path"}))

    def ours(self, model: str, prefix: str, items: int, **settings: str) -> Cost:
        """A worker of its own, so that each round's peak is its own. As Python's, its collection is there before, and its model
        has computed."""
        with Fleet(self.processes, self.index) as fleet:
            of_model = {"threads": str(self.options.threads), **settings}
            environment = {f"SIGHTLINE_MODEL__{key.upper()}": value for key, value in of_model.items()}
            name = f"{model}-{uuid.uuid4().hex[:8]}"
            fleet.add_worker(inputs.folder_of(model, WORK / "models"), name, **environment)
            fleet.ready()
            collection = fleet.warm_run(self.dataset(f"{prefix}-warm"), name, WARM)
            return fleet.run(self.dataset(prefix), name, items, into=collection)

    def dataset(self, prefix: str) -> Dict[str, Any]:
        return {"name": prefix, "root": f"s3://{self.bucket}/{prefix}", "prefix": {}}

    def put(self, prefix: str, files: List[bytes], items: int) -> None:
        """The pictures that are measured, and a few of them to begin with."""
        objects.put(self.client, self.bucket, prefix, files, items)
        objects.put(self.client, self.bucket, f"{prefix}-warm", files, WARM)

    def limit(self, precision: str) -> Dict[str, float]:
        """The model alone on ready pictures: images a second, and processor seconds an image."""
        options = self.options
        command = [str(BINARIES / "examples/throughput"), str(inputs.folder_of(MODEL, WORK / "models")), "images", precision,
                   "cpu", str(options.threads), str(options.batch), str(options.seconds)]
        # As an engine of the worker waits: spinning counts as processor time.
        environment = {**PASSIVE, **os.environ}
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                self._answer(process, "ready")
                before, started = usage.processor_seconds(process.pid), time.monotonic()
                rate = float(self._answer(process, "go"))
                seconds, spent = time.monotonic() - started, usage.processor_seconds(process.pid) - before
            finally:
                process.kill()
        return {"images_per_s": rate, "processor_s": spent / (rate * seconds)}

    @staticmethod
    def _answer(process: "subprocess.Popen[str]", line: str) -> str:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline()

    def python(self, precision: str, variant: Variant, prefix: str, items: int) -> Dict[str, float]:
        command = [sys.executable, str(PIPELINE), str(inputs.folder_of(MODEL, WORK / "models")), f"{self.bucket}/{prefix}",
                   f"python_{uuid.uuid4().hex[:12]}", "--precision", precision, "--pixels", variant.pixels,
                   "--loaders", str(variant.loaders), "--batch", str(variant.batch), "--threads", str(self.options.threads),
                   "--model", variant.model, "--processes", str(variant.processes)]
        environment = {**os.environ, **ENVIRONMENTS[variant.environment]}
        log = WORK / "logs/python.log"
        with log.open("a") as said:
            found = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, stderr=said).stdout
        answer = json.loads(found.splitlines()[-1])
        if answer["items"] != items:
            raise SystemExit(f"bench-ingest: Python found {answer['items']} of {items} pictures")
        return {"images_per_s": items / answer["seconds"], "processor_s": answer["processor_s"] / items,
                "peak_rss_mib": answer["peak_rss_mib"]}

    def best(self, precision: str, prefix: str, items: int, report: Dict[str, Any]) -> List[Variant]:
        """The fastest variants of the Python pipeline."""
        def tried(variant: Variant) -> Optional[float]:
            name = f"{precision} {variant.name}"
            try:
                found = self.python(precision, variant, prefix, items)["images_per_s"]
            except subprocess.CalledProcessError:
                report[name] = "ended with an error: see target/bench/ingest/logs/python.log"
                return None
            report[name] = round(found, 2)
            tell(f"{name}: {found:.2f}/s")
            return found

        return search(tried, self.options.variants)


def tell(text: str) -> None:
    print(f"bench-ingest: {text}", file=sys.stderr, flush=True)


def headline(bench: Bench) -> Dict[str, Any]:
    """The case that computes."""
    options, native = bench.options, usage.bf16_native()
    items, few = whole_batches(options.items), whole_batches(options.items // 4)
    files = inputs.pictures(inputs.KINDS["jpeg_500x375"])
    for prefix, count in (("photos", items), ("photos-few", few)):
        bench.put(prefix, files, count)
    tell(f"{items} pictures, {few} to try variants on: multiples of every variant's batch")
    tried: Dict[str, Any] = {}
    chosen = {precision: bench.best(precision, "photos-few", few, tried) for precision in ("f32", "bf16")}
    default = "bf16" if native else "f32"
    other = "f32" if native else "bf16"
    rounds: List[Dict[str, Any]] = []
    for number in range(options.rounds):
        turn = {
            "limit": bench.limit(default), "worker": bench.ours(MODEL, "photos", items), **pythons(bench, default, chosen, items),
            f"limit_{other}": bench.limit(other), f"worker_{other}": bench.ours(MODEL, "photos", items, precision=other),
            **pythons(bench, other, chosen, items),
        }
        rounds.append(turn)
        tell(f"round {number + 1}: " + ", ".join(f"{name} {rate(found):.2f}/s" for name, found in turn.items()))
    best = {precision: max(range(len(variants)), key=lambda at, of=precision: statistics.median(
        rate(turn[f"python_{of} {at}"]) for turn in rounds)) for precision, variants in chosen.items()}
    for turn in rounds:
        turn.update({f"python_{precision}": turn[f"python_{precision} {at}"] for precision, at in best.items()})
    measured = {f"{precision} {variant.name}": round(statistics.median(rate(turn[f"python_{precision} {at}"]) for turn in rounds), 2)
                for precision, variants in chosen.items() for at, variant in enumerate(variants)}
    report = summary(rounds, native, default, other)
    report["python"].update(chosen={precision: variants[best[precision]].name for precision, variants in chosen.items()},
                            measured_images_per_s=measured, variants_images_per_s=tried)
    return report


def pythons(bench: Bench, precision: str, chosen: Dict[str, List[Variant]], items: int) -> Dict[str, Any]:
    """What each of a precision's fastest variants makes of all pictures, and a process a core."""
    of_one = {f"python_{precision} {at}": bench.python(precision, variant, "photos", items)
              for at, variant in enumerate(chosen[precision])}
    return {**of_one, f"per_core_{precision}": bench.python(precision, PER_CORE, "photos", items)}


def rate(found: Any) -> float:
    return found.items / found.seconds if isinstance(found, Cost) else found["images_per_s"]


def processor(found: Any) -> float:
    """Processor seconds an image."""
    return found.worker_s / found.items if isinstance(found, Cost) else found["processor_s"]


def held(costs: List[Cost]) -> Dict[str, Any]:
    """What limited a case, by the medians of its rounds, and whether none of them had more memory than it may; none where that
    is not known."""
    within = [cost.within_budget for cost in costs]
    taken = {name: statistics.median(cost.stages[name] for cost in costs) for name in costs[0].stages}
    return {"limited_by": stages.limiting(taken), "within_budget": None if None in within else all(within)}


def summary(rounds: List[Dict[str, Any]], native: bool, default: str, other: str) -> Dict[str, Any]:
    def median(of: Any, name: str) -> float:
        return statistics.median(of(turn[name]) for turn in rounds)

    def worst(ours: str, theirs: str) -> float:
        return round(min(rate(turn[ours]) / rate(turn[theirs]) for turn in rounds), 2)

    worker, middle = median(rate, "worker"), rounds[len(rounds) // 2]["worker"]
    python, per_core = ({kind: median(rate, f"{name}_{kind}") for kind in ("f32", "bf16")} for name in ("python", "per_core"))
    peaks = [turn["worker"].most_mib for turn in rounds]
    return {
        "bf16_native": native,
        "limit_images_per_s": round(median(rate, "limit"), 2),
        "worker_images_per_s": round(worker, 2),
        "python_f32_images_per_s": round(python["f32"], 2),
        "python_bf16_images_per_s": round(python["bf16"], 2),
        "of_limit": round(median(processor, "limit") / median(processor, "worker"), 3),
        "of_limit_wall": round(worker / median(rate, "limit"), 3),
        "times_python_default": round(worker / python["f32"], 2),
        "times_python_equal": round(worker / python[default], 2),
        "times_python_worst_round": {"default": worst("worker", "python_f32"), "equal": worst("worker", f"python_{default}")},
        "peak_rss_mib": None if None in peaks else round(max(peaks), 1),
        **held([turn["worker"] for turn in rounds]),
        "worker": middle.report(),
        f"{other}": {
            "limit_images_per_s": round(median(rate, f"limit_{other}"), 2),
            "worker_images_per_s": round(median(rate, f"worker_{other}"), 2),
            "of_limit": round(median(processor, f"limit_{other}") / median(processor, f"worker_{other}"), 3),
            "times_python_equal": round(median(rate, f"worker_{other}") / python[other], 2),
            **held([turn[f"worker_{other}"] for turn in rounds]),
        },
        "python": {
            "peak_rss_mib": round(median(lambda found: found["peak_rss_mib"], f"python_{default}"), 1),
            "processor_ms_per_image": {kind: round(1000 * median(processor, f"python_{kind}"), 2) for kind in python},
        },
        "python_per_core": {
            "variant": PER_CORE.name,
            "images_per_s": {kind: round(found, 2) for kind, found in per_core.items()},
            "times_python_default": round(worker / per_core["f32"], 2),
            "times_python_equal": round(worker / per_core[default], 2),
            "peak_rss_mib": round(median(lambda found: found["peak_rss_mib"], f"per_core_{default}"), 1),
        },
        "spread": {name: round(max(map(rate, found)) / min(map(rate, found)), 2)
                   for name in rounds[0] for found in [[turn[name] for turn in rounds]]},
    }


def decoding(bench: Bench, name: str, case: Decoded) -> Dict[str, Any]:
    """A case that decodes: images per processor second of the whole worker, and of Pillow that decodes and resizes alone."""
    files, items = inputs.pictures(inputs.KINDS[case.kind]), max(4, int(case.items * bench.options.decode_share))
    bench.put(name, files, items)
    costs, pillow = [], []
    for _ in range(bench.options.rounds):
        costs.append(bench.ours(TINY, name, items, decode=case.decode))
        pillow.append(inputs.pillow_seconds(files, max(2, items // 4), case.decode == "fast"))
    ours, theirs = statistics.median(map(processor, costs)), statistics.median(pillow)
    tell(f"{name}: {1 / ours:.1f} images a processor second, Pillow {1 / theirs:.1f}")
    return {
        "times_pillow_decode": round(theirs / ours, 2),
        "images_per_processor_s": round(1 / ours, 1),
        "pillow_images_per_processor_s": round(1 / theirs, 1),
        "bytes_per_image": sum(map(len, files)) // len(files),
        **held(costs),
        "worker": costs[len(costs) // 2].report(),
        "spread": {name: round(max(found) / min(found), 2)
                   for name, found in (("worker", list(map(processor, costs))), ("pillow", pillow))},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=15, help="of the model alone, a round")
    parser.add_argument("--variants", type=int, default=len(SIZES), help="sizes of the Python pipeline that are tried")
    parser.add_argument("--cases", default="headline," + ",".join(DECODED), help="which are measured")
    parser.add_argument("--decode-share", type=float, default=1, help="of the pictures of the cases that decode")
    options = parser.parse_args()
    (WORK / "logs").mkdir(parents=True, exist_ok=True)
    with Processes(WORK / "logs") as processes:
        bench = Bench(options, processes)
        report = headline(bench) if "headline" in options.cases.split(",") else {}
        for name, case in DECODED.items():
            if name in options.cases.split(","):
                report[name] = decoding(bench, name, case)
    (OUT / "ingest.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
