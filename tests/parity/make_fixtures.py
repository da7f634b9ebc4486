#!/usr/bin/env python3
"""Makes the fixtures that our encoders are held against: tiny random models, and what transformers makes of them.

    make_fixtures.py --out tests/parity/fixtures                 # the committed ones, of the first ten
    make_fixtures.py --out tests/parity/fixtures --only sentence-transformers --cases 6
    make_fixtures.py --out target/parity-more --seed 7 --cases 20   # others, to look for mistakes

Each case is a folder `ARCHITECTURE/NUMBER` with `model/` as the Hub lays models out, `inputs.json` (files of
`pictures/`, texts and what each is to a search), and `expected.safetensors` (`pixels`, `images`, `texts`; vectors before
they are brought to length 1). Needs torch, transformers and sentence-transformers (`deploy/setup/setup.py python-sentences`).
"""

import argparse
import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
import models  # noqa: E402
import pictures  # noqa: E402
import scripts  # noqa: E402
import sentences  # noqa: E402
import texts  # noqa: E402

ARCHITECTURES: Dict[str, Callable[[random.Random, int], models.Case]] = {
    "clip": models.clip,
    "siglip": models.siglip,
    "siglip2": models.siglip2,
    "vit": models.vit,
    "dinov2": models.dinov2,
    "dinov2_with_registers": models.dinov2_with_registers,
    "bert": models.bert,
    "xlm-roberta": models.xlm_roberta,
    "embeddinggemma": models.embedding_gemma,
    "torchscript": scripts.torchscript,
    "sentence-transformers": sentences.sentence_transformers,
}
# Where different inputs have nearly one vector, a wrong network would pass.
LARGEST_COSINE = 0.98
ATTEMPTS = 20


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=3, help="an architecture")
    parser.add_argument("--only", choices=sorted(ARCHITECTURES))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    shutil.rmtree(options.out / (options.only or ""), ignore_errors=True)
    shutil.rmtree(options.out / "pictures", ignore_errors=True)
    gallery = pictures.write(options.out / "pictures")
    for name, architecture in ARCHITECTURES.items():
        for number in range(options.cases):
            if options.only in (None, name):
                write(options.out / name / str(number), name, architecture, options.seed, number, gallery)
    return 0


def write(folder: Path, name: str, architecture: Any, seed: int, number: int, gallery: List[Path]) -> None:
    """Draws until inputs are told apart."""
    for attempt in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        draw = random.Random(f"{seed}/{name}/{number}" + (f"/{attempt}" if attempt else ""))
        if write_drawn(folder, draw, architecture, number, gallery):
            return
    raise RuntimeError(f"{name}/{number}: no weights were found that tell inputs apart")


def write_drawn(folder: Path, draw: random.Random, architecture: Any, number: int, gallery: List[Path]) -> bool:
    torch.manual_seed(draw.randrange(1 << 31))
    case = architecture(draw, number)
    (folder / "model").mkdir(parents=True)
    case.save(folder / "model")
    expected: Dict[str, torch.Tensor] = {}
    inputs: Dict[str, Any] = {"pictures": [], "texts": []}
    with torch.inference_mode():
        if case.encode_pixels is not None:
            pixels = case.pixels(folder / "model", [pictures.load(path) for path in gallery])
            expected["pixels"] = pixels
            expected["images"] = case.encode_pixels(pixels)
            inputs["pictures"] = [path.name for path in gallery]
        if case.encode_texts is not None:
            asked = texts.draw(draw) + case.more_texts
            expected["texts"] = torch.stack([case.encode_texts(text["text"], text["role"]) for text in asked])
            inputs["texts"] = asked
    if not all(tell_apart(expected[what]) for what in ("images", "texts") if what in expected):
        return False
    save_file({key: value.contiguous().float() for key, value in expected.items()}, folder / "expected.safetensors")
    (folder / "inputs.json").write_text(json.dumps(inputs, ensure_ascii=False, indent=1) + "\n")
    return True


def tell_apart(vectors: torch.Tensor) -> bool:
    unit = torch.nn.functional.normalize(vectors, dim=1)
    cosines = (unit @ unit.T).flatten()
    # Some inputs are meant to be alike (a text and the same with spaces): half of all pairs have to differ.
    return cosines.median().item() <= LARGEST_COSINE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
