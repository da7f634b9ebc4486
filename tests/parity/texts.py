"""Texts of many kinds, and tiny tokenizers trained on them."""

import random
from pathlib import Path
from typing import Any, Dict, List

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = """The heart is enlarged and the lungs are clear. No pleural effusion or pneumothorax.
A red apple lies on a wooden table beside a green bottle, in the morning light.
심장 비대와 폐 부종이 보인다. 左下肺野に浸潤影を認める。
Cardiomégalie légère; épanchement pleural gauche, 0.5 cm. Größe unverändert.
Two dogs run over the beach while a child throws a ball into the sea!
Сердце увеличено, лёгкие чистые. Δεν υπάρχει συλλογή υγρού. 🙂 🫁 x-ray #42 (PA view)"""
WORDS = CORPUS.split()
ROLES = ["document", "query"]


def draw(rng: random.Random) -> List[Dict[str, str]]:
    """Texts from empty to longer than any limit here."""
    texts = ["", "apple", "A red apple.", "  spaces   everywhere\t\n ", "심장 비대", "🙂🫁 emoji", CORPUS.replace("\n", " ") * 2]
    texts += [" ".join(rng.choices(WORDS, k=rng.randrange(2, 30))) for _ in range(5)]
    return [{"text": text, "role": rng.choice(ROLES)} for text in texts]


def word_piece(size: int) -> Tokenizer:
    """As BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator([CORPUS], trainers.WordPieceTrainer(vocab_size=size, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def clip_bpe(size: int) -> Tokenizer:
    """As CLIP's: lower case, pieces of words, a mark at the end of each word."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    pattern = Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    trainer = trainers.BpeTrainer(vocab_size=size - 2, end_of_word_suffix="</w>",
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([CORPUS], trainer)
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("<|startoftext|>", "<|endoftext|>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<|startoftext|> $A <|endoftext|>", special_tokens=ends)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram(size: int, special: List[str], template: str, lowercase: bool) -> Tokenizer:
    """As SentencePiece's."""
    tokenizer = Tokenizer(models.Unigram())
    steps: List[Any] = [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps + ([normalizers.Lowercase()] if lowercase else []))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator([CORPUS], trainer)
    named = [(token, tokenizer.token_to_id(token)) for token in special if token in template]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=named)
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, **settings: Any) -> None:
    """tokenizer.json, and the configuration that goes with it."""
    import json
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings.setdefault("tokenizer_class", "PreTrainedTokenizerFast")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
