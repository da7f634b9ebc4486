"""Makes crates/models/tests/fixtures/tokenizers: small tokenizers in the forms of before tokenizer.json, and the ids
that transformers gives for texts of many kinds.

Needs transformers, sentencepiece and protobuf. Run: python make_tokenizers.py FOLDER
"""

import io
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

import sentencepiece
from texts import CORPUS, clip_bpe, word_piece
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (BertTokenizer, CLIPTokenizer, GemmaTokenizer, RobertaTokenizer, SiglipTokenizer,
                          XLMRobertaTokenizer)

TEXTS = [
    "", " ", "\t\n\r ", "apple", "A red apple.", "  leading and trailing  ", "two  spaces   here", "tab\tand\nline",
    "심장 비대와 폐 부종", "左下肺野に浸潤影を認める。", "心脏 enlarged 肺", "カﾞﾞ ﾊﾝｶｸ ＦＵＬＬ　ＷＩＤＴＨ", "ﬁne ﬀ ligatures ½ ² ™",
    "Cardiomégalie Cardiome\u0301galie e\u0301\u0327 a\u0300\u0301\u0302\u0303", "Größe GRÖẞE straße İstanbul ΟΔΟΣ Σ",
    "🙂 🫁 x-ray", "👩🏽‍⚕️👨‍👩‍👧‍👦 flags 🇩🇪🇯🇵", "zero\u200bwidth\u200djoin\ufeffmark soft\u00adhyphen nbsp\u00a0here \u3000wide",
    "control \u0001\u0007\u001c\u001f\u0085 signs \u0000 null \ufffd", "don't we'll I'VE they'd it's", "x-ray #42 (PA view), 0.5 cm; 1,234.56!",
    "!!! ... ???", "▁under▁line ▁", "snake_case camelCase http://a.b/c?d=e&f=g", "العربية עברית हिन्दी ไทย", "Сердце увеличено Δεν",
    "a" * 300, "word " * 100, CORPUS, "\U0001d54f mathematical \u212b \u2126", "mixed漢字かなカナabc123",
]


def sentence_piece(folder: Path, name: str, **settings: Any) -> Path:
    """Trains one on the corpus."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.splitlines() * 20), model_writer=model, minloglevel=2, hard_vocab_limit=False, **settings)
    path = folder / name
    path.write_bytes(model.getvalue())
    return path


def ids(tokenizer: Any) -> List[List[int]]:
    """What the original gives."""
    return [tokenizer(text)["input_ids"] for text in TEXTS]


def open_as(kind: Any, files: List[Path], **settings: Any) -> Any:
    """The original, from a folder that holds those files alone."""
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            shutil.copy(file, folder)
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind.__name__, **settings}))
        return kind.from_pretrained(folder)


def byte_bpe(folder: Path) -> List[Path]:
    """As RoBERTa's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator([CORPUS], trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return [Path(path) for path in tokenizer.model.save(str(folder))]


def clip(folder: Path) -> List[Path]:
    """CLIP's, its marks in the vocabulary as in the original's."""
    whole = json.loads(clip_bpe(700).to_str())
    vocab = whole["model"]["vocab"]
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab.setdefault(token, len(vocab))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in whole["model"]["merges"]]
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    return [folder / "vocab.json", folder / "merges.txt"]


def main() -> None:
    """Writes the files, and one expected.json for all."""
    root = Path(sys.argv[1])
    for name in ("clip", "roberta"):
        (root / name).mkdir(parents=True, exist_ok=True)
    unigram = sentence_piece(root, "unigram.model", model_type="unigram", vocab_size=320, normalization_rule_name="nmt_nfkc")
    bpe = sentence_piece(
        root, "bpe.model", model_type="bpe", vocab_size=560, normalization_rule_name="identity", byte_fallback=True,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
        add_dummy_prefix=False, remove_extra_whitespaces=False, split_digits=True, user_defined_symbols=["<mask>", "\n\n"])
    words = root / "vocab.txt"
    tokens = sorted(word_piece(400).get_vocab().items(), key=lambda item: item[1])
    words.write_text("".join(f"{token}\n" for token, _ in tokens))
    expected: Dict[str, Any] = {
        "xlm_roberta": ids(open_as(XLMRobertaTokenizer, [unigram.rename(root / "sentencepiece.bpe.model")])),
        "gemma": ids(open_as(GemmaTokenizer, [bpe.rename(root / "tokenizer.model")], add_bos_token=True, add_eos_token=True)),
        "bert": ids(open_as(BertTokenizer, [words])),
        "bert_cased": ids(open_as(BertTokenizer, [words], do_lower_case=False)),
        "clip": ids(open_as(CLIPTokenizer, clip(root / "clip"))),
        "roberta": ids(open_as(RobertaTokenizer, byte_bpe(root / "roberta"))),
    }
    unigram = Path(shutil.copy(root / "sentencepiece.bpe.model", root / "spiece.model"))
    expected["siglip"] = ids(open_as(SiglipTokenizer, [unigram]))
    unigram.unlink()
    rows = [{"text": text, **{kind: found[place] for kind, found in expected.items()}} for place, text in enumerate(TEXTS)]
    lines = ",\n".join(json.dumps(row) for row in rows)
    (root / "expected.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
