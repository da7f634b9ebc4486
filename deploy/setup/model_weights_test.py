"""python3 -m unittest discover -s deploy/setup -p '*_test.py'"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import tempfile
import types
import unittest
from collections import OrderedDict
from pathlib import Path
from typing import Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from model_weights import WeightsError, read_state_dict, write_safetensors  # noqa: E402


class _Reference:
    """Stands for a storage while pickling."""

    def __init__(self, kind: type, elements: int) -> None:
        self.pid = ("storage", kind, "s0", "cpu", elements, None)


class _Rebuilt:
    """Pickles as PyTorch pickles a tensor."""

    def __init__(self, storage: _Reference, shape: Tuple[int, ...], stride: Tuple[int, ...]) -> None:
        self.parts = (storage, 0, shape, stride, False, OrderedDict())

    def __reduce__(self) -> Tuple[object, Tuple[object, ...]]:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.parts


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> Optional[Tuple[object, ...]]:
        return obj.pid if isinstance(obj, _Reference) else None


def _state_dict(shape: Tuple[int, ...], stride: Tuple[int, ...], elements: int = 6) -> bytes:
    """A `.pth` file with one tensor `w` over the values 0, 1, 2, …"""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    kind = type("FloatStorage", (), {"__module__": "torch"})
    torch.FloatStorage = kind
    exec("def _rebuild_tensor_v2(*parts): pass", utils.__dict__)
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        out = io.BytesIO()
        tensors = OrderedDict(w=_Rebuilt(_Reference(kind, elements), shape, stride))
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, tensors, ["s0"]):
            _Pickler(out, protocol=2).dump(part)
    finally:
        del sys.modules["torch"], sys.modules["torch._utils"]
    return out.getvalue() + struct.pack(f"<q{elements}f", elements, *range(elements))


class ReadStateDict(unittest.TestCase):
    def read(self, data: bytes) -> Tuple[float, ...]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "w.pth"
            file.write_bytes(data)
            _, shape, values = read_state_dict(file)["w"]
        self.assertEqual(shape, (2, 3))
        return struct.unpack("<6f", values)

    def test_a_dense_tensor_keeps_its_order(self) -> None:
        self.assertEqual(self.read(_state_dict((2, 3), (3, 1))), (0, 1, 2, 3, 4, 5))

    def test_a_transposed_tensor_is_laid_in_rows(self) -> None:
        self.assertEqual(self.read(_state_dict((2, 3), (1, 2))), (0, 2, 4, 1, 3, 5))

    def test_a_tensor_past_its_storage_is_refused(self) -> None:
        with self.assertRaises(WeightsError):
            self.read(_state_dict((2, 3), (4, 1)))

    def test_a_file_that_ends_early_is_refused(self) -> None:
        with self.assertRaises(WeightsError):
            self.read(_state_dict((2, 3), (3, 1))[:-4])

    def test_a_pickle_that_calls_a_program_is_refused(self) -> None:
        class Attack:
            def __reduce__(self) -> Tuple[object, Tuple[object, ...]]:
                return os.system, ("exit 1",)

        with self.assertRaisesRegex(WeightsError, "system"):
            self.read(pickle.dumps(Attack(), protocol=2))


class WriteSafetensors(unittest.TestCase):
    def test_the_header_gives_each_tensor_its_bytes(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "m.safetensors"
            write_safetensors(file, {"b": ("F32", (1,), b"bbbb"), "a": ("I64", (1,), b"aaaaaaaa")}, {"format": "pt"})
            data = file.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
        self.assertEqual(length % 8, 0)
        self.assertEqual({n: body[slice(*header[n]["data_offsets"])] for n in "ab"}, {"a": b"aaaaaaaa", "b": b"bbbb"})


if __name__ == "__main__":
    unittest.main()
