"""Tiny random models of each architecture, as the Hub lays them out, and how transformers runs them."""

import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoImageProcessor, PreTrainedTokenizerFast

import texts

ACTIVATIONS = ["gelu", "quick_gelu", "relu", "gelu_pytorch_tanh", "silu", "gelu_new"]


@dataclass
class Case:
    """One model: how it is saved, and what it makes of pictures and texts."""
    save: Callable[[Path], None]
    encode_pixels: Optional[Callable[[torch.Tensor], torch.Tensor]] = None
    encode_texts: Optional[Callable[[str, str], torch.Tensor]] = None
    more_texts: List[Dict[str, str]] = field(default_factory=list)

    def pixels(self, folder: Path, gallery: List[Any]) -> torch.Tensor:
        # Pillow's processor is the reference, whichever the configuration names.
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        return torch.cat([processor(images=picture, return_tensors="pt")["pixel_values"] for picture in gallery])


def randomise(model: torch.nn.Module) -> None:
    """Weights of a trained model's size: as they are drawn at first, all inputs have nearly one vector."""
    model.eval()
    for name, weight in model.named_parameters():
        with torch.no_grad():
            if name.endswith("bias"):
                weight.normal_(0, 0.2)
            elif "norm" in name.lower() and "layers" not in name.split(".")[-2:-1]:
                weight.normal_(1 if not _is_gemma(model) else 0, 0.2)
            elif any(part in name for part in ("word_embeddings", "token_embedding", "embed_tokens")):
                weight.normal_(0, 1.5)
            elif "lambda" in name:
                weight.uniform_(0.3, 1.0)
            elif weight.dim() >= 2 and "embedding" not in name and "token" not in name and "probe" not in name:
                weight.normal_(0, 1.2 / math.sqrt(weight[0].numel()))
            elif weight.dim() >= 1:
                weight.normal_(0, 0.7)


def _is_gemma(model: torch.nn.Module) -> bool:
    return "Gemma" in type(model).__name__


def save_model(model: Any, folder: Path, draw: random.Random, strip: bool) -> None:
    """Whole or in parts; with a configuration that leaves out what is usual, as many published ones do."""
    model.save_pretrained(folder, max_shard_size="30KB" if draw.random() < 0.3 else "1GB")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if strip:
        usual = type(model.config)().to_dict()
        config = without_usual(config, usual)
    path.write_text(json.dumps(config, indent=1) + "\n")


def without_usual(config: Dict[str, Any], usual: Dict[str, Any]) -> Dict[str, Any]:
    kept = {}
    for key, value in config.items():
        if isinstance(value, dict) and isinstance(usual.get(key), dict):
            kept[key] = without_usual(value, usual[key])
        elif key == "model_type" or usual.get(key, object()) != value:
            kept[key] = value
    return kept


def preprocessor(folder: Path, kind: str, height: int, width: int, draw: random.Random, **settings: Any) -> None:
    """Shortest edge and crop for square inputs at random, else exactly the size."""
    config: Dict[str, Any] = {
        "image_processor_type": kind, "do_resize": True, "resample": draw.choice([1, 2, 3]), "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "do_convert_rgb": True,
        "image_mean": [round(draw.uniform(0.3, 0.6), 4) for _ in range(3)],
        "image_std": [round(draw.uniform(0.2, 0.6), 4) for _ in range(3)],
    }
    if settings.pop("crop", True) and height == width and draw.random() < 0.6:
        config |= {"size": {"shortest_edge": height + draw.randrange(0, 9)}, "do_center_crop": True,
                   "crop_size": {"height": height, "width": width}}
    else:
        config |= {"size": {"height": height, "width": width}, "do_center_crop": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(config | settings, indent=1) + "\n")


