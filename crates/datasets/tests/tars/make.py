"""Writes the tars beside it with Python's tarfile, in each of its formats: `python3 make.py`. They are committed."""

import io
import tarfile
from pathlib import Path

LONG = "d/" + "n" * 90 + "/" + "m" * 90
FILES = {
    "./000.jpg": b"first",
    "./000.txt": "한 줄\n".encode(),
    LONG + ".png": b"second " * 200,
    LONG + ".cls": b"7",
    LONG + ".json": b'{"width": 3, "caption": "of the json"}',
}


def write(path: Path, form: int, **options: object) -> None:
    with tarfile.open(path, "w", format=form, **options) as tar:
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        files = dict(FILES)
        if form != tarfile.USTAR_FORMAT:
            files["사진/" + "x" * 120 + ".jpg"] = b"third"
        for name, content in files.items():
            file = tarfile.TarInfo(name)
            file.size = len(content)
            if form == tarfile.PAX_FORMAT and name == "./000.jpg":
                file.pax_headers = {"mtime": "1.5", "size": "5"}
            tar.addfile(file, io.BytesIO(content))
        for name, kind in {"link.jpg": tarfile.SYMTYPE, "hard.jpg": tarfile.LNKTYPE}.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "y" * 120 + "/" + "t" * (50 if form == tarfile.USTAR_FORMAT else 120)
            if form == tarfile.USTAR_FORMAT:
                link.linkname = "000.jpg"
            tar.addfile(link)


here = Path(__file__).parent
write(here / "ustar.tar", tarfile.USTAR_FORMAT)
write(here / "gnu.tar", tarfile.GNU_FORMAT)
write(here / "pax.tar", tarfile.PAX_FORMAT, pax_headers={"comment": "of all"})
