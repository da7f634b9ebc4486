"""What a viewer shows first of a DICOM file, by pydicom and numpy: the reference of what we make of one."""

from __future__ import annotations

from typing import BinaryIO, Optional

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

WHITE = 255.0


def shown(path: str | BinaryIO, frame: int = 0) -> np.ndarray:
    """[H, W, 3] u8: one frame, counted from 0."""
    file = pydicom.dcmread(path)
    # Of one bit a sample, a frame may begin within a byte, where pydicom cannot read it alone.
    alone = file.BitsAllocated > 1 or frame == 0
    pixels = pixel_array(file, index=frame) if alone else pixel_array(file)[frame]
    if file.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, file)
        return (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8)
    if pixels.ndim == 3:
        return (pixels >> (file.BitsStored - 8)).astype(np.uint8)
    shades = np.clip(_shades(file, pixels, frame), 0, WHITE)
    if file.PhotometricInterpretation == "MONOCHROME1":
        shades = WHITE - shades
    return np.repeat(np.floor(shades + 0.5).astype(np.uint8)[..., None], 3, axis=-1)


def _shades(file: Dataset, pixels: np.ndarray, frame: int) -> np.ndarray:
    """From black, 0, to white, 255, unrounded."""
    for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
        file.update(_of_frame(file, name, frame))
    linear = (file.get("RescaleSlope"), file.get("RescaleIntercept"))
    rescaled = "ModalityLUTSequence" in file or (None not in linear and linear != (1, 0))
    # Wide, since pydicom takes a table's first value, which may be negative, from the pixels as they are.
    values = apply_modality_lut(pixels.astype(np.int64), file).astype(np.float64)
    if "VOILUTSequence" in file:
        return _by_table(file.VOILUTSequence[0], values, _below_zero(file))
    center, width = _first(file.get("WindowCenter")), _first(file.get("WindowWidth"))
    if center is not None and width is not None:
        return _by_window(str(file.get("VOILUTFunction", "LINEAR")), float(center), float(width), values)
    if file.BitsStored <= 8 and not rescaled and file.PixelRepresentation == 0:
        return pixels * WHITE / (2 ** file.BitsStored - 1)
    counted = values
    if "PixelPaddingValue" in file:
        first = file.PixelPaddingValue
        ends = sorted((first, file.get("PixelPaddingRangeLimit", first)))
        counted = values[(pixels < ends[0]) | (pixels > ends[1])]
    low, high = counted.min(), counted.max()
    return (values - low) / (high - low) * WHITE if high > low else values * 0


def _of_frame(file: Dataset, name: str, frame: int) -> Dataset:
    """What a newer multi-frame file says of a frame, or else of all."""
    for groups, item in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        if groups in file and item < len(file[groups].value) and name in file[groups].value[item]:
            return file[groups].value[item][name].value[0]
    return Dataset()


def _first(value: object) -> object:
    return value[0] if isinstance(value, MultiValue) else value


def _below_zero(file: Dataset) -> Optional[bool]:
    """Whether the rescale may make values below 0; none where the file writes types, so that the table says it itself."""
    if not file.original_encoding[0]:
        return None
    lowest = -(2 ** (file.BitsStored - 1)) if file.PixelRepresentation else 0
    ends = np.array([lowest, lowest + 2 ** file.BitsStored - 1])
    return bool((apply_modality_lut(ends, file) < 0).any())


def _by_table(item: Dataset, values: np.ndarray, below_zero: Optional[bool]) -> np.ndarray:
    count, first, bits = item.LUTDescriptor
    if below_zero is not None:
        # pydicom takes its type from the stored values' sign.
        first = first % 65536 - (65536 if below_zero and first % 65536 >= 32768 else 0)
    entries = item.LUTData
    if isinstance(entries, bytes):
        entries = np.frombuffer(entries, np.uint16)
    places = np.clip(values.astype(np.int64) - first, 0, (count or 65536) - 1)
    return np.asarray(entries, np.float64)[places] / (2 ** bits - 1) * WHITE


def _by_window(function: str, center: float, width: float, values: np.ndarray) -> np.ndarray:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return WHITE / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    inside = ((values - center) / width + 0.5) * WHITE if width > 0 else values * 0
    return np.where(values <= center - width / 2, 0, np.where(values > center + width / 2, WHITE, inside))
