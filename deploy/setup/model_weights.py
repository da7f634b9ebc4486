"""Turns a PyTorch state dict into safetensors, without PyTorch and without running what the file says.

A `.pth` file is a pickle, and a pickle is a program. The unpickler here knows four names, each of which builds plain
data; any other name ends the conversion. Only the layout of PyTorch before 1.6 is read (five pickles, then the
storages one after the other), since that is what the demo's weights are in.
"""

from __future__ import annotations

import array
import collections
import json
import pickle
import struct
import sys
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Sequence, Tuple

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MAX_ELEMENTS = 1 << 28

# torch storage class -> (array type code, safetensors name)
_TYPES = {"FloatStorage": ("f", "F32"), "LongStorage": ("q", "I64")}

# Safetensors type, shape, little-endian bytes in row-major order.
Dense = Tuple[str, Tuple[int, ...], bytes]


class WeightsError(Exception):
    """The file is no state dict of the layout that is read here."""


class Storage(NamedTuple):
    """A named run of elements, filled after the pickles have been read."""

    key: str
    kind: str
    elements: int


class Tensor(NamedTuple):
    """A view into a storage, as PyTorch pickles it."""

    storage: Storage
    offset: int
    shape: Tuple[int, ...]
    stride: Tuple[int, ...]


def _tensor(storage: object, offset: object, shape: object, stride: object, *_unused: object) -> Tensor:
    if not isinstance(storage, Storage) or not isinstance(offset, int):
        raise WeightsError("a tensor without a storage")
    dims, steps = _sizes(shape), _sizes(stride)
    if len(dims) != len(steps) or offset < 0:
        raise WeightsError("a tensor whose shape and stride disagree")
    last = offset + sum((d - 1) * s for d, s in zip(dims, steps))
    if 0 not in dims and last >= storage.elements:
        raise WeightsError("a tensor that reaches past its storage")
    return Tensor(storage, offset, dims, steps)


def _sizes(value: object) -> Tuple[int, ...]:
    if not isinstance(value, tuple) or not all(isinstance(v, int) and v >= 0 for v in value):
        raise WeightsError("a shape that is no tuple of sizes")
    return value


class _StateDictUnpickler(pickle.Unpickler):
    """Builds tensors' descriptions and dictionaries, nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _TYPES:
            return name
        raise WeightsError(f"the pickle names {module}.{name}, which no state dict needs")

    def persistent_load(self, pid: object) -> Storage:
        if not isinstance(pid, tuple) or len(pid) != 6 or pid[0] != "storage" or pid[5] is not None:
            raise WeightsError("an unknown kind of reference in the pickle")
        _, kind, key, _device, elements, _view = pid
        if kind not in _TYPES or not isinstance(elements, int) or not 0 <= elements <= _MAX_ELEMENTS:
            raise WeightsError(f"a storage of unknown type or size: {kind!r}, {elements!r}")
        return Storage(str(key), kind, elements)


def read_state_dict(path: Path) -> Dict[str, Dense]:
    """The tensors of a `.pth` file by their names."""
    with path.open("rb") as file:
        magic, protocol, system = (_StateDictUnpickler(file).load() for _ in range(3))
        if magic != _MAGIC or protocol != _PROTOCOL or not system.get("little_endian"):
            raise WeightsError(f"{path.name} is no state dict of the layout that is read here")
        tensors = _StateDictUnpickler(file).load()
        keys = _StateDictUnpickler(file).load()
        named = {t.storage.key: t.storage for t in tensors.values()}
        data = {key: _read_storage(file, named[key]) for key in keys}
    return {
        name: (_TYPES[tensor.storage.kind][1], tensor.shape, _row_major(tensor, data[tensor.storage.key]))
        for name, tensor in tensors.items()
    }


def _read_storage(file: BinaryIO, storage: Storage) -> array.array:
    (count,) = struct.unpack("<q", file.read(8))
    if count != storage.elements:
        raise WeightsError(f"storage {storage.key} has {count} elements where the pickle says {storage.elements}")
    values = array.array(_TYPES[storage.kind][0])
    values.frombytes(file.read(count * values.itemsize))
    if len(values) != count:
        raise WeightsError("the file ends early")
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _row_major(tensor: Tensor, data: array.array) -> bytes:
    # Dimensions of one element say nothing about the order; without them the last one is long and a slice copies it.
    dims: List[Tuple[int, int]] = [(d, s) for d, s in zip(tensor.shape, tensor.stride) if d != 1]
    out = array.array(data.typecode)
    last, step = dims[-1] if dims else (1, 1)
    for start in _starts(dims[:-1], tensor.offset):
        out.extend(data[start : start + (last - 1) * step + 1 : step])
    if sys.byteorder == "big":
        out.byteswap()
    return out.tobytes()


def _starts(dims: Sequence[Tuple[int, int]], offset: int) -> Iterator[int]:
    if not dims:
        yield offset
        return
    size, step = dims[0]
    for index in range(size):
        yield from _starts(dims[1:], offset + index * step)


def write_safetensors(path: Path, tensors: Dict[str, Dense], metadata: Dict[str, str]) -> None:
    """Writes tensors as one safetensors file; names are sorted, so that the same tensors make the same bytes."""
    header: Dict[str, object] = {"__metadata__": metadata}
    position = 0
    for name in sorted(tensors):
        kind, shape, data = tensors[name]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [position, position + len(data)]}
        position += len(data)
    text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in sorted(tensors):
            file.write(tensors[name][2])
