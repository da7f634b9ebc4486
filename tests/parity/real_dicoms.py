"""The DICOM files that pydicom is tested with, decoded by ours, against pydicom's pixels as a viewer shows them: the first
frame of each, and of several the middle one.

    make parity-dicoms

Writes `target/parity-dicoms.json`, and fails where a difference is not explained in EXPLAINED, where a file is read that
pydicom refuses without READ saying why, or where one is refused for another reason than REFUSED says.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import data_store
import numpy
import pydicom

import dicom_reference

REPO = Path(__file__).resolve().parents[2]
# A file whose pixels may differ: the largest difference that is allowed, and why it is there.
_ROUNDING = (5, "pylibjpeg decodes lossy JPEG with another inverse transform and chroma filter than libjpeg-turbo")
EXPLAINED: Dict[str, Tuple[int, str]] = {name: _ROUNDING for name in (
    "JPGExtended.dcm", "SC_jpeg_no_color_transform.dcm", "SC_jpeg_no_color_transform_2.dcm", "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_app14_dcmd.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm", "color3d_jpeg_baseline.dcm", "examples_ybr_color.dcm")}
_PALETTE = (255, "pydicom takes its big-endian palette for little-endian; ours equals the little-endian file's picture")
EXPLAINED.update({"OBXXXX1A_expb.dcm": _PALETTE, "OBXXXX1A_expb_2frame.dcm": _PALETTE})
# A file that ours reads and pydicom refuses, and why that is right.
READ: Dict[str, str] = {
    "JPEG-lossy.dcm": "pylibjpeg refuses its JPEG, which libjpeg-turbo decodes",
    "badVR.dcm": "a frame count that is no number; the first frame is there",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "pydicom finds no pixels in it; the first frame is there",
}
# What ours says of a file that pydicom reads.
REFUSED: Tuple[str, ...] = ("JPEG-LS", "deflated", "comes in segments")
# A file that only pydicom reads, and why.
REFUSED_FILES: Dict[str, str] = {
    "SC_rgb_jpeg.dcm": "it says that it writes types of elements, and does not; pydicom guesses",
}


def files() -> List[Path]:
    """Every file with a preamble, by name; of several of one name the first."""
    found: Dict[str, Path] = {}
    for package in (pydicom, data_store):
        for folder in package.__path__:
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file() and path.open("rb").read(132)[128:] == b"DICM":
                    found.setdefault(path.name, path)
    return [found[name] for name in sorted(found)]


def middle_of(path: Path) -> int:
    """The number of the middle frame; 0 where there is one frame, or pydicom cannot tell."""
    try:
        return int(pydicom.dcmread(path, stop_before_pixels=True).get("NumberOfFrames", 1)) // 2
    except Exception:  # noqa: BLE001: whatever pydicom makes of a damaged file
        return 0


def compare(path: Path, decoded: Optional[bytes], error: str, frame: int = 0) -> dict:
    try:
        expected = dicom_reference.shown(str(path), frame)
    except Exception as problem:  # noqa: BLE001: whatever pydicom makes of a damaged file
        theirs = str(problem).strip().split("\n")[0][:200]
        return {"ok": decoded is None or path.name in READ, "ours": error or READ.get(path.name, "read"), "pydicom": theirs or type(problem).__name__}
    if decoded is None:
        return {"ok": path.name in REFUSED_FILES or any(word in error for word in REFUSED), "ours": error, "pydicom": "read"}
    if len(decoded) != expected.size:
        return {"ok": False, "ours": f"{len(decoded)} bytes", "pydicom": str(expected.shape)}
    off = numpy.abs(numpy.frombuffer(decoded, numpy.uint8).astype(int) - expected.reshape(-1).astype(int))
    limit, why = EXPLAINED.get(path.name, (0, ""))
    largest = int(off.max())
    found = {"ok": largest <= limit, "largest": largest, "share": round(float((off > 0).mean()), 6)}
    return {**found, "explained": why} if largest else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=REPO / "target/debug/examples/decode")
    parser.add_argument("--report", type=Path, default=REPO / "target/parity-dicoms.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    results = {}
    for paths, option in ((files(), []), ([path for path in files() if middle_of(path)], ["--middle"])):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            subprocess.run([arguments.program, *option, out, *paths], check=True)
            for number, path in enumerate(paths):
                rgb, error = out / f"{number}.rgb", out / f"{number}.err"
                frame, name = (middle_of(path), f"{path.name} (middle)") if option else (0, path.name)
                results[name] = compare(path, rgb.read_bytes() if rgb.exists() else None,
                                        error.read_text() if error.exists() else "", frame)
    wrong = {name: found for name, found in results.items() if not found["ok"]}
    exact = sum(found.get("largest") == 0 for found in results.values())
    both = sum("largest" not in found and found["pydicom"] != "read" and name.removesuffix(" (middle)") not in READ
               for name, found in results.items())
    report = {"pictures": len(results), "exact": exact, "refused_by_both": both, "wrong": len(wrong),
              "pydicom": pydicom.__version__, "by_file": results}
    arguments.report.parent.mkdir(exist_ok=True)
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{len(results)} pictures: {exact} equal pydicom's in every value, {both} are refused by both, "
          f"{len(wrong)} are wrong ({arguments.report})")
    for name, found in wrong.items():
        print(f"  {name}: {found}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
