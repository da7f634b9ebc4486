#!/usr/bin/env python3
"""What fast decoding gains in time and costs in vectors.

    bench/decode/run.py [--model DIR] [--count 60] [--seconds 8] [--size 4000x3000 …]

JPEGs (quality 90, halved colours) of each size, composed of the demo's pictures at their own size, so that they have detail
to lose. `examples/decode_speed` decodes and prepares them on one thread, exactly and fast by turns; `sightline embed` embeds
them both ways in f32. Writes target/bench/decode.json: for each size `exact_ms`, `fast_ms`, `times`, `reduced` (pictures
that were decoded smaller), the cosine of each picture's two vectors (`cosine_median`, `cosine_min`), `cosine_nearest` (the
median cosine of a picture to the one nearest to it, exactly, which tells what these cosines are worth), and `same_nearest`:
the share of pictures whose nearest one stays the nearest when both are decoded fast.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
STAMPS = REPOSITORY / ".local/pictures/stamps/images"
SIZES = ["500x375", "1024x1024", "2000x1500", "4000x3000"]


def compose(sources: List[Path], size: Tuple[int, int], draw: random.Random) -> Image.Image:
    """A picture full of others, each at its own size, some turned."""
    picture = Image.new("RGB", size, tuple(draw.randrange(256) for _ in range(3)))
    covered = 0
    while covered < 2 * size[0] * size[1]:
        with Image.open(draw.choice(sources)) as file:
            part = file.convert("RGBA").rotate(draw.choice([0, 0, 90, 180]), expand=True)
        place = (draw.randrange(-part.width // 2, size[0]), draw.randrange(-part.height // 2, size[1]))
        picture.paste(part, place, part)
        covered += part.width * part.height
    return picture


def embedded(program: Path, model: Path, pictures: Path, how: str, out: Path) -> np.ndarray:
    subprocess.run([program, "embed", "--model", model, "--decode", how, "--images", pictures, "--out", out], check=True)
    return np.load(out)


def measure(size: str, options: argparse.Namespace, folder: Path) -> Dict[str, Any]:
    width, height = (int(side) for side in size.split("x"))
    sources, draw = sorted(STAMPS.rglob("*.png")), random.Random(size)
    pictures = folder / size
    pictures.mkdir()
    for number in range(options.count):
        compose(sources, (width, height), draw).save(pictures / f"{number:04}.jpg", quality=90)
    timed = sorted(pictures.iterdir())[:10]
    told = subprocess.run([options.speed, options.model, str(options.seconds), *timed], check=True, capture_output=True)
    times = json.loads(told.stdout)
    exact = embedded(options.program, options.model, pictures, "exact", folder / "exact.npy")
    fast = embedded(options.program, options.model, pictures, "fast", folder / "fast.npy")
    cosines = (exact * fast).sum(axis=1)
    among, among_fast = exact @ exact.T, fast @ fast.T
    for matrix in (among, among_fast):
        np.fill_diagonal(matrix, -2)
    return {
        "exact_ms": times["exact_ms"], "fast_ms": times["fast_ms"],
        "times": round(times["exact_ms"] / times["fast_ms"], 2),
        "reduced": times["reduced"] / times["pictures"],
        "cosine_median": round(float(np.median(cosines)), 6), "cosine_min": round(float(cosines.min()), 6),
        "cosine_nearest": round(float(np.median(among.max(axis=1))), 6),
        "same_nearest": round(float((among.argmax(axis=1) == among_fast.argmax(axis=1)).mean()), 4),
        "pictures": options.count,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=REPOSITORY / ".local/models/sightline-demo")
    parser.add_argument("--program", type=Path, default=REPOSITORY / "target/debug/sightline")
    parser.add_argument("--speed", type=Path, default=REPOSITORY / "target/debug/examples/decode_speed")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--size", action="append", dest="sizes")
    options = parser.parse_args()
    results = {"model": options.model.name}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes or SIZES:
            results[size] = measure(size, options, Path(folder))
            print(size, json.dumps(results[size]), flush=True)
    report = REPOSITORY / "target/bench/decode.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
