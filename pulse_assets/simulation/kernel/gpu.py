"""Runs programs on a GPU, a thread a path, with the bits of the CPU's kernel.

The device code is compiled by NVRTC for the device at hand and kept, so programs of one shape are compiled once. A
device is asked for known answers before it is first used. What belongs here: arrays on the device and the launch.
Whether a GPU is wanted is the caller's business, and CuPy is imported only when one is.

A path with a number that is not finite may carry other bits of NaN than on a CPU; such paths are counted as broken.
"""

import importlib
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from types import ModuleType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from pulse_assets.numerics.gpu import gpu_problem
from pulse_assets.simulation.engine import BlockResult
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.device import (
    CONSTANT_FLOATS,
    DEVICE_FLAGS,
    THREADS_A_BLOCK,
    check_launch,
    probe_source,
    program_source,
)
from pulse_assets.simulation.kernel.intrinsics import I64, LANES, U64
from pulse_assets.simulation.kernel.philox import draw_normal_rows, key
from pulse_assets.simulation.program import Program

PATHS_AT_ONCE = 2**20
"""Paths of one launch: 16 MiB of outcomes on the device."""
KNOWN_COUNTER = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)
KNOWN_WORDS = (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)
"""A counter and key and what Philox4x32-10 makes of them, from the authors' test file (kat_vectors of Random123)."""


class _Kernel(Protocol):
    def __call__(self, grid: tuple[int], block: tuple[int], arguments: tuple[object, ...]) -> None:
        """Launch."""


@dataclass(frozen=True, eq=False)
class _Module:
    """Device code of programs of one shape; one launch at a time, because constant memory is theirs in common."""

    kernel: _Kernel
    constants: Any
    lock: Lock = field(default_factory=Lock)


def gpu_simulate(program: Program, seed: int, first: int, paths: int) -> BlockResult:
    """Simulate paths ``first`` to ``first + paths - 1`` on the current CUDA device.

    Parameters
    ----------
    program
        From :func:`~pulse_assets.simulation.program.build`, without given drivers and traces.
    seed, first, paths
        As :func:`~pulse_assets.simulation.engine.simulate` takes them, which gives the same bits.

    Raises
    ------
    ValueError
        The range is empty or beyond 2^40, or the program is one that device code has no place for.
    RuntimeError
        There is no CuPy, no device, or the device does not give the known answers.
    """
    check_launch(program, first, paths)
    cupy = _cupy()
    device = int(cupy.cuda.Device().id)
    check_device(device)
    module, floats, ints = _on_device(cupy, program, device)
    outcomes = np.empty((H.OUTCOMES, paths), np.float32)
    counts = cupy.zeros(program.counts, np.int64)
    head = (*key(seed), np.int64(program.steps), floats, ints)
    for start in range(0, paths, PATHS_AT_ONCE):
        count = min(PATHS_AT_ONCE, paths - start)
        made = cupy.empty((H.OUTCOMES, count), np.float32)
        with module.lock:
            if module.constants is not None:
                module.constants.copy_from_device_async(floats.data, floats.nbytes)
            blocks = -(-count // THREADS_A_BLOCK)
            module.kernel(
                (blocks,), (THREADS_A_BLOCK,), (np.int64(first + start), np.int64(count), *head, made, counts)
            )
            outcomes[:, start : start + count] = cupy.asnumpy(made)
    return BlockResult(first, outcomes, np.asarray(cupy.asnumpy(counts)))


@lru_cache(maxsize=64)
def check_device(device: int) -> None:
    """Ask the current device, number ``device``, for words and normals that are known; once in a process.

    Raises
    ------
    RuntimeError
        It gives others.
    """
    cupy = _cupy()
    kernel = cupy.RawModule(code=probe_source(), options=DEVICE_FLAGS, backend="nvrtc").get_function("pulse_probe")
    counters = cupy.asarray(np.array(KNOWN_COUNTER, np.uint64))
    words, normals = cupy.zeros(4, np.uint64), cupy.zeros(4, np.float32)
    kernel((1,), (1,), (counters, words, normals))
    drawn = tuple(int(word) for word in cupy.asnumpy(words))
    made, known = cupy.asnumpy(normals), _known_normals()
    if drawn != KNOWN_WORDS or made.tobytes() != known.tobytes():
        message = (
            f"device {device} draws {_hexadecimal(drawn)} and normals {made} where Philox4x32-10 gives "
            f"{_hexadecimal(KNOWN_WORDS)} and the CPU {known}. Its results would not be those of a CPU: "
            "update its driver and CuPy, or run on the CPU"
        )
        raise RuntimeError(message)


def _known_normals() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the CPU's normals of the counter that the probe draws from."""
    work, ids = np.empty(4 * LANES, np.float32), np.full(LANES, KNOWN_COUNTER[0], np.uint64)
    k0, k1 = (U64(word) for word in KNOWN_COUNTER[4:])
    draw_normal_rows(work, I64(0), ids, k0, k1, I64(0), I64(0), I64(1), I64(2))
    return work[::LANES].copy()


def _hexadecimal(words: tuple[int, ...]) -> str:
    return " ".join(f"{word:08x}" for word in words)


def _cupy() -> ModuleType:
    problem = gpu_problem()
    if problem is not None:
        message = f"a simulation on a GPU needs one, but {problem}. A CPU gives the same bits: use the device `cpu`"
        raise RuntimeError(message)
    return importlib.import_module("cupy")


@lru_cache(maxsize=64)
def _compiled(source: str, device: int, has_constants: bool) -> _Module:  # noqa: ARG001 - a key of the cache
    cupy = _cupy()
    module = cupy.RawModule(code=source, options=DEVICE_FLAGS, backend="nvrtc")
    return _Module(module.get_function("pulse_paths"), module.get_global("pulse_floats") if has_constants else None)


_loaded: WeakKeyDictionary[Program, dict[int, tuple[_Module, Any, Any]]] = WeakKeyDictionary()


def _on_device(cupy: ModuleType, program: Program, device: int) -> tuple[_Module, Any, Any]:
    """Return the module, the parameters and the whole numbers of a program on the current device, made there once."""
    places = _loaded.setdefault(program, {})
    if device not in places:
        module = _compiled(program_source(program), device, len(program.floats) <= CONSTANT_FLOATS)
        places[device] = module, cupy.asarray(program.floats), cupy.asarray(program.ints)
    return places[device]
