"""Runs a program: blocks of paths, single paths again, and what they leave behind. Pure.

A block is any range of path numbers. What a path does depends on its number alone, so blocks of any size, in any order
and place, give the same bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.block import run_block
from pulse_assets.simulation.kernel.compile import rules_address
from pulse_assets.simulation.kernel.intrinsics import I64, LANES
from pulse_assets.simulation.kernel.philox import MOST_PATHS, key
from pulse_assets.simulation.program import Program

F32s = npt.NDArray[np.float32]
I64s = npt.NDArray[np.int64]
U64s = npt.NDArray[np.uint64]

CACHE_LINE = 64


@dataclass(frozen=True, eq=False)
class BlockResult:
    """What a range of paths left behind.

    Attributes
    ----------
    first
        Number of the first path.
    outcomes
        Profit at the end (USD), worst drawdown, steps under water, worst profit on the way; shape ``(4, paths)``.
    counts
        Counters and histograms, see :class:`~pulse_assets.simulation.program.Program`.
    """

    first: int
    outcomes: F32s
    counts: I64s


def simulate(program: Program, seed: int, first: int, paths: int, given: F32s | None = None) -> BlockResult:
    """Simulate paths ``first`` to ``first + paths - 1``.

    Parameters
    ----------
    program
        From :func:`~pulse_assets.simulation.program.build`.
    seed
        Any integer, modulo 2^64.
    first, paths
        Range of path numbers, below 2^40.
    given
        Independent drivers, shape ``(paths, steps, V)``, for a program built with ``given``.

    Raises
    ------
    ValueError
        The range is empty or beyond 2^40, or drivers are missing, not wanted, or of another shape.
    """
    if first < 0 or paths < 1 or first + paths > MOST_PATHS:
        raise ValueError(f"expected 1 or more paths within 0 … {MOST_PATHS:,}, got {paths:,} from {first:,} on")
    _refuse_misfit(program, paths, given)
    runner = _Runner(program, seed)
    outcomes = np.empty((H.OUTCOMES, paths), np.float32)
    for start in range(0, paths, LANES):
        ids = np.arange(first + start, first + start + LANES, dtype=np.uint64)
        valid = min(LANES, paths - start)
        part = None if given is None else given[start : start + valid]
        outcomes[:, start : start + valid] = runner.run(ids, valid, part)[:, :valid]
    return BlockResult(first, outcomes, runner.counts)


def _refuse_misfit(program: Program, paths: int, given: F32s | None) -> None:
    """Refuse drivers that the kernel would read beyond."""
    is_wanted = bool(program.ints[H.GIVEN])
    came = None if given is None else given.shape
    expected = (paths, program.steps, program.offset(H.ASSETS) + program.offset(H.FACTORS)) if is_wanted else None
    if came != expected:
        raise ValueError(f"expected drivers of shape {expected} (None for a program that draws its own), got {came}")


def replay(program: Program, seed: int, paths: U64s) -> F32s:
    """Return the traced steps of some paths, for a program built with ``traced``.

    Parameters
    ----------
    paths
        Numbers of the paths, shape ``(P,)``, in any order.

    Returns
    -------
    array
        Shape ``(P, steps, traced_rows)``: variables on their scale, measures, regime, variances, fires of each rule.
    """
    _refuse_misfit(program, len(paths), None)
    runner = _Runner(program, seed)
    steps, rows = traced_steps(program), program.traced_rows
    traces = np.empty((len(paths), steps, rows), np.float32)
    for start in range(0, len(paths), LANES):
        part = np.asarray(paths[start : start + LANES], np.uint64)
        ids = np.concatenate([part, np.full(LANES - len(part), part[-1])])
        runner.run(ids, len(part))
        trace = runner.trace.reshape(steps, rows, LANES)
        traces[start : start + len(part)] = trace[..., : len(part)].transpose(2, 0, 1)
    return traces


def states_at(program: Program, seed: int, paths: int, variables: int) -> F32s:
    """Return the first variables on paths 0, 1, … at each traced step, a variable's members side by side.

    Parameters
    ----------
    program
        Built with ``traced``.
    seed
        Any integer, modulo 2^64.
    paths
        m of them.
    variables
        V, the first ones of the world: as many as there are assets for assets.

    Returns
    -------
    array
        Shape ``(S, V, m)``: what :func:`replay` gives, the other way round and without its copies.
    """
    runner = _Runner(program, seed)
    steps = traced_steps(program)
    members = np.empty((steps, variables, paths), np.float32)
    for start in range(0, paths, LANES):
        valid = min(LANES, paths - start)
        runner.run(np.arange(start, start + LANES, dtype=np.uint64), valid)
        trace = runner.trace.reshape(steps, program.traced_rows, LANES)
        members[:, :, start : start + valid] = trace[:, :variables, :valid]
    return members


def traced_steps(program: Program) -> int:
    """Return how many steps a trace holds."""
    kept = {H.EVERY_STEP: program.steps, H.RECORDED_STEPS: len(program.recorded)}
    return kept.get(program.offset(H.TRACED), 0)


def batches(first: int, paths: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield ``(first, paths)`` of consecutive blocks of at most ``size`` paths."""
    for start in range(first, first + paths, size):
        yield start, min(size, first + paths - start)


class _Runner:
    """Scratch memory and parameters of a program, ready to run lanes after lanes."""

    def __init__(self, program: Program, seed: int) -> None:
        self.program = program
        self.key = key(seed)
        self.ints = program.ints.copy()
        self.ints[H.RULES_ADDRESS] = rules_address(program.rules)
        self.work = _aligned(program.rows * LANES)
        self.outcome = np.empty(H.OUTCOMES * LANES, np.float32)
        self.counts = np.zeros(program.counts, np.int64)
        self.signs = np.ones(LANES, np.float32)
        self.trace = np.empty(self._traced() * LANES, np.float32)
        self.is_antithetic = bool(program.ints[H.ANTITHETIC])

    def run(self, ids: U64s, valid: int, given: F32s | None = None) -> F32s:
        """Run one set of lanes; return their outcomes, shape ``(4, LANES)``, overwritten by the next call."""
        if self.is_antithetic:
            self.signs[:] = 1.0 - 2.0 * (ids & np.uint64(1)).astype(np.float32)
            ids = ids >> np.uint64(1)
        run_block(
            ids,
            self.signs,
            I64(valid),
            *self.key,
            I64(self.program.steps),
            self.program.floats,
            self.ints,
            self._drivers(given),
            self.trace,
            self.work,
            self.outcome,
            self.counts,
        )
        return self.outcome.reshape(H.OUTCOMES, LANES)

    def _traced(self) -> int:
        return max(1, traced_steps(self.program) * self.program.traced_rows)

    def _drivers(self, given: F32s | None) -> F32s:
        if given is None:
            return np.zeros(1, np.float32)
        paths, steps, variables = given.shape
        whole = np.zeros((steps, self.program.offset(H.SIZE), LANES), np.float32)
        whole[:, :variables, :paths] = given.transpose(1, 2, 0)
        return whole.ravel()


def _aligned(numbers: int) -> F32s:
    """Return zeros that begin where a cache line does: rows that straddle lines cost a fifth more time."""
    raw = np.zeros(numbers + CACHE_LINE // 4, np.float32)
    first = -raw.ctypes.data % CACHE_LINE // 4
    return raw[first : first + numbers]
