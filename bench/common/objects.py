"""Puts many objects into an S3 server: archives that the server unpacks (MinIO does), one by one elsewhere."""

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any, List

# Of one archive.
MOST_OBJECTS = 2000
MOST_BYTES = 64 << 20
PNG = b"\x89PNG"


def put(client: Any, bucket: str, prefix: str, files: List[bytes], items: int) -> None:
    """So many objects below a prefix, the files in turn."""
    for numbers in groups(files, items):
        client.put_object(Bucket=bucket, Key=f"{prefix}-load.tar", Body=archive(prefix, files, numbers),
                          Metadata={"snowball-auto-extract": "true"})
        if numbers.start == 0 and not present(client, bucket, key(prefix, 0, files[0])):
            one_by_one(client, bucket, prefix, files, items)
            break
    client.delete_object(Bucket=bucket, Key=f"{prefix}-load.tar")


def groups(files: List[bytes], items: int) -> List[range]:
    """Which items go together."""
    found, first, size = [], 0, 0
    for at in range(items):
        size += len(files[at % len(files)])
        if at + 1 - first == MOST_OBJECTS or size >= MOST_BYTES or at + 1 == items:
            found.append(range(first, at + 1))
            first, size = at + 1, 0
    return found


def key(prefix: str, at: int, body: bytes) -> str:
    """A prefix's items are known by the ending of their names."""
    return f"{prefix}/{at:06d}.{'png' if body.startswith(PNG) else 'jpg'}"


def archive(prefix: str, files: List[bytes], numbers: range) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for at in numbers:
            body = files[at % len(files)]
            entry = tarfile.TarInfo(key(prefix, at, body))
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return packed.getvalue()


def one_by_one(client: Any, bucket: str, prefix: str, files: List[bytes], items: int) -> None:
    with ThreadPoolExecutor(8) as threads:
        def one(at: int) -> None:
            body = files[at % len(files)]
            client.put_object(Bucket=bucket, Key=key(prefix, at, body), Body=body)

        for _ in threads.map(one, range(items)):
            pass


def present(client: Any, bucket: str, name: str) -> bool:
    return client.list_objects_v2(Bucket=bucket, Prefix=name, MaxKeys=1).get("KeyCount", 0) > 0
