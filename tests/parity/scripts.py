"""Tiny TorchScript modules, called in each of the ways that a model.toml can say."""

import json
import random
from pathlib import Path
from typing import Dict, Tuple

import torch
from transformers import PreTrainedTokenizerFast

import models
import texts


class Both(torch.nn.Module):
    """A picture's patches through one map, and words' mean through another."""

    def __init__(self, vocabulary: int, dimension: int) -> None:
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 24, 8, stride=8)
        self.image = torch.nn.Linear(24, dimension)
        self.words = torch.nn.Embedding(vocabulary, 20)
        self.text = torch.nn.Linear(20, dimension)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.image(torch.tanh(self.patches(pixels)).flatten(2).max(2)[0])

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> Dict[str, torch.Tensor]:
        return {"other": pixels, "image_embeds": self.forward(pixels)}

    @torch.jit.export
    def encode_text(self, ids: torch.Tensor, mask: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        shown = mask.unsqueeze(-1).to(torch.float32)
        hidden = self.words(ids)
        return hidden, self.text(torch.tanh((hidden * shown).sum(1) / shown.sum(1)))


def torchscript(draw: random.Random, number: int) -> models.Case:
    """By turns: pictures by `forward`, texts, and both by methods of their own."""
    tokenizer = texts.word_piece(260)
    dimension, limit, edge = draw.choice([9, 16]), draw.choice([12, 20]), 32
    module = Both(tokenizer.get_vocab_size(), dimension)
    models.randomise(module)
    scripted = torch.jit.script(module)
    pictures, words = number % 3 != 1, number % 3 != 0

    def save(folder: Path) -> None:
        scripted.save(str(folder / "model.pt"))
        lines = ["version = 1", 'file = "model.pt"']
        if pictures:
            lines += ["[image]", f"dimension = {dimension}"]
            lines += ['method = "encode_image"', 'output = "image_embeds"'] if words else []
            models.preprocessor(folder, "ViTImageProcessor", edge, edge, draw, crop=False)
        if words:
            lines += ["[text]", f"dimension = {dimension}", 'method = "encode_text"', "output = 1",
                      f"max_tokens = {limit}", f"vocab_size = {tokenizer.get_vocab_size()}"]
            texts.save(tokenizer, folder, model_max_length=limit)
        (folder / "model.toml").write_text("\n".join(lines) + "\n")

    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)

    def encode(text: str, role: str) -> torch.Tensor:
        batch = models.tokens(fast, text, limit)
        return module.encode_text(batch["input_ids"], batch["attention_mask"])[1][0]

    return models.Case(save, module.forward if pictures else None, encode if words else None)
