"""Runs programs through the C compiler of this machine: what a GPU must say, without one.

For tests, and for people who want to see that the device code has the bits of the CPU's kernel. It takes one path after
another and is slow; the fast way on a CPU is :func:`~pulse_assets.simulation.engine.simulate`.
"""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from pulse_assets.simulation.engine import BlockResult
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.device import HOST_FLAGS, check_launch, device_source, program_source
from pulse_assets.simulation.kernel.philox import key
from pulse_assets.simulation.program import Program

COMPILERS = ("cc", "gcc", "clang")


def host_simulate(
    program: Program, seed: int, first: int, paths: int, flags: Sequence[str] = (), *, is_folded: bool = True
) -> BlockResult:
    """Simulate paths ``first`` to ``first + paths - 1`` with the device code as a C compiler builds it.

    Parameters
    ----------
    program
        From :func:`~pulse_assets.simulation.program.build`, without given drivers and traces.
    seed, first, paths
        As :func:`~pulse_assets.simulation.engine.simulate` takes them.
    flags
        Further options of the compiler, such as ``-O3`` or ``-march=native``; none may change a bit.
    is_folded
        Write sizes and offsets of the program in as literals, as for a GPU.

    Raises
    ------
    ValueError
        The range is empty or beyond 2^40, or the program is one that device code has no place for.
    RuntimeError
        There is no C compiler on PATH, or it does not take the text.
    """
    check_launch(program, first, paths)
    source = program_source(program) if is_folded else device_source(program.rows, program.rules)
    library = compile_host(source, tuple(flags))
    outcomes, counts = np.empty((H.OUTCOMES, paths), np.float32), np.zeros(program.counts, np.int64)
    k0, k1 = key(seed)
    library.pulse_paths(
        *(ctypes.c_longlong(number) for number in (first, paths)),
        *(ctypes.c_ulonglong(int(word)) for word in (k0, k1)),
        ctypes.c_longlong(program.steps),
        *(ctypes.c_void_p(array.ctypes.data) for array in (program.floats, program.ints, outcomes, counts)),
    )
    return BlockResult(first, outcomes, counts)


@lru_cache(maxsize=16)
def compile_host(source: str, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Return C text as a library in this process; its file is gone again when this returns.

    Raises
    ------
    RuntimeError
        There is no C compiler on PATH, or it does not take the text.
    """
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise RuntimeError(
            f"no C compiler on PATH; looked for {', '.join(COMPILERS)}. Install one, or use the CPU's kernel"
        )
    with tempfile.TemporaryDirectory(prefix="pulse-host-") as folder:
        text, library = Path(folder) / "paths.c", Path(folder) / "paths.so"
        text.write_text(source, encoding="utf-8")
        command = [compiler, *HOST_FLAGS, *flags, str(text), "-o", str(library), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own text
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed with {done.returncode}: {done.stderr}")
        return ctypes.CDLL(str(library))
