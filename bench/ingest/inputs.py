"""Pictures and models of the benchmark, from seeds."""

import io
import json
import time
from pathlib import Path
from typing import Any, Callable, List, NamedTuple

import numpy as np
import torch
import transformers
from PIL import Image

EDGE = 224
# As the published ViT-B/16 has it.
PREPROCESSING = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3, "do_resize": True, "do_rescale": True,
                 "rescale_factor": 1 / 255, "do_normalize": True, "size": {"height": EDGE, "width": EDGE}}


class Kind(NamedTuple):
    """One kind of picture. Of the large ones a few are made, and put under many keys."""

    name: str
    make: Callable[[np.random.Generator], bytes]
    distinct: int


def scene(random: np.random.Generator, width: int, height: int, noise: float) -> Image.Image:
    """Large shapes, edges and some grain: files of about a photograph's size."""
    coarse = random.integers(0, 256, (max(3, height // 40), max(3, width // 40), 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    for _ in range(12):
        x, y = random.integers(0, width), random.integers(0, height)
        smooth[y:y + random.integers(8, max(9, height // 3)), x:x + random.integers(8, max(9, width // 3))] *= random.uniform(0.5, 1.4)
    grain = random.standard_normal((height, width, 1), dtype=np.float32) * noise
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def tiled(random: np.random.Generator, edge: int) -> Image.Image:
    """A large square of one small scene again and again."""
    tile = np.asarray(scene(random, 500, 500, 4))
    return Image.fromarray(np.tile(tile, (edge // 500, edge // 500, 1)))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


KINDS = {kind.name: kind for kind in [
    Kind("jpeg_500x375", lambda random: encoded(scene(random, 500, 375, 8), "JPEG", quality=90), 256),
    Kind("png_1024_grey", lambda random: encoded(scene(random, 1024, 1024, 3).convert("L"), "PNG"), 24),
    Kind("jpeg_96x72", lambda random: encoded(scene(random, 96, 72, 8), "JPEG", quality=85), 256),
    Kind("jpeg_100_megapixel", lambda random: encoded(tiled(random, 10_000), "JPEG", quality=70), 1),
    Kind("jpeg_100_megapixel_progressive",
         lambda random: encoded(tiled(random, 10_000), "JPEG", quality=70, progressive=True), 1),
    # Level 1: for packing it tighter this program would take longer than the worker for reading it.
    Kind("png_100_megapixel", lambda random: encoded(tiled(random, 10_000), "PNG", compress_level=1), 1),
    Kind("jpeg_12_megapixel", lambda random: encoded(scene(random, 4000, 3000, 4), "JPEG", quality=88), 4),
]}


def pictures(kind: Kind) -> List[bytes]:
    random = np.random.default_rng(20_261_121)
    return [kind.make(random) for _ in range(kind.distinct)]


def pillow_seconds(files: List[bytes], items: int, fast: bool) -> float:
    """Processor seconds that Pillow and numpy take to make one picture ready for the network, on one thread; where it is to
    be fast, with JPEGs scaled while they are decoded, to at least twice the network's edge, as `Image.thumbnail` has it."""
    torch.set_num_threads(1)
    started = time.process_time()
    for at in range(items):
        picture = Image.open(io.BytesIO(files[at % len(files)]))
        if fast:
            picture.draft("RGB", (2 * EDGE, 2 * EDGE))
        picture = picture.convert("RGB").resize((EDGE, EDGE), Image.Resampling.BICUBIC)
        (np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5
    return (time.process_time() - started) / items


def vit(**sizes: int) -> Callable[[], Any]:
    return lambda: transformers.ViTModel(transformers.ViTConfig(image_size=EDGE, **sizes), add_pooling_layer=False)


MODELS = {
    "vit-base-patch16": vit(),
    # So small that everything else is what takes the time.
    "vit-tiny": vit(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1, patch_size=32),
}


def folder_of(model: str, folders: Path) -> Path:
    """The folder of a model with random weights, made where it is not there."""
    folder = folders / model
    if not (folder / "preprocessor_config.json").exists():
        torch.manual_seed(1)
        MODELS[model]().save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
    return folder


__all__ = ["EDGE", "KINDS", "folder_of", "pictures", "pillow_seconds"]
