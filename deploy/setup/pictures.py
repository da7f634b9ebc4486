#!/usr/bin/env python3
"""The demo's pictures, `<repo>/.local/pictures/stamps`: real pictures with captions, and manifests of them.

    python3 deploy/setup/pictures.py

- `images/`         785 PNG and 165 SVG in folders that are their categories; ingested as a prefix, the SVG are skipped
- `captions.csv`, `captions.jsonl`   a row a PNG: image, text, labels, category, korean, translations
- `gallery.json`    the 200 pictures that text-to-image recall is measured on
- `generated/`      one picture that is made here, of 169 megapixels: it must fail by the default limit
- `demo.jsonl`      what the demo ingests: the 785, those of the gallery marked so, and the generated one
- `LICENSE.txt`     GPL-2: the pictures are fetched by each user and are no part of this repository

The largest of the 785 has 1.6 megapixels. A second run does nothing.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Set, Union

import debian
import paths
import picture_generated
import picture_stamps
import stamp
from download import say
from errors import SetupError
from lock import artefacts
from picture_stamps import Stamp

_HERE = Path(__file__).resolve().parent
_TARGET = paths.LOCAL / "pictures" / "stamps"
_PACKAGE_ROOT = Path("usr/share/tuxpaint/stamps")
_PACKAGE_LICENCE = Path("usr/share/doc/tuxpaint-stamps-default/copyright")
_GENERATED = "generated/a-generated-picture-of-169-megapixels.png"
_COLUMNS = ["image", "text", "labels", "category", "korean", "translations"]


def setup() -> None:
    """Puts the pictures in place, unless they are there already."""
    pinned = artefacts("pictures", _HERE / "picture_lock.json")
    key = stamp.key("pictures " + _digest_of_programs(), pinned)
    if stamp.holds("pictures", key) and (_TARGET / "demo.jsonl").exists():
        return
    stamp.clear("pictures")
    package = debian.packages(pinned)[pinned[0].package]
    _TARGET.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stamps.", dir=_TARGET.parent) as temporary:
        unpacked, made = Path(temporary) / "unpacked", Path(temporary) / "stamps"
        debian.unpack(package, unpacked)
        _lay(unpacked, made)
        # The folder appears whole or not at all.
        shutil.rmtree(_TARGET, ignore_errors=True)
        made.rename(_TARGET)
    stamp.write("pictures", key)
    say(f"  pictures: {_TARGET}")


def _digest_of_programs() -> str:
    digest = hashlib.sha256()
    for name in ("pictures.py", "picture_stamps.py", "picture_generated.py"):
        digest.update((_HERE / name).read_bytes())
    return digest.hexdigest()


def _lay(unpacked: Path, made: Path) -> None:
    root = unpacked / _PACKAGE_ROOT
    stamps, drawings = picture_stamps.read(root)
    chosen = picture_stamps.gallery(stamps)
    if len(chosen) < picture_stamps.GALLERY_SIZE:
        raise SetupError(f"the package of pictures has only {len(stamps)} PNG with captions: not the expected one")
    for path in [s.path for s in stamps] + drawings:
        file = made / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, file)
    _write_manifests(made, stamps)
    listed = [{"image": f"images/{s.path}", "text": s.caption} for s in chosen]
    (made / "gallery.json").write_text(json.dumps(listed, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    picture_generated.write(made / _GENERATED)
    _write_demo(made, stamps, {s.path for s in chosen})
    shutil.copyfile(unpacked / _PACKAGE_LICENCE, made / "LICENSE.txt")


def _row(s: Stamp) -> Dict[str, Union[str, int, bool, List[str]]]:
    return {
        "image": f"images/{s.path}", "text": s.caption, "labels": s.labels,
        "category": s.labels[0], "korean": s.korean, "translations": s.translations,
    }


def _write_manifests(made: Path, stamps: List[Stamp]) -> None:
    rows = [_row(s) for s in stamps]
    with (made / "captions.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with (made / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows({**row, "labels": "|".join(s.labels)} for row, s in zip(rows, stamps))


def _write_demo(made: Path, stamps: List[Stamp], gallery: Set[str]) -> None:
    rows = [{**_row(s), "gallery": s.path in gallery} for s in stamps]
    rows.append({"image": _GENERATED, "labels": ["generated"], "category": "generated", "gallery": False})
    with (made / "demo.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    try:
        setup()
    except SetupError as problem:
        sys.exit(f"setup of pictures failed: {problem}")
