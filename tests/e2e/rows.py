"""Reads the rows of a collection from the stores themselves, without any code of Sightline's."""

import json
import sqlite3
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
from pymilvus import MilvusClient

# What differs between two runs by design: when and by which run a row was written.
PROVENANCE = ("run_id", "indexed_at")
VECTORS = ("image_embedding", "text_embedding")
# The most that Milvus gives in one answer.
MOST_ROWS = 16_384

Rows = Dict[str, Dict[str, Any]]


def of_milvus(url: str, collection: str) -> Rows:
    """Every row of a Milvus collection, by id, with one Strong read; and the count agrees."""
    client = MilvusClient(uri=url.replace("milvus://", "http://"))
    read = client.query(collection, filter='id > ""', output_fields=["*"], limit=MOST_ROWS, consistency_level="Strong")
    counted = client.query(collection, filter="", output_fields=["count(*)"], consistency_level="Strong")
    rows = {row["id"]: plain(row) for row in read}
    assert counted[0]["count(*)"] == len(rows) == len(read), f"{counted} rows, {len(rows)} ids in {collection}"
    assert len(read) < MOST_ROWS, "one read does not reach"
    return rows


def of_sqlite(path: Path, collection: str) -> Rows:
    """Every row of an embedded collection, by id."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    (number,) = connection.execute("SELECT number FROM collections WHERE name = ?", (collection,)).fetchone()
    rows = {row["id"]: dict(row) for row in connection.execute(f"SELECT * FROM rows_{number}")}
    for row in rows.values():
        del row["number"]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for field in (field for field in VECTORS if f"{field}_{number}" in tables):
        for key, vector in connection.execute(f"SELECT id, vector FROM {field}_{number}"):
            rows[key][field] = vector
    return {key: plain(row) for key, row in rows.items()}


def plain(row: Dict[str, Any]) -> Dict[str, Any]:
    """A row with plain values: vectors as arrays or None, JSON parsed, flags as booleans."""
    result: Dict[str, Any] = {}
    for name, value in row.items():
        if name in VECTORS:
            result[name] = vector(value)
        elif name in ("labels", "boxes", "attributes"):
            parsed = json.loads(value) if isinstance(value, (str, bytes)) else value
            # Milvus takes objects only where JSON is meant, so a list lies in one under its field's name.
            result[name] = parsed[name] if isinstance(parsed, dict) and set(parsed) == {name} else as_list(parsed)
        elif name in ("has_image", "has_text"):
            result[name] = bool(value)
        else:
            result[name] = value
    for name in VECTORS:
        values = result.get(name)
        if values is not None and not np.any(values):
            result[name] = None
    return result


def as_list(value: Any) -> Any:
    return value if value is None or isinstance(value, (dict, str)) else list(value)


def vector(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bytes):
        return np.frombuffer(value, dtype="<f4")
    return np.asarray(value, dtype="f4")


def compare(ours: Rows, theirs: Rows, fields: List[str]) -> Dict[str, Any]:
    """Whether two collections hold the same: ids, metadata but provenance, and the vectors in `fields`."""
    identical_ids = set(ours) == set(theirs)
    different: List[str] = []
    min_cosine = 1.0
    for key in set(ours) & set(theirs):
        mine, other = ours[key], theirs[key]
        names = (set(mine) & set(other)) - set(PROVENANCE) - set(VECTORS)
        for name in sorted(names):
            if mine[name] != other[name]:
                different.append(f"{key}.{name}: {mine[name]!r} != {other[name]!r}")
        for field in fields:
            a, b = mine.get(field), other.get(field)
            if (a is None) != (b is None):
                different.append(f"{key}.{field}: one side is missing")
            elif a is not None:
                cosine = float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
                min_cosine = min(min_cosine, cosine)
    return {"identical_ids": identical_ids, "different": different, "min_cosine": min_cosine, "items": len(ours)}
