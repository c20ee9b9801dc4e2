"""Compiles device code with NVRTC alone, which needs neither a GPU nor a driver: for checks of what a card would run.

CuPy compiles for the card at hand by itself; nothing here is needed to simulate.
"""

import ctypes
import ctypes.util
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pulse_assets.simulation.kernel.device import DEVICE_FLAGS

FOLDERS = ("nvidia.cuda_nvrtc", "nvidia.cu13")
"""Where the packages nvidia-cuda-nvrtc-cu12 and nvidia-cuda-nvrtc put the library."""


@dataclass(frozen=True)
class Compiled:
    """What NVRTC made of a text: PTX, and its log, where the assembler reports if ``--ptxas-options=-v`` asks it to."""

    ptx: str
    log: str


def find_nvrtc() -> str | None:
    """Return the path or name of NVRTC's library, or None if there is none."""
    for name in FOLDERS:
        package = importlib.util.find_spec("nvidia") and importlib.util.find_spec(name)
        for folder in (package.submodule_search_locations or ()) if package else ():
            found = sorted(path for path in Path(folder).glob("lib/libnvrtc.so.*") if "alt" not in path.name)
            if found:
                return str(found[0])
    return ctypes.util.find_library("nvrtc")


def compile_cuda(source: str, architecture: str, options: Sequence[str] = DEVICE_FLAGS) -> Compiled:
    """Return device code compiled for an architecture.

    Parameters
    ----------
    source
        From :func:`~pulse_assets.simulation.kernel.device.program_source`.
    architecture
        ``compute_90`` stops at PTX, ``sm_90`` goes on to machine code.
    options
        Options of NVRTC.

    Raises
    ------
    RuntimeError
        There is no NVRTC.
    ValueError
        It does not take the text; the message is its log.
    """
    library = find_nvrtc()
    if library is None:
        raise RuntimeError("no NVRTC: install nvidia-cuda-nvrtc-cu12 (Linux x86-64), or the CUDA toolkit")
    nvrtc, program = ctypes.CDLL(library), ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"paths.cu", 0, None, None)
    try:
        passed = [f"--gpu-architecture={architecture}", *options]
        array = (ctypes.c_char_p * len(passed))(*(option.encode() for option in passed))
        failed = nvrtc.nvrtcCompileProgram(program, len(passed), array)
        log = _text(nvrtc, program, "ProgramLog")
        if failed:
            raise ValueError(log)
        return Compiled(_text(nvrtc, program, "PTX"), log)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> str:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, text)
    return text.value.decode()
