"""The datasets that faults are injected into: small pictures, no two alike, in several folders of a bucket."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List

import numpy as np
from PIL import Image

FOLDERS = 8
EDGE = 64


class Pictures:
    """A dataset in S3, and how each of its files has to end."""

    def __init__(self, client: Any, bucket: str, root: str, items: int, seed: int) -> None:
        self._client, self.bucket, self.root = client, bucket, root
        self.name = "faults"
        self.expected: Dict[str, str] = {}
        self._random = np.random.default_rng(seed)
        self.add([f"folder-{number % FOLDERS}/{number:06}.png" for number in range(items - 1)])
        # A file that is no picture, so that every run has an item that ends in planning.
        self.put("folder-0/notes.txt", b"These are no pixels.")
        self.expected["folder-0/notes.txt"] = "skipped:unsupported_type"

    def add(self, keys: List[str], outcome: str = "indexed") -> None:
        """More pictures."""
        bodies = [self.picture() for _ in keys]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.put, keys, bodies))
        self.expected.update({key: outcome for key in keys})

    def picture(self) -> bytes:
        """A picture that there was never before."""
        coarse = self._random.integers(0, 256, (4, 4, 3), dtype="u1")
        file = io.BytesIO()
        Image.fromarray(coarse).resize((EDGE, EDGE), Image.Resampling.BICUBIC).save(file, "PNG")
        return file.getvalue()

    def put(self, key: str, body: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=f"{self.root}/{key}", Body=body)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=f"{self.root}/{key}")
