#!/usr/bin/env python3
"""The ingest that a good engineer writes in Python today: what Sightline's worker is measured beside.

    pipeline.py MODEL_FOLDER BUCKET/PREFIX COLLECTION [--precision bf16] [--pixels tensor] [--loaders 2] [--batch 32]
                [--model compiled] [--processes 2]

Objects are listed, then read, decoded and resized by the processes of a `DataLoader` while the model computes (inference
mode, scaled-dot-product attention, `--precision` for weights and activations); rows go to Milvus by pymilvus, a batch being
written while the next is computed. `--pixels pillow` resizes with Pillow; `--pixels tensor` with torch's own antialiased
resize of 8-bit tensors, which is what torchvision's and transformers' fast processors call. `--model compiled` compiles it,
`frozen` packs its weights, too; then items have to fill every batch, or the last one would be compiled for in the time that
counts. With `--processes` each computes its part of the pictures with its part of the threads.

One line of JSON tells items, seconds from the listing to the last row that Milvus has, processor seconds and the peak resident
set. Loading is not counted, nor is what is done once: the model has computed, and the pictures of PREFIX-warm went the whole
way. The collection is dropped in the end.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import clients  # noqa: F401
import boto3
import numpy as np
import torch
import transformers
from botocore.config import Config
from PIL import Image
from pymilvus import DataType, MilvusClient
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

EDGE = 224
KINDS = {"f32": torch.float32, "bf16": torch.bfloat16}
MODELS = ["eager", "compiled", "frozen"]


def s3() -> Any:
    return boto3.client("s3", endpoint_url=os.environ["SIGHTLINE_TEST_S3_ENDPOINT"], config=Config(s3={"addressing_style": "path"}))


def with_pillow(body: bytes) -> torch.Tensor:
    picture = Image.open(io.BytesIO(body)).convert("RGB").resize((EDGE, EDGE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def with_tensor(body: bytes) -> torch.Tensor:
    whole = torch.from_numpy(np.array(Image.open(io.BytesIO(body)).convert("RGB"))).permute(2, 0, 1).unsqueeze(0)
    return functional.interpolate(whole, (EDGE, EDGE), mode="bicubic", antialias=True)[0]


PIXELS = {"pillow": with_pillow, "tensor": with_tensor}


class Objects(Dataset):
    """Pictures of a bucket, as 8-bit tensors."""

    def __init__(self, bucket: str, keys: List[str], pixels: str) -> None:
        self._bucket, self._keys, self._pixels = bucket, keys, pixels
        self._client: Optional[Any] = None

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, at: int) -> Tuple[int, torch.Tensor]:
        if self._client is None:
            # A connection of each process's own.
            self._client = s3()
        body = self._client.get_object(Bucket=self._bucket, Key=self._keys[at])["Body"].read()
        return at, PIXELS[self._pixels](body)


class Encoder:
    """The model with its normalisation."""

    def __init__(self, folder: Path, kind: torch.dtype, how: str) -> None:
        self._kind = kind
        model = transformers.ViTModel.from_pretrained(folder, dtype=kind, attn_implementation="sdpa", add_pooling_layer=False)
        if how == "frozen":
            import torch._inductor.config as inductor
            inductor.freezing = True
        self._model = model.eval() if how == "eager" else torch.compile(model.eval())

    def __call__(self, pixels: torch.Tensor) -> np.ndarray:
        ready = ((pixels.float() / 255 - 0.5) / 0.5).to(self._kind)
        vectors = self._model(pixel_values=ready).last_hidden_state[:, 0].float()
        return functional.normalize(vectors, dim=-1).numpy()


def create(client: MilvusClient, collection: str, width: int) -> None:
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("key", DataType.VARCHAR, max_length=1024)
    schema.add_field("image_embedding", DataType.FLOAT_VECTOR, dim=width)
    index = client.prepare_index_params()
    index.add_index("image_embedding", index_type="FLAT", metric_type="IP")
    client.create_collection(collection, schema=schema, index_params=index)


def ingest(encode: Encoder, client: MilvusClient, prefix: str, options: argparse.Namespace) -> int:
    """This process's part of the pictures."""
    bucket, _, folder = prefix.partition("/")
    pages = s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])][options.part::options.processes]
    if options.model != "eager" and len(keys) % options.batch:
        raise SystemExit(f"pipeline: {len(keys)} items do not fill batches of {options.batch}")
    loader = DataLoader(Objects(bucket, keys, options.pixels), batch_size=options.batch, num_workers=options.loaders,
                        prefetch_factor=2 if options.loaders else None)
    writing: List["Future[Any]"] = []
    with ThreadPoolExecutor(2) as writer:
        for numbers, pixels in loader:
            rows = [{"id": f"{folder}-{options.part}-{number:016x}", "key": keys[number], "image_embedding": vector}
                    for number, vector in zip(numbers.tolist(), encode(pixels))]
            writing.append(writer.submit(client.upsert, options.collection, rows))
        for written in writing:
            written.result()
    return len(keys)


