#!/usr/bin/env python3
"""Exports a model to TorchScript, as a folder that Sightline opens.

    export.py transformers-vision MODEL --out DIR     any image model of transformers (remote code with --trust-remote-code,
                                                      its way with pictures with --preprocessor FILE)
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
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch

# What any two correct f32 programs agree in.
LEAST_COSINE = 0.99999
# Share of a picture's values that two programs may prepare further apart than one step of 255.
MOST_OFF = 0.001


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


def preparation(processor: Any, given: Optional[Path], out: Path) -> Tuple[int, int]:
    """Writes how pictures are prepared, and gives height and width of what comes out.

    A processor of transformers itself is saved as it is. Of one that came with the model's code (jina-clip-v2), or of a
    file that is given, the written form has to make the same of pictures.
    """
    from transformers import AutoImageProcessor
    out.mkdir(parents=True, exist_ok=True)
    written = out / "preprocessor_config.json"
    if given is not None:
        written.write_text(given.read_text())
    elif type(processor).__module__.startswith("transformers."):
        processor.save_pretrained(out)
    else:
        written.write_text(json.dumps(described(processor), indent=2) + "\n")
    own = AutoImageProcessor.from_pretrained(out, backend="pil")
    if given is not None or not type(processor).__module__.startswith("transformers."):
        share = max(share_off(processor, own, picture) for picture in drawn())
        if share > MOST_OFF:
            raise SystemExit(f"{written} prepares pictures otherwise than the model's {type(processor).__name__} ({share:.2%} of "
                             "values are off): write one that does, and give it by --preprocessor FILE")
    made = own(images=drawn()[0], return_tensors="pt")["pixel_values"]
    return made.shape[2], made.shape[3]


def described(processor: Any) -> Dict[str, Any]:
    """A processor of a model's own code, by the names that such code gives to what it does."""
    def named(*names: str) -> Any:
        return next((value for name in names if (value := getattr(processor, name, None)) is not None), None)

    size, filters = named("size"), {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
    resample = named("resample", "interpolation")
    values = {"size": size, "resample": filters.get(resample, resample), "image_mean": named("image_mean", "mean"),
              "image_std": named("image_std", "std")}
    unknown = [name for name, value in values.items() if value is None]
    if unknown or not isinstance(size, int) or named("resize_mode") not in (None, "shortest"):
        raise SystemExit(f"the model's {type(processor).__name__} is code of its own, and {', '.join(unknown) or 'its resize'} cannot be "
                         "told: write a preprocessor_config.json that does the same, and give it by --preprocessor FILE")
    values["size"] = {"shortest_edge": size}
    crop = {"do_center_crop": True, "crop_size": {"height": size, "width": size}}
    return {"image_processor_type": "CLIPImageProcessor", **values, **crop}


def drawn() -> List[Any]:
    """Pictures of three shapes."""
    from PIL import Image
    draw = torch.Generator().manual_seed(1)
    pictures = []
    for height, width in [(70, 95), (120, 64), (600, 800)]:
        coarse = torch.randint(0, 256, (height // 5, width // 5, 3), generator=draw, dtype=torch.uint8)
        pictures.append(Image.fromarray(coarse.numpy()).resize((width, height), Image.Resampling.BICUBIC))
    return pictures


def share_off(original: Any, own: Any, picture: Any) -> float:
    expected, got = (torch.as_tensor(processor(images=picture, return_tensors="pt")["pixel_values"]).float()
                     for processor in (original, own))
    if expected.shape != got.shape:
        return 1.0
    step = 1 / 255 / torch.as_tensor(own.image_std).max() if own.do_normalize else 1 / 255
    return ((expected - got).abs() > step * 1.001).float().mean().item()


def vision(options: Any) -> None:
    from transformers import AutoImageProcessor, AutoModel
    remote = {"trust_remote_code": options.trust_remote_code}
    processor = AutoImageProcessor.from_pretrained(options.model, **remote)
    height, width = preparation(processor, options.preprocessor, options.out)
    pixels = [(torch.rand(count, 3, height, width) * 2 - 1,) for count in (2, 1, 3)]
    model = AutoModel.from_pretrained(options.model, **remote)
    manifest(options.out, "image", {"dimension": export(Vision(model), pixels, options.out)})


def vocabulary_size(model: Any, tokenizer: Any) -> int:
    """Tokens that have an embedding; a model of several parts may not say which of its tables is that of words."""
    try:
        return model.get_input_embeddings().num_embeddings
    except (NotImplementedError, AttributeError):
        part = getattr(model.config, "text_config", None) or model.config
        return getattr(part, "vocab_size", None) or len(tokenizer)


def text(options: Any) -> None:
    from transformers import AutoModel, AutoTokenizer
    remote = {"trust_remote_code": options.trust_remote_code}
    tokenizer = AutoTokenizer.from_pretrained(options.model, **remote)
    tokenizer.save_pretrained(options.out)
    model = AutoModel.from_pretrained(options.model, **remote)
    limit = options.max_tokens or min(tokenizer.model_max_length, 512)
    vocabulary = vocabulary_size(model, tokenizer)
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

    command("transformers-vision", vision, True).add_argument(
        "--preprocessor", type=Path, metavar="FILE", help="a preprocessor_config.json to write instead of the model's")
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
