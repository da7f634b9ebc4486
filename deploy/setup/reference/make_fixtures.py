"""Makes `crates/models/tests/fixtures/demo_pair`: what the original programs say of small pictures and of texts.

    python3 deploy/setup/models.py
    pip install -r deploy/setup/reference/requirements.txt
    python deploy/setup/reference/make_fixtures.py
"""

from __future__ import annotations

import json
import shutil

import numpy as np
from PIL import Image

import original
import sample_pictures

TARGET = original.REPO / "crates" / "models" / "tests" / "fixtures" / "demo_pair"

TEXTS = [
    "A cat.",
    "a photo of a dog",
    "The heart is enlarged. No pleural effusion or pneumothorax.",
    "Bibasilar atelectasis with small right-sided effusion; ET tube 3.2 cm above the carina (unchanged).",
    "  leading and   inner    spaces\tand\ttabs \n new lines ",
    "UPPER CASE AND lower case",
    "Crème brûlée à la carte, naïve façade, Ångström",
    "e\u0301 combining accents and \u212b compatibility letters",
    "가슴 엑스레이에서 폐렴이 보입니다.",
    "胸部X線写真 与 肺炎",
    "снимок грудной клетки",
    "🫁 🩻 👩‍⚕️ emoji with a joiner",
    "\u202eright-to-left mark\u202c and zero\u200bwidth\ufeffspaces",
    "control\u0000characters\u0007here\u001f.",
    "don't, won't; e-mail: a.b@example.org, 3.14159, #1, 50%, $5 & <tag> [CLS] [MASK] [SEP]",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "x" * 150,
    " ".join(["findings", "are", "stable"] * 120),
    " ".join(f"word{i}" for i in range(254)),
    "",
    " \t\n",
    ".",
]


def main() -> None:
    for folder in ("images", "pixels"):
        shutil.rmtree(TARGET / folder, ignore_errors=True)
        (TARGET / folder).mkdir(parents=True)
    _texts()
    _pictures()


def _texts() -> None:
    model = original.text_model()
    ids = [model.tokenize([text])["input_ids"][0].tolist() for text in TEXTS]
    entries = [{"text": text, "token_ids": row} for text, row in zip(TEXTS, ids)]
    (TARGET / "texts.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]\n")
    np.save(TARGET / "text_embeddings.npy", original.embed_texts(model, TEXTS))


def _pictures() -> None:
    entries = sample_pictures.write(TARGET / "images")
    (TARGET / "images.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]\n")
    pixels = np.stack([original.crop(original.open_rgb(TARGET / "images" / str(e["file"]))) for e in entries])
    for entry, crop in zip(entries, pixels):
        Image.fromarray(crop).save(TARGET / "pixels" / f"{entry['file']}.png", optimize=True)
    features, logits = original.features_and_logits(original.image_model(), pixels)
    np.save(TARGET / "image_features.npy", features)
    np.save(TARGET / "image_logits.npy", logits)
    np.save(TARGET / "image_embeddings.npy", original.project(logits))


if __name__ == "__main__":
    main()
