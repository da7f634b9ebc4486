"""Puts tiny objects into an S3 server, many in one request where the server unpacks archives."""

import io
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Objects in a folder, as a dataset of labelled pictures has some hundreds to thousands a class.
FOLDER = 1000
ARCHIVE = 5000


def key(at: int) -> str:
    """Of the object with this number, below its dataset's root."""
    return f"{at // FOLDER:06d}/{at:09d}.jpg"


def load(client: Any, bucket: str, root: str, count: int) -> float:
    """Makes sure that `count` objects are below `root`, and gives the seconds that it took. What a server did not unpack
    is put one by one."""
    started = time.monotonic()
    if present(client, bucket, f"{root}/{key(0)}") and present(client, bucket, f"{root}/{key(count - 1)}"):
        return 0.0
    for first in range(0, count, ARCHIVE):
        last = min(count, first + ARCHIVE)
        client.put_object(Bucket=bucket, Key=f"{root}-load.tar", Body=archive(root, first, last),
                          Metadata={"snowball-auto-extract": "true"})
        if first == 0 and not present(client, bucket, f"{root}/{key(0)}"):
            one_by_one(client, bucket, root, count)
            break
        if first // ARCHIVE % 20 == 0:
            print(f"bench-plan: {last} of {count} objects put, {time.monotonic() - started:.0f} s", file=sys.stderr)
    return time.monotonic() - started


def archive(root: str, first: int, last: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for at in range(first, last):
            entry = tarfile.TarInfo(f"{root}/{key(at)}")
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
    return packed.getvalue()


def one_by_one(client: Any, bucket: str, root: str, count: int) -> None:
    with ThreadPoolExecutor(16) as threads:
        for _ in threads.map(lambda at: client.put_object(Bucket=bucket, Key=f"{root}/{key(at)}", Body=b"x"), range(count)):
            pass


def present(client: Any, bucket: str, name: str) -> bool:
    found = client.list_objects_v2(Bucket=bucket, Prefix=name, MaxKeys=1)
    return found.get("KeyCount", 0) > 0
