"""Real pictures of every format that is read, decoded and prepared by `sightline inspect`, against Pillow's pixels.

    make parity-pictures

Pillow encodes photographs and drawings of `.local/pictures` in every way that it can; `sightline inspect --out`
decodes them and prepares them for the demo's model; both are held against Pillow's own, value by value. Writes
`target/parity-pictures.json`, and fails where a difference is not explained in EXPLAINED.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy
from PIL import Image

import picture_kinds

REPO = Path(__file__).resolve().parents[2]
STAMPS = REPO / ".local/pictures/stamps"
MODEL = REPO / ".local/models/sightline-demo"
EACH = 11
# A kind whose pixels may differ: the largest difference that is allowed, and why it is there.
EXPLAINED: Dict[str, Tuple[int, str]] = {
    "tiff-jpeg": (2, "JPEG within TIFF is decoded by zune-jpeg, whose inverse transform rounds otherwise than libjpeg's"),
}


def sources() -> List[Path]:
    """Pictures of a moderate size, in an order that spreads over the folders."""
    found = [path for path in sorted(STAMPS.rglob("*.png")) if path.stat().st_size < 300_000 and moderate(path)]
    if len(found) < EACH:
        sys.exit(f"{STAMPS} holds {len(found)} pictures: run `make setup`")
    found.sort(key=lambda path: path.stat().st_size * 7919 % 104729)
    return found


def moderate(path: Path) -> bool:
    with path.open("rb") as stream:
        header = stream.read(24)
    width, height = (int.from_bytes(header[at:at + 4], "big") for at in (16, 20))
    return width * height < 4_000_000


def encode(folder: Path) -> Dict[Path, str]:
    """Writes the pictures; path to kind."""
    stamps, made, turn = sources(), {}, 0
    for kind, write in picture_kinds.KINDS.items():
        for number in range(EACH):
            with Image.open(stamps[turn % len(stamps)]) as opened:
                opened.load()
                picture = opened if opened.mode in ("RGB", "RGBA") else opened.convert("RGBA")
            turn += 1
            picture.thumbnail((640 - number, 480))
            data, suffix = write(picture)
            path = folder / f"{kind}-{number}.{suffix}"
            path.write_bytes(data)
            made[path] = kind
    return made


def prepared(rgb: numpy.ndarray, config: dict) -> numpy.ndarray:
    """Pillow's and numpy's input of the network, as the image processor of the model's configuration makes it."""
    height, width = rgb.shape[:2]
    edge, crop = config["size"]["shortest_edge"], config["crop_size"]
    short, long = min(width, height), int(edge * max(width, height) / min(width, height))
    size = (edge, long) if width <= height else (long, edge)
    assert short > 0
    resized = numpy.asarray(Image.fromarray(rgb).resize(size, config["resample"]))
    top, left = (resized.shape[0] - crop["height"]) // 2, (resized.shape[1] - crop["width"]) // 2
    cut = resized[top:top + crop["height"], left:left + crop["width"]]
    scaled = (cut.astype(numpy.float64) * config["rescale_factor"]).astype(numpy.float32)
    mean, std = (numpy.array(config[key], numpy.float32) for key in ("image_mean", "image_std"))
    return ((scaled - mean) / std).transpose(2, 0, 1)


def compare(path: Path, out: Path, config: dict) -> dict:
    error = out / f"{path.name}.err"
    if error.exists():
        return {"error": error.read_text().strip()}
    expected = picture_kinds.reference(path.read_bytes())
    decoded = numpy.load(out / f"{path.name}.npy")
    if decoded.shape != expected.shape:
        return {"error": f"is {decoded.shape} where Pillow's is {expected.shape}"}
    off = numpy.abs(decoded.astype(int) - expected.astype(int))
    pixels = numpy.load(out / f"{path.name}.pixels.npy")
    return {
        "largest": int(off.max()),
        "share": float((off > 0).mean()),
        # From what was decoded, so that a difference counts once.
        "prepared_exactly": bool(numpy.array_equal(pixels, prepared(decoded, config))),
    }


def report(made: Dict[Path, str], out: Path) -> dict:
    configs = list(MODEL.rglob("preprocessor_config.json"))
    config = json.loads(configs[0].read_text())
    kinds: Dict[str, dict] = {}
    wrong: List[str] = []
    for path, kind in made.items():
        found = compare(path, out, config)
        entry = kinds.setdefault(kind, {"pictures": 0, "exact": 0, "largest_difference": 0, "share_of_values_off": 0.0})
        entry["pictures"] += 1
        why = explained(kind, found)
        if "error" in found:
            entry.setdefault("errors", []).append(found["error"])
        else:
            entry["exact"] += found["largest"] == 0
            entry["largest_difference"] = max(entry["largest_difference"], found["largest"])
            entry["share_of_values_off"] = max(entry["share_of_values_off"], round(found["share"], 6))
        if why is None:
            wrong.append(f"{path.name}: {found}")
        elif why:
            entry["explained"] = why
    return {
        "pictures": len(made),
        "exact": sum(entry["exact"] for entry in kinds.values()),
        "unexplained": wrong,
        "pillow": Image.__version__,
        "kinds": kinds,
    }


def explained(kind: str, found: dict) -> Optional[str]:
    """Empty where there is nothing to explain; None where there is no explanation."""
    if "error" in found or not found["prepared_exactly"]:
        return None
    if found["largest"] == 0:
        return ""
    limit, why = EXPLAINED.get(kind, (0, None))
    return why if found["largest"] <= limit else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=REPO / "target/debug/sightline")
    parser.add_argument("--report", type=Path, default=REPO / "target/parity-pictures.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures, out = Path(folder) / "pictures", Path(folder) / "out"
        pictures.mkdir()
        made = encode(pictures)
        ran = subprocess.run([arguments.program, "inspect", *made, "--model", MODEL, "--out", out, "--json"],
                             stdout=subprocess.DEVNULL)
        if ran.returncode not in (0, 3):
            sys.exit(f"{arguments.program} inspect ended with {ran.returncode}")
        result = report(made, out)
    arguments.report.parent.mkdir(exist_ok=True)
    arguments.report.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{result['pictures']} pictures of {len(result['kinds'])} kinds: {result['exact']} equal Pillow's in every "
          f"value, {len(result['unexplained'])} differ without an explanation ({arguments.report})")
    for line in result["unexplained"][:40]:
        print(f"  {line}", file=sys.stderr)
    sys.exit(bool(result["unexplained"]))


if __name__ == "__main__":
    main()
