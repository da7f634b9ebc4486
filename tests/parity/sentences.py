"""Tiny random text models as the package sentence-transformers saves and runs them itself, and CLIP as it does.

Vectors are those of its `encode_query` and `encode_document`, before its Normalize; that both agree is checked here.
"""

import json
import random
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
import transformers
from safetensors.torch import load_file, save_file

import models
import texts

# Marks of every family, written out in a text: some take no place, some end it.
MARKS = {"text": "<s> odd </s> <pad> <mask> b [SEP] x [PAD] <|endoftext|> y", "role": "document"}


def sentence_transformers(draw: random.Random, number: int) -> models.Case:
    """One of KINDS, by turns."""
    # Not in the environment of the other architectures.
    from sentence_transformers import SentenceTransformer
    made = tempfile.TemporaryDirectory()
    base, saved = Path(made.name, "base"), Path(made.name, "saved")
    base.mkdir()
    kind = KINDS[number % len(KINDS)]
    kind(draw, base).save_pretrained(str(saved), create_model_card=False)
    if kind is bert_old:
        make_old(saved)
    model = SentenceTransformer(str(saved), device="cpu", local_files_only=True)

    def pixels(values: torch.Tensor) -> torch.Tensor:
        return models.vectors(model[0].model.get_image_features(pixel_values=values))

    return models.Case(lambda folder: keep(made, saved, folder), pixels if kind is clip else None,
                       lambda text, role: encode(model, text, role), [] if kind is bert_old else [MARKS])


def keep(made: Any, saved: Path, folder: Path) -> None:
    for path in sorted(saved.rglob("*")):
        if path.is_file():
            to = folder / path.relative_to(saved)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
    made.cleanup()


def encode(model: Any, text: str, role: str) -> torch.Tensor:
    """What the modules before Normalize give; brought to length 1 it is what the package itself gives."""
    own = (model.encode_query if role == "query" else model.encode_document)(
        [text], convert_to_tensor=True, normalize_embeddings=True)[0]
    names = ["query"] if role == "query" else ["document", "passage", "corpus"]
    prompt = next((model.prompts[name] for name in names if model.prompts.get(name) is not None), "")
    features = model.preprocess([text], prompt=prompt or None)
    for module in model:
        if type(module).__name__ != "Normalize":
            features = module(features)
    raw = features["sentence_embedding"][0][:model.truncate_dim]
    same = torch.nn.functional.cosine_similarity(raw, own, dim=0).item()
    if not same > 0.999999:
        raise RuntimeError(f"{text!r} as {role}: the package gives another vector than its modules, cosine {same}")
    return raw


def network(base: Path, model: Any, tokenizer: Any, limit: int, **settings: Any) -> Any:
    """The package's Transformer over a network and its tokenizer."""
    from sentence_transformers.sentence_transformer.modules import Transformer
    models.randomise(model)
    model.save_pretrained(base)
    texts.save(tokenizer, base, model_max_length=limit, **settings)
    return Transformer(str(base))


def bert_network(draw: random.Random, base: Path, limit: int) -> Any:
    tokenizer = texts.word_piece(300)
    config = transformers.BertConfig(**models.tower(draw), vocab_size=tokenizer.get_vocab_size(),
                                     max_position_embeddings=limit)
    return network(base, transformers.BertModel(config), tokenizer, limit, tokenizer_class="BertTokenizer",
                   do_lower_case=True)


def assembled(modules: List[Any], **settings: Any) -> Any:
    from sentence_transformers import SentenceTransformer
    return SentenceTransformer(modules=modules, device="cpu", **settings)


def bert_cls(draw: random.Random, base: Path) -> Any:
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
    first = bert_network(draw, base, 24)
    return assembled([first, Pooling(first.get_embedding_dimension(), "cls"), Normalize()])


def roberta_dense(draw: random.Random, base: Path) -> Any:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
    tokenizer = texts.unigram(320, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s> $A </s>", lowercase=False)
    config = transformers.XLMRobertaConfig(**models.tower(draw), vocab_size=tokenizer.get_vocab_size(),
                                           type_vocab_size=1, max_position_embeddings=28)
    first = network(base, transformers.XLMRobertaModel(config), tokenizer, 26, pad_token="<pad>")
    width = first.get_embedding_dimension()
    return assembled([first, Pooling(width, "mean"), Dense(width, 21), Normalize()], truncate_dim=13,
                     prompts={"query": "query: ", "passage": "passage: "})


def bert_last(draw: random.Random, base: Path) -> Any:
    from sentence_transformers.sentence_transformer.modules import Pooling
    first = bert_network(draw, base, 30)
    first.max_seq_length = 11
    return assembled([first, Pooling(first.get_embedding_dimension(), "lasttoken")],
                     prompts={"query": "find ", "document": ""})


def gemma_two_dense(draw: random.Random, base: Path) -> Any:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
    tokenizer = texts.unigram(300, ["<pad>", "<eos>", "<bos>", "<unk>"], "<bos> $A <eos>", lowercase=False)
    config = transformers.Gemma3TextConfig(
        hidden_size=36, intermediate_size=24, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
        head_dim=8, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64, query_pre_attn_scalar=8,
        sliding_window=6, use_bidirectional_attention=True, layer_types=["sliding_attention", "full_attention"],
        pad_token_id=0, eos_token_id=1, bos_token_id=2)
    first = network(base, transformers.Gemma3TextModel(config), tokenizer, 48, pad_token="<pad>")
    linear = torch.nn.Identity()
    return assembled([first, Pooling(36, "mean"), Dense(36, 40, bias=False, activation_function=linear),
                      Dense(40, 19, bias=False, activation_function=linear), Normalize()],
                     prompts={"query": "task: search result | query: ", "document": "title: none | text: "})


def clip(draw: random.Random, base: Path) -> Any:
    """Without a Pooling, and with the file that transformers keeps both processors in."""
    from sentence_transformers import SentenceTransformer
    models.clip(draw, 1).save(base)
    return SentenceTransformer(str(base), device="cpu", local_files_only=True)


def bert_old(draw: random.Random, base: Path) -> Any:
    return bert_cls(draw, base)


KINDS: List[Callable[[random.Random, Path], Any]] = [bert_cls, roberta_dense, bert_last, gemma_two_dense, clip, bert_old]


def make_old(saved: Path) -> None:
    """As old folders are: names of before, texts cut on the left, lower case by the package alone."""
    weights = load_file(saved / "model.safetensors")
    for new, old in [("weight", "gamma"), ("bias", "beta")]:
        weights = {name.replace(f"LayerNorm.{new}", f"LayerNorm.{old}"): value for name, value in weights.items()}
    save_file({f"bert.{name}": value for name, value in weights.items()}, saved / "model.safetensors", {"format": "pt"})
    change(saved / "tokenizer_config.json", truncation_side="left", do_lower_case=False, model_max_length=17)
    change(saved / "1_Pooling/config.json", pooling_mode=None, pooling_mode_cls_token=False,
           pooling_mode_mean_sqrt_len_tokens=True)
    (saved / "sentence_bert_config.json").unlink()
    (saved / "sentence_roberta_config.json").write_text('{"max_seq_length": 14, "do_lower_case": true}\n')
    (saved / "config_sentence_transformers.json").write_text('{"prompts": {"query": null, "document": "doc: "}}\n')


def change(file: Path, **values: Any) -> None:
    """None removes a key."""
    config: Dict[str, Any] = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}, indent=1) + "\n")
