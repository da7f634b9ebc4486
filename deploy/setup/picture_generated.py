"""Makes the one picture of the demo that must fail: larger than the default limit of 2^27 pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIDE = 13_000


def write(path: Path, side: int = SIDE) -> None:
    """A black and white checkerboard of `side` × `side` pixels, one bit each: a small file of a large picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row_bytes = (side + 7) // 8
    dark, light = b"\x00", b"\xff"
    # Squares of 1000 pixels are whole bytes.
    even = b"\x00" + b"".join((dark, light)[i % 2] * 125 for i in range(row_bytes // 125 + 1))[:row_bytes]
    odd = b"\x00" + b"".join((light, dark)[i % 2] * 125 for i in range(row_bytes // 125 + 1))[:row_bytes]
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress((even, odd)[y // 1000 % 2]) for y in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
