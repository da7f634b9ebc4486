"""Small seeded pictures of the kinds that decoders and preprocessing get wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Tuple, Union

import numpy as np
from PIL import Image

Entry = Dict[str, Union[str, bool, List[int]]]


def scene(seed: int, width: int, height: int) -> np.ndarray:
    """[h, w, 3] u8: soft gradients, hard-edged discs and bars, and a fine grating that only antialiasing gets right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / width, y / height
    image = np.stack([120 + 90 * np.sin(2 * np.pi * (u * a + v * b)) for a, b in rng.uniform(0.3, 1.2, (3, 2))], axis=2)
    for _ in range(7):
        cx, cy, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.06, 0.25)
        disc = ((u - cx) * width) ** 2 + ((v - cy) * height) ** 2 < (r * min(width, height)) ** 2
        image[disc] = rng.uniform(0, 255, 3)
    bar = (u > 0.55) & (u < 0.8) & (v > 0.6) & (v < 0.9)
    grating = np.where((x.astype(int) // 2 + y.astype(int) // 3) % 2 == 0, 235.0, 20.0)
    image[bar] = grating[bar][:, None]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def alpha(width: int, height: int) -> np.ndarray:
    """[h, w] u8: clear at the left, opaque at the right, with a hole."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    ramp = np.clip(255 * 1.3 * x / width - 20, 0, 255)
    ramp[(x - width * 0.7) ** 2 + (y - height * 0.4) ** 2 < (0.15 * height) ** 2] = 0
    return np.rint(ramp).astype(np.uint8)


def _rgb(seed: int, width: int, height: int) -> Image.Image:
    return Image.fromarray(scene(seed, width, height))


def write(folder: Path) -> List[Entry]:
    """Writes the pictures and lists them. `exact`: every decoder gives the same bytes (no JPEG does)."""
    folder.mkdir(parents=True, exist_ok=True)
    listed: List[Entry] = []

    def add(name: str, image: Image.Image, what: str, exact: bool, **options: object) -> None:
        image.save(folder / name, **options)
        listed.append({"file": name, "what": what, "size": list(image.size), "exact": exact})

    add("rgb.png", _rgb(1, 300, 220), "RGB, both edges odd after the resize", True)
    add("small.png", _rgb(2, 37, 29), "smaller than the crop: enlarged", True)
    add("wide.png", _rgb(3, 640, 90), "7 : 1, enlarged and cropped", True)
    grey = _rgb(4, 261, 403).convert("L")
    add("grey.png", grey, "8-bit grey, upright", True)
    low = np.arange(270, dtype=np.uint16)[None, :] % 256
    deep = np.asarray(_rgb(5, 270, 256).convert("L")).astype(np.uint16) * 256 + low
    add("grey16.png", Image.fromarray(deep), "16-bit grey: the high byte counts", True)
    rgba = np.dstack([scene(6, 280, 300), alpha(280, 300)])
    add("rgba.png", Image.fromarray(rgba), "transparency, on white", True)
    add("grey_alpha.png", Image.merge("LA", (_rgb(7, 256, 320).convert("L"), Image.fromarray(alpha(256, 320)))),
        "grey with transparency, on white", True)
    palette = _rgb(8, 310, 240).quantize(64, dither=Image.Dither.NONE)
    add("palette.png", palette, "palette of 64 colours, one of them transparent", True, transparency=5)
    add("webp.webp", _rgb(9, 256, 333), "lossless WebP", True, lossless=True)
    add("baseline.jpg", _rgb(10, 331, 257), "JPEG, chroma halved, odd edges", False, quality=90, subsampling=2)
    add("progressive.jpg", _rgb(11, 512, 384), "progressive JPEG, full chroma", False,
        quality=85, subsampling=0, progressive=True)
    add("grey.jpg", _rgb(12, 300, 300).convert("L"), "grey JPEG", False, quality=90)
    add("cmyk.jpg", _cmyk(13, 280, 300), "CMYK JPEG as Adobe writes it (inverted)", False, quality=92)
    for orientation in (3, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        add(f"orientation{orientation}.jpg", _rgb(14, 320, 200), f"EXIF orientation {orientation}", False,
            quality=90, exif=exif)
    return listed


def _cmyk(seed: int, width: int, height: int) -> Image.Image:
    inks = 255 - scene(seed, width, height)
    black = np.rint(inks.min(axis=2) * 0.7).astype(np.uint8)
    return Image.fromarray(np.dstack([inks, black]), mode="CMYK")
