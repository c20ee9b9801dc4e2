"""What simulations are held to beside speed: the floor of the processor, memory, and one SHA-256 wherever they run.

``python -m benchmarks.simulation_bounds PATHS`` is the process whose memory is measured; it prints one JSON object.

The floor of W1 is what no arrangement of the same arithmetic goes below: normals, and a triangular product at the speed
of a large one:

    floor = draw + (64 + 1) · sgemm     ns an asset-step

where ``draw`` is the engine's own kernel of normals alone, ns a normal (a bare Philox4x32-10 and the rest, the
transform, are told apart), a triangular product of 64 rows has 64 · 65 / 2 multiply-adds a step, 65 operations an
asset-step, and ``sgemm`` is NumPy's product of two 768 × 768 float32 matrices on one thread, ns an operation.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.report import measured

if TYPE_CHECKING:
    from pulse_assets.simulation.engine import BlockResult
    from pulse_assets.simulation.program import Program

CHUNKS = (512, 1000, 4096, 65_536)
MODES = ("inline", "threads", "local:1", "local:2", "local:4")
"""Where blocks run, and how many Dask workers there are."""
SAME_PATHS = 66_000
"""Paths of a run that is repeated everywhere: more than the largest chunk, and no multiple of any."""
SEED, BLOCK, SGEMM_SIZE, DRAWS = 7, 65_536, 768, 100
MIB = 2**20


def draws_ns() -> tuple[Callable[[], float], Callable[[], float]]:
    """Return two measurements, ns of CPU a number each: raw Philox words, and the engine's normals."""
    from numba import njit

    from pulse_assets.simulation.kernel import philox
    from pulse_assets.simulation.kernel.drivers import draw_drivers
    from pulse_assets.simulation.kernel.intrinsics import LANES, U64, F32s, U64s, at, from_bits, low_word

    rows = 64
    low, word, by_0, by_1 = philox.LOW, philox.WORD, philox.MULTIPLIER_0, philox.MULTIPLIER_1
    weyl_0, weyl_1 = philox.WEYL_0, philox.WEYL_1

    @njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def words(work: F32s, ids: U64s, k0: U64, k1: U64, t: int) -> None:
        """Two blocks side by side, since the rounds of one wait for each other."""
        for block in range(0, rows // 4, 2):
            for lane in range(LANES):
                p0, p1, p2, p3 = ids[lane] & low, U64(0), U64(t), U64(block)
                q0, q1, q2, q3 = ids[lane] & low, U64(0), U64(t), U64(block + 1)
                a, b = k0, k1
                for _ in range(10):
                    x0, x1 = by_0 * p0, by_1 * p2
                    y0, y1 = by_0 * q0, by_1 * q2
                    p0, p1, p2, p3 = (x1 >> word) ^ p1 ^ a, x1 & low, (x0 >> word) ^ p3 ^ b, x0 & low
                    q0, q1, q2, q3 = (y1 >> word) ^ q1 ^ a, y1 & low, (y0 >> word) ^ q3 ^ b, y0 & low
                    a, b = (a + weyl_0) & low, (b + weyl_1) & low
                work[at(4 * block, lane)] = from_bits(low_word(p0))
                work[at(4 * block + 1, lane)] = from_bits(low_word(p1))
                work[at(4 * block + 2, lane)] = from_bits(low_word(p2))
                work[at(4 * block + 3, lane)] = from_bits(low_word(p3))
                work[at(4 * block + 4, lane)] = from_bits(low_word(q0))
                work[at(4 * block + 5, lane)] = from_bits(low_word(q1))
                work[at(4 * block + 6, lane)] = from_bits(low_word(q2))
                work[at(4 * block + 7, lane)] = from_bits(low_word(q3))

    @njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def all_words(work: F32s, ids: U64s, k0: U64, k1: U64) -> None:
        for t in range(DRAWS):
            words(work, ids, k0, k1, t)

    @njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def all_normals(work: F32s, ids: U64s, k0: U64, k1: U64) -> None:
        for t in range(DRAWS):
            draw_drivers(work, 0, rows, ids, k0, k1, 0, t)

    work, ids = aligned(rows * LANES), np.arange(LANES, dtype=np.uint64)

    def timed(fill: Callable[..., None]) -> float:
        started = time.process_time()
        fill(work, ids, *philox.key(SEED))
        return 1e9 * (time.process_time() - started) / (DRAWS * rows * LANES)

    return partial(timed, all_words), partial(timed, all_normals)


def sgemm_ns() -> float:
    """Return the CPU time of an operation (of two in a multiply-add) in a large product, ns."""
    a = np.random.default_rng(SEED).random((SGEMM_SIZE, SGEMM_SIZE), np.float32)
    out = np.empty_like(a)
    started = time.process_time()
    for _ in range(4):
        np.matmul(a, a, out=out)
    return 1e9 * (time.process_time() - started) / (4 * 2 * SGEMM_SIZE**3)


def aligned(numbers: int) -> npt.NDArray[np.float32]:
    """Return zeros that begin where a cache line does."""
    raw = np.zeros(numbers + 16, np.float32)
    first = -raw.ctypes.data % 64 // 4
    return raw[first : first + numbers]


def memory(paths: int) -> dict[str, float]:
    """Return MiB of resident memory of a fresh process: before Pulse is imported, warm, and at most; and seconds."""
    command = [sys.executable, "-m", "benchmarks.simulation_bounds", str(paths)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(shown.stdout)
    return found


def run_for_memory(paths: int) -> dict[str, float]:
    """Simulate W2 block by block, keeping four numbers a path, and watch this process."""
    process = psutil.Process()
    bare = process.memory_info().rss / MIB

    from benchmarks.simulation_jobs import w1
    from pulse_assets.simulation.engine import batches, simulate

    program = w1(tracked=True)
    simulate(program, SEED, 0, BLOCK // 16)
    warm = process.memory_info().rss / MIB
    with measured() as cost:
        outcomes = np.zeros((4, paths), np.float32)
        for first, count in batches(0, paths, BLOCK):
            outcomes[:, first : first + count] = simulate(program, SEED, first, count).outcomes
    assert np.all(np.isfinite(outcomes))
    return {"bare_mib": bare, "warm_mib": warm, "peak_mib": cost.peak_mib, "cpu_s": cost.cpu_s}


def digests() -> Iterator[tuple[str, int, str]]:
    """Yield where blocks ran, how many paths one had, and the SHA-256 of all outcomes and counts of the full world."""
    from benchmarks.simulation_jobs import full
    from pulse_assets.simulation.engine import batches
    from pulse_resources.compute import Compute

    program = full(has_rules=True, is_recorded=True)
    for where in MODES:
        mode, _, workers = where.partition(":")
        compute = Compute(mode=mode, workers=int(workers) if workers else None)
        try:
            for chunk in CHUNKS:
                blocks = batches(0, SAME_PATHS, chunk)
                yield where, chunk, _digest(compute.map_blocks(partial(_block, program), blocks), program.counts)
        finally:
            compute.close()


def _block(program: "Program", block: tuple[int, int]) -> "BlockResult":
    from pulse_assets.simulation.engine import simulate

    return simulate(program, SEED, *block)


def _digest(results: Iterator["BlockResult"], size: int) -> str:
    counts, outcomes = np.zeros(size, np.int64), []
    for result in results:
        outcomes.append(result.outcomes)
        counts += result.counts
    whole = np.ascontiguousarray(np.concatenate(outcomes, axis=1))
    return hashlib.sha256(whole.tobytes() + counts.tobytes()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_for_memory(int(sys.argv[1]))))
