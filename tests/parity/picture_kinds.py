"""Every way in which Pillow writes a picture that Sightline reads, and how Sightline promises to read it."""

import io
from typing import Callable, Dict, Tuple

import numpy
from PIL import Image, ImageOps

Writer = Callable[[Image.Image], Tuple[bytes, str]]
ORIENTATION = 0x0112
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}


def reference(data: bytes) -> numpy.ndarray:
    """[height, width, 3] u8: upright by EXIF, 16 bits by their high byte, transparency on white."""
    with Image.open(io.BytesIO(data)) as opened:
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I"):
        grey = (numpy.asarray(picture).astype(numpy.uint32) >> 8).astype(numpy.uint8)
        return numpy.repeat(grey[..., None], 3, axis=-1)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255,) * 4)
        return numpy.asarray(Image.alpha_composite(white, picture).convert("RGB"))
    return numpy.asarray(picture.convert("RGB"))


def plain(mode: str, kind: str, **options: object) -> Writer:
    def write(picture: Image.Image) -> Tuple[bytes, str]:
        return saved(converted(picture, mode), kind, **options)
    return write


def converted(picture: Image.Image, mode: str) -> Image.Image:
    if mode in ("RGBA", "LA"):
        return picture.convert("RGBA").convert(mode)
    on_white = Image.new("RGBA", picture.size, "white")
    on_white.alpha_composite(picture.convert("RGBA"))
    opaque = on_white.convert("RGB")
    if mode == "I;16":
        wide = numpy.asarray(opaque.convert("L")).astype(numpy.uint16) * 257
        return Image.fromarray(wide ^ 0x5A)
    return opaque.quantize(200) if mode == "P" else opaque.convert(mode)


def saved(picture: Image.Image, kind: str, **options: object) -> Tuple[bytes, str]:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue(), SUFFIXES[kind]


def turned(kind: str, value: int, **options: object) -> Writer:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return plain("RGB", kind, exif=exif, **options)


def ycck(picture: Image.Image) -> Tuple[bytes, str]:
    data, suffix = saved(converted(picture, "CMYK"), "JPEG", quality=90)
    adobe = data.index(b"Adobe")
    # The last byte of Adobe's segment says how the four components are to be read: 2 is YCCK.
    return data[: adobe + 11] + b"\x02" + data[adobe + 12 :], suffix


def odd(picture: Image.Image) -> Tuple[bytes, str]:
    """Sides that are no multiple of a block, chroma halved both ways."""
    width, height = picture.size
    cut = converted(picture, "RGB").crop((0, 0, width // 2 * 2 - 1, height // 2 * 2 - 1))
    return saved(cut, "JPEG", quality=80, subsampling=2)


def see_through(kind: str) -> Writer:
    return lambda picture: saved(converted(picture, "P"), kind, transparency=3)


def kinds() -> Dict[str, Writer]:
    made: Dict[str, Writer] = {}
    for quality in (30, 75, 95):
        for number, chroma in enumerate(("444", "422", "420")):
            made[f"jpeg-{quality}-{chroma}"] = plain("RGB", "JPEG", quality=quality, subsampling=number)
    for number, chroma in ((0, "444"), (2, "420")):
        made[f"jpeg-progressive-{chroma}"] = plain("RGB", "JPEG", progressive=True, quality=85, subsampling=number)
    made["jpeg-grey"] = plain("L", "JPEG", quality=85)
    made["jpeg-grey-progressive"] = plain("L", "JPEG", quality=60, progressive=True)
    made["jpeg-rgb"] = plain("RGB", "JPEG", quality=90, keep_rgb=True)
    made["jpeg-restarts"] = plain("RGB", "JPEG", quality=75, restart_marker_blocks=3)
    made["jpeg-optimized"] = plain("RGB", "JPEG", quality=75, optimize=True)
    made["jpeg-cmyk"] = plain("CMYK", "JPEG", quality=90)
    made["jpeg-ycck"] = ycck
    made["jpeg-odd"] = odd
    for value in range(2, 9):
        made[f"jpeg-orientation-{value}"] = turned("JPEG", value, quality=85)
    for mode in ("RGB", "RGBA", "L", "LA", "1", "P", "I;16"):
        made[f"png-{mode.lower().replace(';', '-')}"] = plain(mode, "PNG")
    made["png-see-through"] = see_through("PNG")
    made["png-orientation-6"] = turned("PNG", 6)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        made[f"tiff-{compression.replace('tiff_', '')}"] = plain("RGB", "TIFF", compression=compression)
    for mode in ("RGBA", "L", "1", "P", "I;16", "CMYK"):
        made[f"tiff-{mode.lower().replace(';', '-')}"] = plain(mode, "TIFF", compression="tiff_lzw")
    made["tiff-group4"] = plain("1", "TIFF", compression="group4")
    made["tiff-jpeg"] = plain("RGB", "TIFF", compression="jpeg", quality=90)
    made["tiff-orientation-5"] = turned("TIFF", 5)
    made["gif"] = plain("P", "GIF")
    made["gif-see-through"] = see_through("GIF")
    for mode in ("RGB", "RGBA", "L", "P", "1"):
        made[f"bmp-{mode.lower()}"] = plain(mode, "BMP")
    made["webp-lossless"] = plain("RGB", "WEBP", lossless=True)
    made["webp-lossless-alpha"] = plain("RGBA", "WEBP", lossless=True, exact=True)
    made["webp-lossy"] = plain("RGB", "WEBP", quality=50)
    made["webp-lossy-90"] = plain("RGB", "WEBP", quality=90)
    made["webp-lossy-alpha"] = plain("RGBA", "WEBP", quality=80)
    made["webp-orientation-8"] = turned("WEBP", 8, lossless=True)
    return made


KINDS: Dict[str, Writer] = kinds()
