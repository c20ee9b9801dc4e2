"""Carries out a plan: blocks that are missing are simulated, in order, and everything is added up. Pure.

Where blocks run and where they are kept is the caller's business: it hands over a ``map_blocks`` and what it has kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.engine import BlockResult, simulate
from pulse_assets.simulation.plan import Plan
from pulse_assets.simulation.program import Program

F32s = npt.NDArray[np.float32]
I64s = npt.NDArray[np.int64]

Job = tuple[Program, int, int, int, str]
"""Program, seed, first path, paths, device."""
Numbered = tuple[int, BlockResult]
MapBlocks = Callable[[Callable[[Job], BlockResult], Iterable[Job]], Iterator[BlockResult]]
Keep = Callable[[int, BlockResult], None]
Stop = Callable[[list[BlockResult]], bool]


@dataclass(frozen=True, eq=False)
class Outcome:
    """All paths of a run.

    Attributes
    ----------
    outcomes
        Profit at the end (USD), worst drawdown, steps under water, worst profit on the way; shape ``(4, paths)``.
    counts
        Counters and histograms of all paths.
    simulated, kept
        Blocks that were simulated now, and blocks that had been kept.
    """

    outcomes: F32s
    counts: I64s
    simulated: int
    kept: int

    @property
    def paths(self) -> int:
        """Paths simulated: fewer than planned where a run stopped early."""
        return int(self.outcomes.shape[1])


def run_job(job: Job) -> BlockResult:
    """Simulate one block where this is called."""
    program, seed, first, paths, device = job
    if device == "gpu":
        from pulse_assets.simulation.kernel.gpu import gpu_simulate

        return gpu_simulate(program, seed, first, paths)
    return simulate(program, seed, first, paths)


def run_inline(function: Callable[[Job], BlockResult], jobs: Iterable[Job]) -> Iterator[BlockResult]:
    """Run blocks here, one after the other."""
    return map(function, jobs)


def carry_out(
    plan: Plan,
    map_blocks: MapBlocks = run_inline,
    *,
    kept: Mapping[int, BlockResult] | None = None,
    keep: Keep | None = None,
    stop: Stop | None = None,
    device: str = "cpu",
) -> Outcome:
    """Simulate the blocks of a plan that are missing and add all up.

    Parameters
    ----------
    plan
        What is to be simulated.
    map_blocks
        Runs a function over jobs and yields results in their order, such as ``Compute.map_blocks``.
    kept
        Results of blocks by number, from an earlier attempt at the same run.
    keep
        Called with number and result of each block that was simulated, in order.
    stop
        Called with the results of all blocks so far, in order; true ends the run. It sees a prefix of the blocks,
        whatever ran where, so it ends every run of the same plan after the same block.
    device
        ``cpu`` or ``gpu``.
    """
    kept = kept or {}
    wanted = list(plan.blocks())
    missing = [block for block in wanted if not _fits(kept.get(block[0]), block)]
    seed = plan.request.seed
    fresh = map_blocks(run_job, ((plan.program, seed, first, paths, device) for _, first, paths in missing))
    to_simulate = {number for number, _, _ in missing}
    done: list[BlockResult] = []
    counts: I64s | None = None
    simulated = 0
    for number, _, _ in wanted:
        if number in to_simulate:
            result = next(fresh)
            simulated += 1
            if keep is not None:
                keep(number, result)
        else:
            result = kept[number]
        # Counters of a block are tens of megabytes: they are added up at once, and only outcomes are held on to.
        counts = result.counts.copy() if counts is None else np.add(counts, result.counts, out=counts)
        done.append(BlockResult(result.first, result.outcomes, counts[:0]))
        if stop is not None and stop(done):
            break
    assert counts is not None
    return Outcome(
        np.concatenate([result.outcomes for result in done], axis=1),
        counts,
        simulated,
        len(done) - simulated,
    )


def _fits(result: BlockResult | None, block: tuple[int, int, int]) -> bool:
    _, first, paths = block
    return result is not None and result.first == first and result.outcomes.shape[1] == paths


def fingerprint(outcome: Outcome) -> str:
    """Return the SHA-256 of all outcomes and counts: equal bits have equal fingerprints."""
    import hashlib

    digest = hashlib.sha256(np.ascontiguousarray(outcome.outcomes).tobytes())
    digest.update(outcome.counts.tobytes())
    return digest.hexdigest()
