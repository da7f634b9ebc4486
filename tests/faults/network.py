"""The demo model's picture encoder once more, in numpy: what vectors are audited against.

It shares nothing with Sightline but the files of the model. Checked by `audit.py` against 50 rows of every run.
"""

import json
import struct
from pathlib import Path
from typing import Any, Dict

import numpy as np
from PIL import Image

_TYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def tensors(path: Path) -> Dict[str, Any]:
    """Every tensor of a safetensors file."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8:8 + size])
    found = {}
    for name, entry in head.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            values = np.frombuffer(data[8 + size + start:8 + size + end], dtype=_TYPES[entry["dtype"]])
            found[name] = values.reshape(entry["shape"])
    return found


class Network:
    """EfficientNet-Lite and the mixture of class embeddings above it."""

    def __init__(self, folder: Path) -> None:
        self._config = json.loads((folder / "config.json").read_text())
        self._pixels = json.loads((folder / "preprocessor_config.json").read_text())
        self._tensors = tensors(folder / "model.safetensors")
        projection = self._config["projection"]
        self._classes = tensors(folder / projection["file"])[projection["tensor"]].astype("f4")

    def embed(self, picture: Image.Image) -> Any:
        """The picture's vector, of length one."""
        x = np.clip(self._conv(self._prepare(picture), "_conv_stem", "_bn0", 2), 0, 6)
        number = 0
        for stage in self._config["stages"]:
            for repeat in range(stage["repeats"]):
                x = self._block(x, f"_blocks.{number}", stage, stage["stride"] if repeat == 0 else 1)
                number += 1
        features = np.clip(self._conv(x, "_conv_head", "_bn1", 1), 0, 6).mean(axis=(1, 2))
        logits = self._tensors["_fc.weight"] @ features + self._tensors["_fc.bias"]
        projection = self._config["projection"]
        likeliest = np.argsort(-logits, kind="stable")[:projection["top_classes"]]
        shares = np.exp((logits[likeliest] - logits[likeliest[0]]) / projection["temperature"])
        vector = (shares / shares.sum()) @ self._classes[likeliest]
        return vector / np.linalg.norm(vector)

    def _prepare(self, picture: Image.Image) -> Any:
        edge, crop = self._pixels["size"]["shortest_edge"], self._pixels["crop_size"]
        picture = picture.convert("RGB")
        width, height = picture.size
        size = (edge, int(edge * height / width)) if width <= height else (int(edge * width / height), edge)
        picture = picture.resize(size, Image.Resampling(self._pixels["resample"]))
        left, top = (size[0] - crop["width"]) // 2, (size[1] - crop["height"]) // 2
        picture = picture.crop((left, top, left + crop["width"], top + crop["height"]))
        values = np.asarray(picture, dtype="f4") * self._pixels["rescale_factor"]
        values = (values - np.array(self._pixels["image_mean"], "f4")) / np.array(self._pixels["image_std"], "f4")
        return np.ascontiguousarray(values.transpose(2, 0, 1), dtype="f4")

    def _block(self, x: Any, name: str, stage: Dict[str, Any], stride: int) -> Any:
        wide = x
        if stage["expand_ratio"] != 1:
            wide = np.clip(self._conv(x, f"{name}._expand_conv", f"{name}._bn0", 1), 0, 6)
        wide = np.clip(self._conv(wide, f"{name}._depthwise_conv", f"{name}._bn1", stride), 0, 6)
        out = self._conv(wide, f"{name}._project_conv", f"{name}._bn2", 1)
        return out + x if stride == 1 and out.shape == x.shape else out

    def _conv(self, x: Any, conv: str, norm: str, stride: int) -> Any:
        """A convolution, padded as TensorFlow's "same" does, and its normalisation."""
        weight = self._tensors[f"{conv}.weight"]
        kernel, size = weight.shape[2], x.shape[1]
        outputs = -(-size // stride)
        missing = max((outputs - 1) * stride + kernel - size, 0)
        x = np.pad(x, ((0, 0), (missing // 2, missing - missing // 2), (missing // 2, missing - missing // 2)))
        result = np.zeros((weight.shape[0], outputs, outputs), dtype="f4")
        for row in range(kernel):
            for column in range(kernel):
                reach = stride * (outputs - 1) + 1
                part = x[:, row:row + reach:stride, column:column + reach:stride]
                if weight.shape[1] == 1:
                    result += weight[:, 0, row, column, None, None] * part
                else:
                    result += (weight[:, :, row, column] @ part.reshape(len(part), -1)).reshape(result.shape)
        part = {name: self._tensors[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")}
        scale = part["weight"] / np.sqrt(part["running_var"] + self._config["batch_norm_eps"])
        shift = part["bias"] - part["running_mean"] * scale
        return result * scale[:, None, None] + shift[:, None, None]
