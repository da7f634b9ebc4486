#!/usr/bin/env python3
"""The tool on a model of remote code, made here as jina-clip-v2 is: a dual encoder with modules of its own for network and
pictures. Both halves are exported, joined to a pair, and give `sightline embed` what the model gives.

    SIGHTLINE=target/debug/sightline .local/venv-torch/bin/python tools/export_torchscript/test_export.py
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import List

# Where transformers copies a model's code to: not the user's.
CODE = tempfile.TemporaryDirectory()
os.environ["HF_MODULES_CACHE"] = CODE.name

import numpy  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/parity"))
import texts  # noqa: E402

NETWORK = '''
import torch
from transformers import PretrainedConfig, PreTrainedModel


class OwnConfig(PretrainedConfig):
    model_type = "own_clip"

    def __init__(self, vocabulary=300, width=20, dimension=12, **rest):
        self.vocabulary, self.width, self.dimension = vocabulary, width, dimension
        super().__init__(**rest)


class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.words = torch.nn.Embedding(config.vocabulary, config.width)
        self.mix = torch.nn.GRU(config.width, config.width, batch_first=True)
        self.text = torch.nn.Linear(config.width, config.dimension)
        self.patches = torch.nn.Conv2d(3, config.width, 8, stride=8)
        self.image = torch.nn.Linear(config.width, config.dimension)
        self.post_init()

    def get_text_features(self, input_ids, attention_mask=None):
        shown = attention_mask.unsqueeze(-1).to(torch.float32)
        hidden = self.mix(self.words(input_ids))[0]
        return self.text((hidden * shown).sum(1) / shown.sum(1))

    def get_image_features(self, pixel_values):
        return self.image(torch.tanh(self.patches(pixel_values)).flatten(2).amax(2))
'''

PICTURES = '''
import numpy, torch
from PIL import Image
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature


class OwnImageProcessor(BaseImageProcessor):
    model_input_names = ["pixel_values"]

    def __init__(self, size=32, mean=None, std=None, resize_mode="shortest", interpolation="bicubic", fill_color=0, **rest):
        super().__init__(**rest)
        self.size, self.mean, self.std = size, mean, std
        self.resize_mode, self.interpolation, self.fill_color = resize_mode, interpolation, fill_color

    def preprocess(self, images, return_tensors=None, **rest):
        images = images if isinstance(images, list) else [images]
        made = []
        for image in images:
            image = image.convert("RGB")
            share = self.size / min(image.size)
            width, height = (int(edge * share) for edge in image.size)
            if width < height:
                width = self.size
            else:
                height = self.size
            image = image.resize((width, height), Image.Resampling.BICUBIC)
            left, top = (width - self.size) // 2, (height - self.size) // 2
            image = image.crop((left, top, left + self.size, top + self.size))
            values = numpy.asarray(image).astype(numpy.float32) / 255
            values = (values - numpy.array(self.mean, numpy.float32)) / numpy.array(self.std, numpy.float32)
            made.append(torch.from_numpy(values.transpose(2, 0, 1).copy()))
        return BatchFeature({"pixel_values": torch.stack(made)}, tensor_type=None)
'''


def make(folder: Path) -> None:
    """The folder as the Hub would have it."""
    folder.mkdir()
    (folder / "modeling_own.py").write_text(NETWORK)
    (folder / "pictures_own.py").write_text(PICTURES)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "own_clip", "auto_map": {"AutoConfig": "modeling_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}}))
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "auto_map": {"AutoImageProcessor": "pictures_own.OwnImageProcessor"}, "image_processor_type": "OwnImageProcessor",
        "size": 32, "resize_mode": "shortest", "interpolation": "bicubic", "fill_color": 0,
        "mean": [0.48, 0.45, 0.4], "std": [0.26, 0.25, 0.27]}))
    tokenizer = texts.word_piece(300)
    texts.save(tokenizer, folder, model_max_length=24, pad_token="[PAD]")
    torch.manual_seed(3)
    model = AutoModel.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=True), trust_remote_code=True)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, 0, 0.5)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors",
              metadata={"format": "pt"})


class RemoteCode(unittest.TestCase):
    def run_program(self, *command: object) -> str:
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_both_halves_give_what_the_model_gives(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        place = Path(scratch.name)
        model = place / "own"
        make(model)
        digests: List[str] = []
        for half, command in [("image", "transformers-vision"), ("text", "transformers-text")]:
            said = self.run_program(sys.executable, HERE / "export.py", command, model, "--trust-remote-code", "--out",
                                    place / "pair" / half)
            digests.append(said.strip().rsplit(" ", 1)[1])
        (place / "pair/config.json").write_text(json.dumps(
            {"model_type": "sightline_pair", "image": "image", "text": "text", "embedding_dim": 12}))
        (place / "pictures").mkdir()
        draw = numpy.random.default_rng(5)
        for number, (width, height) in enumerate([(60, 40), (33, 90), (32, 32)]):
            rows = draw.integers(0, 256, (height // 4, width // 4, 3), dtype=numpy.uint8)
            Image.fromarray(rows).resize((width, height)).save(place / f"pictures/{number}.png")
        lines = ["apple", "A red apple lies on a table.", "", texts.CORPUS.replace("\n", " ")]
        (place / "lines.txt").write_text("".join(f"{line}\n" for line in lines))
        trust = [part for digest in digests for part in ("--trust-torchscript", digest)]
        sightline = [os.environ["SIGHTLINE"], "embed", "--model", place / "pair", "--raw", *trust]
        self.run_program(*sightline, "--images", place / "pictures", "--out", place / "images.npy")
        self.run_program(*sightline, "--texts", place / "lines.txt", "--out", place / "texts.npy")

        own = AutoModel.from_pretrained(model, trust_remote_code=True).eval()
        processor = AutoImageProcessor.from_pretrained(model, trust_remote_code=True)
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=True)
        with torch.inference_mode():
            opened = [Image.open(path) for path in sorted((place / "pictures").iterdir())]
            images = own.get_image_features(processor(images=opened)["pixel_values"])
            words = []
            for line in lines:
                tokens = tokenizer(line, truncation=True, return_tensors="pt")
                words.append(own.get_text_features(tokens["input_ids"], tokens["attention_mask"])[0])
        for name, expected in [("images", images), ("texts", torch.stack(words))]:
            got = torch.from_numpy(numpy.load(place / f"{name}.npy"))
            worst = torch.nn.functional.cosine_similarity(expected, got).min().item()
            self.assertGreater(worst, 0.99999, name)


if __name__ == "__main__":
    unittest.main()
