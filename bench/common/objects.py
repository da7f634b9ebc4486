"""Puts many objects into an S3 server: archives that the server unpacks (MinIO does), one by one elsewhere."""

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any, List

# Of one archive.
MOST_OBJECTS = 2000
MOST_BYTES = 64 << 20


def put(client: Any, bucket: str, prefix: str, files: List[bytes], items: int) -> None:
    """So many objects below a prefix, the files in turn."""
    for numbers in groups(files, items):
        client.put_object(Bucket=bucket, Key=f"{prefix}-load.tar", Body=archive(prefix, files, numbers),
                          Metadata={"snowball-auto-extract": "true"})
        if numbers.start == 0 and not present(client, bucket, f"{prefix}/{0:06d}"):
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


def archive(prefix: str, files: List[bytes], numbers: range) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for at in numbers:
            body = files[at % len(files)]
            entry = tarfile.TarInfo(f"{prefix}/{at:06d}")
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return packed.getvalue()


def one_by_one(client: Any, bucket: str, prefix: str, files: List[bytes], items: int) -> None:
    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(lambda at: client.put_object(Bucket=bucket, Key=f"{prefix}/{at:06d}", Body=files[at % len(files)]),
                             range(items)):
            pass


def present(client: Any, bucket: str, key: str) -> bool:
    return client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("KeyCount", 0) > 0
