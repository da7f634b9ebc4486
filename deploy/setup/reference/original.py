"""The original programs behind the demo's model, and Pillow's preprocessing: what Sightline is compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List, Tuple

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageOps
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

REPO = Path(__file__).resolve().parents[3]
MODEL = REPO / ".local" / "models" / "sightline-demo"
OURS = REPO / "deploy" / "setup" / "model_demo"
# Sightline's own limit; Pillow's lower one would only warn.
MAX_PIXELS = 1 << 27
Image.MAX_IMAGE_PIXELS = None


def class_sentences() -> List[str]:
    """The class names as sentences of the form that captions have: 'An electric ray.'"""
    names = (OURS / "image" / "class_names.txt").read_text(encoding="utf-8").splitlines()
    return [f"{'An' if name[0].lower() in 'aeiou' else 'A'} {name}." for name in names]


def text_model() -> SentenceTransformer:
    """MiniLM: at most 256 tokens, mean over the tokens, length one."""
    return SentenceTransformer(str(MODEL / "text"), device="cpu")


def embed_texts(model: SentenceTransformer, texts: List[str]) -> np.ndarray:
    """One text at a time, so that no padding is in the reference."""
    return np.stack([model.encode(text, normalize_embeddings=True) for text in texts]).astype(np.float32)


def image_model() -> EfficientNet:
    """EfficientNet-Lite0 of the original package, with the weights of the model folder."""
    model = EfficientNet.from_name("efficientnet-lite0")
    weights = load_file(MODEL / "image" / "model.safetensors")
    state = {name: torch.from_numpy(value.copy()) for name, value in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unexpected)
    if wrong:
        raise SystemExit(f"the model folder's weights do not fit the original program: {wrong[:5]}")
    return model.eval()


def open_rgb(path: Path) -> Image.Image:
    """A picture as eight-bit RGB: EXIF orientation applied, 16 bits by their high byte, transparency on white."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")
    return image.convert("RGB")


def crop(image: Image.Image) -> np.ndarray:
    """[224, 224, 3] u8: the shorter edge to 256 (bicubic, antialiased), the middle 224 x 224 of that."""
    width, height = image.size
    short = 256
    size = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    resized = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))


def normalise(pixels: np.ndarray) -> torch.Tensor:
    """[n, 224, 224, 3] u8 to [n, 3, 224, 224] f32, as the network was trained: (x - 127) / 128."""
    return ((torch.from_numpy(pixels).float() - 127.0) / 128.0).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def features_and_logits(model: EfficientNet, pixels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The 1280 pooled features and the 1000 logits, a picture at a time."""
    features, logits = [], []
    for one in pixels:
        pooled = model.extract_features(normalise(one[None])).mean(dim=(2, 3))
        features.append(pooled.numpy()[0])
        logits.append(model(normalise(one[None])).numpy()[0])
    return np.stack(features).astype(np.float32), np.stack(logits).astype(np.float32)


def project(logits: np.ndarray) -> np.ndarray:
    """Logits to text space: the likeliest classes' embeddings, weighted by probability, to length one."""
    head = json.loads((OURS / "image" / "config.json").read_text())["projection"]
    table = load_file(OURS / "image" / head["file"])[head["tensor"]].astype(np.float32)
    rows = []
    for row in torch.from_numpy(logits):
        top, classes = (row / head["temperature"]).topk(head["top_classes"])
        rows.append(torch.softmax(top, dim=0) @ torch.from_numpy(table[classes.numpy()]))
    return torch.nn.functional.normalize(torch.stack(rows), dim=1).numpy()
