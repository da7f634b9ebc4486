"""Measures text-to-image recall of the demo's model on the demo's gallery, with the original programs.

    python3 deploy/setup/models.py && python3 deploy/setup/pictures.py
    python deploy/setup/reference/measure_recall.py
"""

from __future__ import annotations

import json

import numpy as np

import original

PICTURES = original.REPO / ".local" / "pictures" / "stamps"
TARGET = original.REPO / "crates" / "models" / "tests" / "fixtures" / "demo_pair" / "recall.json"


def main() -> None:
    gallery = json.loads((PICTURES / "gallery.json").read_text(encoding="utf-8"))
    texts = original.embed_texts(original.text_model(), [item["text"] for item in gallery])
    pixels = np.stack([original.crop(original.open_rgb(PICTURES / item["image"])) for item in gallery])
    _, logits = original.features_and_logits(original.image_model(), pixels)
    scores = texts @ original.project(logits).T
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    found = {f"text_r{k}": round(float((ranks <= k).mean()), 4) for k in (1, 5, 10)}
    found["median_rank"] = float(np.median(ranks))
    TARGET.write_text(json.dumps({"gallery": len(gallery), **found}, indent=2) + "\n")
    print(found)


if __name__ == "__main__":
    main()