def tower(draw: random.Random) -> Dict[str, Any]:
    heads = draw.choice([1, 2, 3, 4])
    return {"hidden_size": heads * draw.choice([6, 8, 12]), "intermediate_size": draw.choice([20, 37, 48]),
            "num_hidden_layers": draw.choice([1, 2, 3]), "num_attention_heads": heads,
            "hidden_act": draw.choice(ACTIVATIONS), "layer_norm_eps": draw.choice([1e-5, 1e-6, 1e-12])}


def tokens(tokenizer: PreTrainedTokenizerFast, text: str, limit: int, full: bool = False) -> Dict[str, torch.Tensor]:
    padding = "max_length" if full else False
    return tokenizer(text, truncation=True, max_length=limit, padding=padding, return_tensors="pt")


def clip(draw: random.Random, number: int) -> Case:
    edge, patch = draw.choice([(32, 8), (30, 10), (28, 7), (33, 8)])
    legacy = number % 2 == 0
    tokenizer = texts.clip_bpe(400)
    end = tokenizer.token_to_id("<|endoftext|>")
    limit = draw.choice([12, 20, 31])
    text = tower(draw) | {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": limit, "pad_token_id": end,
                          "bos_token_id": end - 1, "eos_token_id": 2 if legacy else end}
    vision = tower(draw) | {"image_size": edge, "patch_size": patch}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=draw.choice([16, 27]))
    model = transformers.CLIPModel(config)
    randomise(model)

    def save(folder: Path) -> None:
        save_model(model, folder, draw, strip=number % 3 == 1)
        preprocessor(folder, "CLIPImageProcessor", edge, edge, draw)
        texts.save(tokenizer, folder, model_max_length=limit, pad_token="<|endoftext|>", eos_token="<|endoftext|>")

    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|endoftext|>")

    def encode(text: str, role: str) -> torch.Tensor:
        return vectors(model.get_text_features(input_ids=tokens(fast, text, limit)["input_ids"]))[0]

    return Case(save, lambda pixels: vectors(model.get_image_features(pixel_values=pixels)), encode)


