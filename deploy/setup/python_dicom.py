"""pydicom, its decoders and its real DICOM files: what ours are held against."""

import paths
import venv_lock


def setup() -> None:
    venv_lock.install("python-dicom", "dicom", paths.VENV_DICOM)
