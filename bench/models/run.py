#!/usr/bin/env python3
"""Images and texts a second of our encoders and of transformers', side by side in one run.

    bench/models/run.py [--device cpu|cuda] [--only NAME] [--threads 2] [--batch 8] [--seconds 5] [--rounds 5]

The same model folder (random weights at the published size), the same precision, batch and threads, inference mode; the
two take turns, round by round, so that other load on the machine meets both. Medians. Python is given ready pixel tensors;
ours starts from prepared 8-bit pictures. Texts are given as texts to both. Writes target/bench/models.json: an entry
"ARCHITECTURE/PRECISION" with `ours_per_s`, `python_per_s`, `ratio`, `spread` (of ours: largest to smallest round), and in
bf16 `ratio_to_python_f32`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
import transformers

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/parity"))
import models as parity  # noqa: E402
import texts  # noqa: E402

PROGRAM = REPOSITORY / "target/debug/examples/throughput"
FOLDERS = REPOSITORY / "target/bench/model-folders"
KINDS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
PICTURE = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3, "do_resize": True, "do_rescale": True,
           "rescale_factor": 1 / 255, "do_normalize": True, "do_center_crop": False}


class Model:
    """A model folder, and how transformers runs what is in it."""

    def __init__(self, make: Callable[[], Any], edge: int = 0, tokenizer: Any = None, limit: int = 64) -> None:
        self.make, self.edge, self.tokenizer, self.limit = make, edge, tokenizer, limit

    def write(self, folder: Path) -> None:
        if (folder / "config.json").exists():
            return
        torch.manual_seed(1)
        self.make().save_pretrained(folder)
        if self.edge:
            size = {"height": self.edge, "width": self.edge}
            (folder / "preprocessor_config.json").write_text(json.dumps({**PICTURE, "size": size}))
        if self.tokenizer is not None:
            texts.save(self.tokenizer(), folder, model_max_length=self.limit)

    def batches(self, folder: Path, batch: int, kind: torch.dtype, device: str) -> Callable[[int], None]:
        model = self.make().to(kind).to(device).eval()
        if self.edge:
            pixels = torch.rand(batch, 3, self.edge, self.edge).to(kind).to(device)
            call = getattr(model, "get_image_features", None) or model
            return lambda number: call(pixel_values=pixels)
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=self.tokenizer(), pad_token="[PAD]" if "BERT" in type(model).__name__.upper() and "XLM" not in type(model).__name__ else "<pad>")
        lines = sample()

        def call_texts(number: int) -> None:
            some = [lines[(number * batch + at) % len(lines)] for at in range(batch)]
            ready = tokenizer(some, padding=True, truncation=True, max_length=self.limit, return_tensors="pt").to(device)
            hidden = model(input_ids=ready["input_ids"], attention_mask=ready["attention_mask"]).last_hidden_state
            mask = ready["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            ((hidden * mask).sum(1) / mask.sum(1)).float().cpu()

        return call_texts


def sample() -> List[str]:
    import random
    draw = random.Random(5)
    return [" ".join(draw.choices(texts.WORDS, k=draw.randrange(4, 40))) for _ in range(512)]


def vit() -> Any:
    return transformers.ViTModel(transformers.ViTConfig(**BASE), add_pooling_layer=False)


def clip() -> Any:
    config = transformers.CLIPConfig(vision_config={**BASE, "patch_size": 32}, text_config={"vocab_size": 500})
    return transformers.CLIPModel(config)


def siglip() -> Any:
    text = {**BASE, "vocab_size": 400, "max_position_embeddings": 64}
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config={**BASE, "patch_size": 16}))


def siglip_so400m() -> Any:
    tower = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
    text = {**tower, "vocab_size": 400, "max_position_embeddings": 64}
    vision = {**tower, "image_size": 448, "patch_size": 14}
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))


def dinov2() -> Any:
    return transformers.Dinov2Model(transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=224))


def dinov2_with_registers() -> Any:
    config = transformers.Dinov2WithRegistersConfig(hidden_size=384, num_attention_heads=6, image_size=224, patch_size=14)
    return transformers.Dinov2WithRegistersModel(config)


def minilm() -> Any:
    small = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12}
    return transformers.BertModel(transformers.BertConfig(**small), add_pooling_layer=False)


def bert() -> Any:
    return transformers.BertModel(transformers.BertConfig(**BASE), add_pooling_layer=False)


def xlm_roberta() -> Any:
    config = transformers.XLMRobertaConfig(**BASE, vocab_size=5000, max_position_embeddings=514)
    return transformers.XLMRobertaModel(config, add_pooling_layer=False)


def embedding_gemma() -> Any:
    return transformers.Gemma3TextModel(transformers.Gemma3TextConfig(
        hidden_size=768, intermediate_size=1152, num_hidden_layers=24, num_attention_heads=3, num_key_value_heads=1,
        head_dim=256, vocab_size=5000, max_position_embeddings=2048, sliding_window=512, use_bidirectional_attention=True))


def piece(size: int) -> Callable[[], Any]:
    return lambda: texts.word_piece(size)


def unigram(special: List[str], template: str) -> Callable[[], Any]:
    return lambda: texts.unigram(400, special, template, lowercase=False)


MODELS = {
    "vit": Model(vit, edge=224),
    "clip": Model(clip, edge=224, tokenizer=lambda: texts.clip_bpe(480), limit=77),
    "siglip": Model(siglip, edge=224, tokenizer=unigram(["<pad>", "</s>", "<unk>"], "$A </s>")),
    "dinov2": Model(dinov2, edge=224),
    "dinov2_with_registers": Model(dinov2_with_registers, edge=224),
    "minilm": Model(minilm, tokenizer=piece(400), limit=256),
    "bert": Model(bert, tokenizer=piece(400), limit=256),
    "xlm-roberta": Model(xlm_roberta, tokenizer=unigram(["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>"), limit=256),
    "embeddinggemma": Model(embedding_gemma, tokenizer=unigram(["<pad>", "<eos>", "<bos>", "<unk>"], "<bos> $A <eos>"), limit=256),
}
LARGE = {"siglip-so400m": Model(siglip_so400m, edge=448, tokenizer=unigram(["<pad>", "</s>", "<unk>"], "$A </s>"))}


class Ours:
    """Our program, which does a round for each line that it is given."""

    def __init__(self, folder: Path, what: str, precision: str, options: Any) -> None:
        arguments = [str(PROGRAM), str(folder), what, precision, options.device, str(options.threads), str(options.batch),
                     str(options.seconds)]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def round(self) -> float:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def python_round(call: Callable[[int], None], options: Any) -> float:
    started, items, number = time.perf_counter(), 0, 0
    while time.perf_counter() - started < options.seconds:
        call(number)
        number += 1
        items += options.batch
    if options.device != "cpu":
        torch.cuda.synchronize()
    return items / (time.perf_counter() - started)


def measure(name: str, model: Model, precision: str, options: Any) -> Dict[str, Any]:
    folder = FOLDERS / name
    model.write(folder)
    lines = FOLDERS / "texts.txt"
    lines.write_text("\n".join(sample()) + "\n")
    ours = Ours(folder, "images" if model.edge else f"texts:{lines}", precision, options)
    with torch.inference_mode():
        call = model.batches(folder, options.batch, KINDS[precision], options.device)
        call(0)
        rounds = [(ours.round(), python_round(call, options)) for _ in range(options.rounds)]
    ours.end()
    mine, theirs = [pair[0] for pair in rounds], [pair[1] for pair in rounds]
    return {"ours_per_s": round(statistics.median(mine), 2), "python_per_s": round(statistics.median(theirs), 2),
            "ratio": round(statistics.median(a / b for a, b in rounds), 3),
            "spread": round(max(mine) / min(mine), 2), "what": "images" if model.edge else "texts",
            "threads": options.threads, "batch": options.batch, "device": options.device}


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", action="append")
    parser.add_argument("--precision", action="append", choices=sorted(KINDS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--report", type=Path, default=REPOSITORY / "target/bench/models.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    FOLDERS.mkdir(parents=True, exist_ok=True)
    chosen = {**MODELS, **LARGE} if options.device != "cpu" else MODELS
    report: Dict[str, Any] = {}
    for name, model in chosen.items():
        if options.only and name not in options.only:
            continue
        for precision in options.precision or ["f32", "bf16"]:
            entry = measure(name, model, precision, options)
            exact = report.get(f"{name}/f32")
            if exact and precision != "f32":
                entry["ratio_to_python_f32"] = round(entry["ours_per_s"] / exact["python_per_s"], 3)
            report[f"{name}/{precision}"] = entry
            print(f"{name}/{precision}: {json.dumps(entry)}", flush=True)
            options.report.parent.mkdir(parents=True, exist_ok=True)
            options.report.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