def vectors(output: Any) -> torch.Tensor:
    """transformers 5 wraps what it gave bare before."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def siglip(draw: random.Random, number: int) -> Case:
    return _siglip(draw, number, texts.unigram(300, ["<pad>", "</s>", "<unk>"], "$A </s>", lowercase=True), "</s>")


def siglip2(draw: random.Random, number: int) -> Case:
    tokenizer = texts.unigram(350, ["<pad>", "<eos>", "<bos>", "<unk>"], "$A <eos>", lowercase=True)
    return _siglip(draw, number, tokenizer, "<pad>")


def _siglip(draw: random.Random, number: int, tokenizer: Any, pad: str) -> Case:
    edge, patch = draw.choice([(32, 8), (30, 10), (28, 14), (35, 8)])
    limit = draw.choice([10, 16, 24])
    text, vision = tower(draw), tower(draw)
    text |= {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": limit,
             "projection_size": vision["hidden_size"], "pad_token_id": tokenizer.token_to_id(pad),
             "bos_token_id": 1, "eos_token_id": 1}
    config = transformers.SiglipConfig(text_config=text, vision_config=vision | {"image_size": edge, "patch_size": patch})
    model = transformers.SiglipModel(config)
    randomise(model)

    def save(folder: Path) -> None:
        save_model(model, folder, draw, strip=number % 3 == 1)
        preprocessor(folder, "SiglipImageProcessor", edge, edge, draw, crop=False)
        texts.save(tokenizer, folder, model_max_length=limit, pad_token=pad)

    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad)

    def encode(text: str, role: str) -> torch.Tensor:
        return vectors(model.get_text_features(input_ids=tokens(fast, text, limit, full=True)["input_ids"]))[0]

    return Case(save, lambda pixels: vectors(model.get_image_features(pixel_values=pixels)), encode)


def vit(draw: random.Random, number: int) -> Case:
    image, patch = draw.choice([((32, 32), 8), ((24, 40), 8), ((30, 20), (10, 5)), ((28, 28), 7)])
    config = transformers.ViTConfig(**tower(draw), image_size=image if image[0] != image[1] else image[0],
                                    patch_size=patch, qkv_bias=draw.random() < 0.5)
    model = transformers.ViTModel(config, add_pooling_layer=number % 2 == 0)
    randomise(model)

    def save(folder: Path) -> None:
        save_model(model, folder, draw, strip=number % 3 == 1)
        preprocessor(folder, "ViTImageProcessor", *image, draw, crop=False)

    return Case(save, lambda pixels: model(pixel_values=pixels).last_hidden_state[:, 0])


def dinov2(draw: random.Random, number: int) -> Case:
    return _dinov2(draw, number, transformers.Dinov2Config, transformers.Dinov2Model, {})


def dinov2_with_registers(draw: random.Random, number: int) -> Case:
    registers = {"num_register_tokens": draw.choice([1, 4])}
    return _dinov2(draw, number, transformers.Dinov2WithRegistersConfig, transformers.Dinov2WithRegistersModel, registers)


def _dinov2(draw: random.Random, number: int, config_class: Any, model_class: Any, more: Dict[str, Any]) -> Case:
    # The table is made for another size than the pictures have, as in the published models.
    trained, crop, patch = draw.choice([(42, 28, 7), (32, 32, 8), (40, 24, 8), (28, 42, 14)])
    settings = tower(draw)
    settings.pop("intermediate_size")
    config = config_class(**settings, image_size=trained, patch_size=patch, mlp_ratio=draw.choice([2, 4]),
                          use_swiglu_ffn=number % 2 == 1, qkv_bias=draw.random() < 0.7, **more)
    model = model_class(config)
    randomise(model)

    def save(folder: Path) -> None:
        save_model(model, folder, draw, strip=number % 3 == 1)
        preprocessor(folder, "BitImageProcessor", crop, crop, draw, size={"shortest_edge": crop + 5}, do_center_crop=True,
                     crop_size={"height": crop, "width": crop})

    return Case(save, lambda pixels: model(pixel_values=pixels).last_hidden_state[:, 0])


def sentence_transformer(folder: Path, draw: random.Random, pooling: str, width: int, limit: int,
                         prompts: Dict[str, str], dense: List[torch.nn.Linear]) -> None:
    """modules.json and what it names."""
    kind = "sentence_transformers.models."
    modules = [{"idx": 0, "name": "0", "path": "", "type": kind + "Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": kind + "Pooling"}]
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{mode}": mode == pooling for mode in
             ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "lasttoken"]}
    pooling_config = {"word_embedding_dimension": width, **modes, "include_prompt": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling_config, indent=1) + "\n")
    for number, layer in enumerate(dense, start=2):
        place = folder / f"{number}_Dense"
        place.mkdir()
        activation = "torch.nn.modules.linear.Identity" if number % 2 == 0 else "torch.nn.modules.activation.Tanh"
        place.joinpath("config.json").write_text(json.dumps({
            "in_features": layer.in_features, "out_features": layer.out_features, "bias": layer.bias is not None,
            "activation_function": activation}) + "\n")
        state = {f"linear.{name}": weight.detach().clone() for name, weight in layer.named_parameters()}
        save_file(state, place / "model.safetensors")
        modules.append({"idx": number, "name": str(number), "path": place.name, "type": kind + "Dense"})
    modules.append({"idx": len(modules), "name": "n", "path": f"{len(modules)}_Normalize", "type": kind + "Normalize"})
    (folder / "modules.json").write_text(json.dumps(modules, indent=1) + "\n")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": limit, "do_lower_case": False}) + "\n")
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}) + "\n")


def pooled(hidden: torch.Tensor, pooling: str) -> torch.Tensor:
    """[tokens, width] to [width]: one text, without padding."""
    if pooling == "cls_token":
        return hidden[0]
    if pooling == "lasttoken":
        return hidden[-1]
    if pooling == "max_tokens":
        return hidden.max(dim=0).values
    if pooling == "mean_sqrt_len_tokens":
        return hidden.sum(dim=0) / math.sqrt(len(hidden))
    return hidden.mean(dim=0)


def text_only(draw: random.Random, number: int, model: Any, tokenizer: Any, width: int, limit: int, strip: bool,
              dense_widths: List[int]) -> Case:
    """A text encoder: plain, or laid out by sentence-transformers."""
    randomise(model)
    plain = number == 0 and not dense_widths
    pooling = "mean_tokens" if plain else ["mean_tokens", "cls_token", "lasttoken", "max_tokens", "mean_sqrt_len_tokens"][number % 5]
    prompts = {} if plain or number % 2 == 0 else {"query": "query: ", "document": "passage: "}
    dense = [torch.nn.Linear(a, b, bias=draw.random() < 0.5) for a, b in zip([width, *dense_widths], dense_widths)]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)

    def save(folder: Path) -> None:
        save_model(model, folder, draw, strip)
        texts.save(tokenizer, folder, model_max_length=limit)
        if not plain:
            sentence_transformer(folder, draw, pooling, width, limit, prompts, dense)

    def encode(text: str, role: str) -> torch.Tensor:
        batch = tokens(fast, prompts.get(role, "") + text, limit)
        hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[0]
        vector = pooled(hidden, pooling)
        for place, layer in enumerate(dense, start=2):
            vector = layer(vector)
            vector = vector if place % 2 == 0 else torch.tanh(vector)
        return vector

    return Case(save, None, encode)


def bert(draw: random.Random, number: int) -> Case:
    tokenizer = texts.word_piece(300)
    settings, limit = tower(draw), draw.choice([16, 24, 40])
    config = transformers.BertConfig(**settings, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=limit,
                                     type_vocab_size=draw.choice([1, 2]))
    model = transformers.BertModel(config, add_pooling_layer=number % 2 == 0)
    return text_only(draw, number, model, tokenizer, settings["hidden_size"], limit, number % 3 == 1,
                     [19] if number == 2 else [])


def xlm_roberta(draw: random.Random, number: int) -> Case:
    tokenizer = texts.unigram(320, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s> $A </s>", lowercase=False)
    settings, limit = tower(draw), draw.choice([18, 26])
    config = transformers.XLMRobertaConfig(**settings, vocab_size=tokenizer.get_vocab_size(), type_vocab_size=1,
                                           max_position_embeddings=limit + 2)
    model = transformers.XLMRobertaModel(config, add_pooling_layer=number % 2 == 1)
    return text_only(draw, number, model, tokenizer, settings["hidden_size"], limit, number % 3 == 1, [])


def embedding_gemma(draw: random.Random, number: int) -> Case:
    tokenizer = texts.unigram(300, ["<pad>", "<eos>", "<bos>", "<unk>"], "<bos> $A <eos>", lowercase=False)
    heads = draw.choice([2, 4, 6])
    width, limit = heads * draw.choice([8, 12]), 48
    config = transformers.Gemma3TextConfig(
        hidden_size=width, intermediate_size=draw.choice([24, 40]), num_hidden_layers=draw.choice([2, 4]),
        num_attention_heads=heads, num_key_value_heads=draw.choice([1, 2]), head_dim=draw.choice([8, 16]),
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64, query_pre_attn_scalar=draw.choice([8, 16, 24]),
        sliding_window=draw.choice([6, 12, 512]), use_bidirectional_attention=True, _sliding_window_pattern=2,
        layer_types=None, pad_token_id=0, eos_token_id=1, bos_token_id=2)
    model = transformers.Gemma3TextModel(config)
    # The first map has no activation, the second one has.
    return text_only(draw, number, model, tokenizer, width, limit, number % 3 == 1, [40, 21] if number % 2 == 0 else [33])
