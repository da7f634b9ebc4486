"""libtorch for the CPU, taken out of the PyTorch wheel: lib/, include/ and build-version.

How the `torch-sys` crate finds it (its build script, version 0.24):
- `LIBTORCH_USE_PYTORCH`, set to anything at all, even "0", wins: libtorch is then that of the `torch`
  that `python3` imports (`python` in a virtual environment), and `LIBTORCH` is not read.
- else `LIBTORCH` names the folder: headers in `include` and `include/torch/csrc/api/include`, libraries
  in `lib`, the version in `build-version`. `LIBTORCH_INCLUDE` and `LIBTORCH_LIB` may replace the folder
  for either. A `build-version` other than the crate's is refused unless `LIBTORCH_BYPASS_VERSION_CHECK`
  is set; without that file nothing is checked.
- The C++11 ABI is taken to be 1 unless `LIBTORCH_CXX11_ABI` says otherwise; the wheel is built with 1.
So `.cargo/config.toml` needs one entry, not forced, and the variables above keep their meaning:
    [env]
    LIBTORCH = { value = ".local/libtorch", relative = true }
"""

import os
import shutil
import zipfile
from pathlib import Path
from typing import Dict, Optional

import paths
from download import Files, say
from errors import SetupError
from process import run
from unpack import install

# libtorch_cpu.so of the registry's build needs the last two to load; they need no GPU.
_LIBRARIES: Dict[str, str] = {
    "torch/lib/libtorch_cpu.so": "torch",
    "torch/lib/libc10.so": "torch",
    "torch/lib/libgomp.so.1": "torch",
    "nvidia/cu13/lib/libcudart.so.13": "nvidia-cuda-runtime",
    "nvidia/cu13/lib/libcupti.so.13": "nvidia-cuda-cupti",
}


def setup() -> None:
    chosen = _elsewhere()
    if chosen is not None:
        say(f"libtorch: nothing to fetch, {chosen}={os.environ[chosen]} is set")
        return
    install("libtorch", "libtorch 1", paths.LIBTORCH, _fill)


def _elsewhere() -> Optional[str]:
    """The environment variable by which the user brings their own libtorch, if any."""
    if "LIBTORCH_USE_PYTORCH" in os.environ:
        return "LIBTORCH_USE_PYTORCH"
    folder = os.environ.get("LIBTORCH")
    # Cargo's configuration may have set it to the very folder that is filled here.
    if folder and Path(folder).resolve() != paths.LIBTORCH:
        return "LIBTORCH"
    return None


def _fill(files: Files, target: Path) -> None:
    lib = target / "lib"
    lib.mkdir()
    for member, package in _LIBRARIES.items():
        with zipfile.ZipFile(files[package]) as archive:
            try:
                source = archive.open(member)
            except KeyError:
                raise SetupError(f"{files[package].name} holds no {member}: correct deploy/setup/libtorch.py") from None
            with source, (lib / Path(member).name).open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    for package, file in files.items():
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                if package == "torch" and member.startswith("torch/include/"):
                    _extract(archive, member, target / member[len("torch/"):])
                # The licences travel with the libraries.
                elif ".dist-info/" in member and Path(member).name.upper().startswith(("LICENSE", "NOTICE")):
                    _extract(archive, member, target / "licenses" / package / Path(member).name)
    _make_umbrella(lib)
    version = files["torch"].name.split("-")[1]
    (target / "build-version").write_text(f"{version}+cpu\n")


def _extract(archive: zipfile.ZipFile, member: str, file: Path) -> None:
    if member.endswith("/"):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(archive.read(member))


def _make_umbrella(lib: Path) -> None:
    """`torch-sys` links `-ltorch`. The wheel's own libtorch.so needs CUDA, so make one that does not."""
    source = lib / "empty.c"
    source.write_text("")
    run(
        [
            "gcc", "-shared", "-o", "libtorch.so", "empty.c", "-Wl,-soname,libtorch.so", "-Wl,--no-as-needed",
            "-L.", "-ltorch_cpu", "-lc10", "-Wl,-rpath,$ORIGIN", "-Wl,--unresolved-symbols=ignore-in-shared-libs",
        ],
        what="linking libtorch.so",
        remedy="install gcc (Debian: apt-get install gcc)",
        cwd=lib,
    )
    source.unlink()
