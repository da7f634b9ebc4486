#!/usr/bin/env python3
"""Exports a model to TorchScript, as a folder that Sightline opens.

    export.py transformers-vision MODEL --out DIR     any image model of transformers (remote code with --trust-remote-code)
    export.py transformers-text MODEL --out DIR       any text model of transformers
    export.py biovil-t --out DIR [--weights FILE] [--joint]   BioViL-T's image encoder (package hi-ml-multimodal)

Writes model.pt, model.toml and the files that say how inputs are prepared, after the exported module gave what the model
itself gives: one by one and together, and texts of several lengths. Prints the SHA-256 that an operator puts on the list
of trusted modules. See docs/models.md.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import torch

# What any two correct f32 programs agree in.
LEAST_COSINE = 0.99999


class Vision(torch.nn.Module):
    """Pixels to one vector: the pooled output where the model has one, else the class token's."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        call = getattr(self.model, "get_image_features", None)
        output = call(pixel_values=pixels) if call is not None else self.model(pixel_values=pixels)
        if isinstance(output, torch.Tensor):
            return output
        pooled = getattr(output, "pooler_output", None)
        pooled = output.last_hidden_state[:, 0] if pooled is None else pooled
        return pooled.flatten(1)


class Text(torch.nn.Module):
    """Tokens to one vector: the mean over tokens, or what the model gives for a text."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        call = getattr(self.model, "get_text_features", None)
        output = call(input_ids=ids, attention_mask=mask) if call is not None else self.model(input_ids=ids, attention_mask=mask)
        if isinstance(output, torch.Tensor):
            return output
        if call is not None:
            return output.pooler_output
        shown = mask.unsqueeze(-1).to(output.last_hidden_state.dtype)
        return (output.last_hidden_state * shown).sum(1) / shown.sum(1)


class BioVil(torch.nn.Module):
    """BioViL-T's image encoder: its 512 features, or the 128 that it shares with its texts."""

    def __init__(self, model: Any, joint: bool) -> None:
        super().__init__()
        self.model, self.joint = model, joint

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        output = self.model(pixels)
        return output.projected_global_embedding if self.joint else output.img_embedding


def export(module: torch.nn.Module, inputs: List[Tuple[torch.Tensor, ...]], out: Path) -> int:
    """Traces on the first inputs, holds the result against the module on all, writes it, and gives the dimension."""
    module.eval()
    with torch.inference_mode(False), torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(module, inputs[0], check_trace=False))
        for some in inputs:
            expected, got = module(*some), traced(*some)
            if expected.shape != got.shape:
                raise SystemExit(f"the exported module gives {tuple(got.shape)} where the model gives {tuple(expected.shape)}")
            cosine = torch.nn.functional.cosine_similarity(expected, got).min().item()
            if not cosine >= LEAST_COSINE:
                raise SystemExit(f"the exported module differs from the model on inputs of {tuple(some[0].shape)}: cosine {cosine}")
    out.mkdir(parents=True, exist_ok=True)
    traced.save(str(out / "model.pt"))
    return int(expected.shape[1])


def manifest(out: Path, part: str, values: Dict[str, Any]) -> None:
    lines = ["version = 1", 'file = "model.pt"', "", f"[{part}]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    (out / "model.toml").write_text("\n".join(lines) + "\n")
    digest = hashlib.sha256((out / "model.pt").read_bytes()).hexdigest()
    print(f"{out / 'model.pt'}: SHA-256 {digest}")


def vision(options: Any) -> None:
    from transformers import AutoImageProcessor, AutoModel
    remote = {"trust_remote_code": options.trust_remote_code}
    processor = AutoImageProcessor.from_pretrained(options.model, **remote)
    processor.save_pretrained(options.out)
    size = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    size = size or processor.size
    edge = size.get("shortest_edge") if hasattr(size, "get") else None
    height, width = (size["height"], size["width"]) if not edge else (edge, edge)
    pixels = [(torch.rand(count, 3, height, width) * 2 - 1,) for count in (2, 1, 3)]
    model = AutoModel.from_pretrained(options.model, **remote)
    manifest(options.out, "image", {"dimension": export(Vision(model), pixels, options.out)})


def text(options: Any) -> None:
    from transformers import AutoModel, AutoTokenizer
    remote = {"trust_remote_code": options.trust_remote_code}
    tokenizer = AutoTokenizer.from_pretrained(options.model, **remote)
    tokenizer.save_pretrained(options.out)
    model = AutoModel.from_pretrained(options.model, **remote)
    limit = options.max_tokens or min(tokenizer.model_max_length, 512)
    vocabulary = model.get_input_embeddings().num_embeddings
    batches = []
    for lengths in ([7, 4], [3], [limit, 5, 1]):
        ids = torch.randint(0, min(len(tokenizer), vocabulary), (len(lengths), max(lengths)))
        mask = torch.tensor([[1] * length + [0] * (max(lengths) - length) for length in lengths])
        batches.append((ids, mask))
    dimension = export(Text(model), batches, options.out)
    manifest(options.out, "text", {"dimension": dimension, "max_tokens": limit, "vocab_size": vocabulary,
                                   "pad_token_id": tokenizer.pad_token_id or 0})


def biovil_t(options: Any) -> None:
    from health_multimodal.image.model.model import ImageModel
    model = ImageModel(img_encoder_type="resnet50_multi_image", joint_feature_size=128)
    if options.weights:
        model.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    pixels = [(torch.rand(count, 3, 448, 448),) for count in (2, 1, 3)]
    dimension = export(BioVil(model, options.joint), pixels, options.out)
    # Its transform: the shorter edge to 512, the middle 448 x 448, values of 0 to 1, grey in all three channels.
    (options.out / "preprocessor_config.json").write_text(json.dumps({
        "do_resize": True, "size": {"shortest_edge": 512}, "resample": 2, "do_center_crop": True,
        "crop_size": {"height": 448, "width": 448}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False},
        indent=2) + "\n")
    manifest(options.out, "image", {"dimension": dimension})


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[[Any], None], of_hub: bool) -> argparse.ArgumentParser:
        part = commands.add_parser(name)
        part.set_defaults(run=run)
        part.add_argument("--out", type=Path, required=True)
        if of_hub:
            part.add_argument("model", help="a folder, or a name on the Hugging Face Hub")
            part.add_argument("--trust-remote-code", action="store_true")
        return part

    command("transformers-vision", vision, True)
    command("transformers-text", text, True).add_argument("--max-tokens", type=int)
    bio = command("biovil-t", biovil_t, False)
    bio.add_argument("--weights", type=Path)
    bio.add_argument("--joint", action="store_true", help="the 128 values shared with texts, not the 512 of the image alone")
    options = parser.parse_args(arguments)
    torch.manual_seed(1)
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