def compute(options: argparse.Namespace) -> None:
    """One process of the pipeline: says that it is ready, waits for a line, and tells what it did."""
    torch.set_num_threads(max(1, options.threads // options.processes))
    client = connect()
    with torch.inference_mode():
        encode = Encoder(options.folder, KINDS[options.precision], options.model)
        # What loading leaves to the first calls, compiling above all.
        for _ in range(2):
            encode(torch.zeros(options.batch, 3, EDGE, EDGE, dtype=torch.uint8))
        ingest(encode, client, f"{options.prefix}-warm", options)
        print("ready", flush=True)
        sys.stdin.readline()
        before = spent()
        items = ingest(encode, client, options.prefix, options)
    print(json.dumps({"items": items, "processor_s": spent() - before,
                      "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


def measure(options: argparse.Namespace, arguments: List[str]) -> Dict[str, float]:
    """All processes side by side: from the line that lets them begin to the last one's answer."""
    command = [sys.executable, __file__, *arguments]
    parts = [subprocess.Popen([*command, "--part", str(part)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
             for part in range(options.processes)]
    late = threading.Timer(options.ready_within, lambda: [part.kill() for part in parts])
    late.start()
    try:
        for part in parts:
            if part.stdout.readline() != "ready\n":
                raise SystemExit(f"pipeline: a process did not become ready within {options.ready_within:.0f} s")
        late.cancel()
        started = time.monotonic()
        for part in parts:
            part.stdin.write("go\n")
            part.stdin.flush()
        answers = [json.loads(part.stdout.readline()) for part in parts]
        seconds = time.monotonic() - started
    finally:
        late.cancel()
        for part in parts:
            part.kill()
            part.wait()
    return {"seconds": seconds, **{name: sum(answer[name] for answer in answers) for name in answers[0]}}


def connect() -> MilvusClient:
    return MilvusClient(uri=os.environ["SIGHTLINE_TEST_MILVUS_URL"].replace("milvus://", "http://"))


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("prefix", help="BUCKET/PREFIX")
    parser.add_argument("collection")
    parser.add_argument("--precision", choices=sorted(KINDS), default="f32")
    parser.add_argument("--pixels", choices=sorted(PIXELS), default="pillow")
    parser.add_argument("--loaders", type=int, default=2, help="of each process")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2, help="of all processes together")
    parser.add_argument("--model", choices=MODELS, default="eager")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--ready-within", type=float, default=600, help="seconds for loading and compiling; a process that takes longer is given up")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part is not None:
        compute(options)
        return 0
    client = connect()
    create(client, options.collection, json.loads((options.folder / "config.json").read_text())["hidden_size"])
    try:
        found = measure(options, arguments)
    finally:
        # Or the index would hold more from round to round.
        client.drop_collection(options.collection)
    print(json.dumps(found))
    return 0


def spent() -> float:
    """Processor seconds of this process and of those that it waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
