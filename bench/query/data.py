"""Rows and queries with the shape of real ones: clusters, and a text side that follows the picture's, where it is there."""

from pathlib import Path
from typing import NamedTuple

import numpy as np


class Data(NamedTuple):
    """Rows of length 1 (zeros: no text), and pairs of queries."""

    image: np.ndarray
    text: np.ndarray
    query_image: np.ndarray
    query_text: np.ndarray
    image_file: Path
    text_file: Path
    joint_file: Path


def make(items: int, dimension: int, queries: int, folder: Path, seed: int = 7) -> Data:
    """Makes them from a seed, and writes the rows' files: image, text, and both beside each other, over √2."""
    random = np.random.default_rng(seed)
    clusters = max(16, items // 250)
    centres = {side: random.standard_normal((clusters, dimension), dtype=np.float32) for side in ("image", "text")}

    def vectors(side: str, members: np.ndarray, spread: float) -> np.ndarray:
        noise = random.standard_normal((len(members), dimension), dtype=np.float32)
        return unit(centres[side][members] + spread * noise)

    members = random.integers(0, clusters, items)
    image = vectors("image", members, 0.8)
    # A third of the texts is of another cluster, so that the two sides do not agree; a tenth is missing.
    others = np.where(random.random(items) < 1 / 3, random.integers(0, clusters, items), members)
    text = vectors("text", others, 0.8)
    text[random.random(items) < 0.1] = 0
    asked = random.integers(0, clusters, queries)
    query_image = vectors("image", asked, 0.9)
    query_text = vectors("text", np.where(random.random(queries) < 0.5, random.integers(0, clusters, queries), asked), 0.9)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.f32" for name in ("image", "text", "joint")]
    image.tofile(files[0])
    text.tofile(files[1])
    # The engine holds any length; our seam's rows are of length 1, or 1/√2 where a side is missing.
    (np.concatenate([image, text], axis=1) / np.sqrt(np.float32(2))).tofile(files[2])
    return Data(image, text, query_image, query_text, *files)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# Rows beyond the best whose order products of f32 may have wrong.
MARGIN = 64


def brute_force(data: Data, query: int, alpha: float, top_k: int) -> np.ndarray:
    """The right scores' rows, best first. At 1 rows are by picture alone; a missing text contributes 0.

    Products of f32 choose, those of f64 decide: two rows may be closer than f32 tells apart.
    """
    sides = [(weight, rows, asked[query]) for weight, rows, asked in
             ((alpha, data.image, data.query_image), (1 - alpha, data.text, data.query_text)) if weight]
    rough = sum(np.float32(weight) * (rows @ asked) for weight, rows, asked in sides)
    near = np.argpartition(-rough, top_k + MARGIN)[:top_k + MARGIN] if len(rough) > top_k + MARGIN else np.arange(len(rough))
    exact = sum(weight * (rows[near].astype(np.float64) @ asked.astype(np.float64)) for weight, rows, asked in sides)
    return near[np.lexsort((near, -exact))[:top_k]]
