"""Pictures of many kinds, drawn by formula, and how they are read: as Sightline's documentation says."""

import math
from pathlib import Path
from typing import List

import numpy
from PIL import Image, ImageOps


def write(folder: Path) -> List[Path]:
    """Writes the pictures and gives their paths in order."""
    folder.mkdir(parents=True)
    made = {
        "rgb.png": colours(61, 47),
        "grey.png": colours(50, 70).convert("L"),
        "rgba.png": with_alpha(colours(64, 40)),
        "palette.png": colours(45, 45).convert("P", palette=Image.Palette.ADAPTIVE, colors=30),
        "grey16.png": grey16(40, 52),
        "tall.png": colours(17, 90),
        "wide.png": colours(120, 21),
        "small.png": colours(5, 4),
    }
    for name, picture in made.items():
        picture.save(folder / name)
    colours(70, 50).save(folder / "photo.jpg", quality=90)
    colours(48, 66).convert("CMYK").save(folder / "cmyk.jpg", quality=85)
    turned = colours(66, 44)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", quality=92, exif=exif)
    return sorted(folder.iterdir())


def colours(width: int, height: int) -> Image.Image:
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    planes = [127 + 120 * numpy.sin(x * (0.11 + width / 900) + channel) * numpy.cos(y / (4.0 + channel) + height)
              for channel in range(3)]
    return Image.fromarray(numpy.stack(planes, axis=2).round().astype(numpy.uint8), "RGB")


def with_alpha(picture: Image.Image) -> Image.Image:
    x = numpy.arange(picture.width)
    row = (127 + 127 * numpy.sin(x / 5.0)).astype(numpy.uint8)
    picture.putalpha(Image.fromarray(numpy.tile(row, (picture.height, 1)), "L"))
    return picture


def grey16(width: int, height: int) -> Image.Image:
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    values = 32_000 + 31_000 * numpy.sin(x / 7.0 + math.pi) * numpy.cos(y / 9.0)
    return Image.fromarray(values.astype(numpy.uint16))


def load(path: Path) -> Image.Image:
    """RGB: EXIF applied, 16 bits by their high byte, alpha on white."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode.startswith("I"):
        values = numpy.asarray(picture).astype(numpy.uint32) >> 8
        return Image.fromarray(values.astype(numpy.uint8), "L").convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")
