"""A plan estimated with scrambled Sobol points: a few replicates, whose spread is the error bar. Pure.

Only the drivers are quasi-random; regimes, jumps, mixing and rules keep their own random words. What Sobol points
become is decided in ``quasi``. Bits hold on one kind of processor and version of SciPy; those of plain runs on any.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.calibration.correlation import cholesky_of
from pulse_assets.simulation.engine import simulate
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.plan import Plan, build_like
from pulse_assets.simulation.program import Program
from pulse_assets.simulation.risk.estimators import Estimate, replicate_mean
from pulse_assets.simulation.risk.measures import expected_shortfall, value_at_risk
from pulse_assets.simulation.risk.quasi import Plan as SobolPlan
from pulse_assets.simulation.risk.quasi import normals_of, plan_sobol

F32s = npt.NDArray[np.float32]

REPLICATES = 16
SMALLEST, LARGEST = 256, 65_536
"""Points of a replicate: powers of two between these."""


class Replicate(NamedTuple):
    """One scramble to be simulated: program, seed, points and number of the scramble."""

    program: Program
    seed: int
    points: SobolPlan
    number: int


MapReplicates = Callable[[Callable[[Replicate], F32s], Iterable[Replicate]], Iterator[F32s]]


@dataclass(frozen=True, eq=False)
class QuasiRisk:
    """Estimates over replicates, values in USD, losses positive.

    Attributes
    ----------
    mean_pnl
        Shape ``()``.
    value_at_risk, expected_shortfall
        At each level, shape ``(K,)``.
    paths
        Of all replicates.
    """

    mean_pnl: Estimate
    value_at_risk: Estimate
    expected_shortfall: Estimate
    paths: int


def points_for(paths: int) -> int:
    """Return points of each replicate for about as many paths in all: a power of two.

    Examples
    --------
    >>> points_for(100_000)
    4096
    """
    wanted = max(paths // REPLICATES, 1)
    return int(np.clip(1 << (wanted.bit_length() - 1), SMALLEST, LARGEST))


def quasi_risk(plan: Plan, levels: Iterable[float], map_blocks: MapReplicates | None = None) -> QuasiRisk:
    """Return mean profit, VaR and expected shortfall by randomised quasi-Monte Carlo.

    Parameters
    ----------
    plan
        Its number of paths is spread over 16 replicates, rounded down to a power of two each.
    levels
        Of VaR and expected shortfall.
    map_blocks
        Runs a function over replicates, in order; here by default.

    Raises
    ------
    ValueError
        Steps times variables exceed the dimensions of Sobol points.
    """
    levels = list(levels)
    points, program = _points(plan), build_like(plan.request, plan.program.ranges, given=True)
    jobs = (Replicate(program, plan.request.seed, points, number) for number in range(REPLICATES))
    found = list((map_blocks or map)(run_replicate, jobs))
    mean = np.array([pnl.astype(np.float64).mean() for pnl in found])
    var = np.array([value_at_risk(pnl, levels).value for pnl in found])
    shortfall = np.array([expected_shortfall(pnl, levels).value for pnl in found])
    return QuasiRisk(replicate_mean(mean), replicate_mean(var), replicate_mean(shortfall), REPLICATES * points.paths)


def run_replicate(job: Replicate) -> F32s:
    """Return the profit of every point of one scramble, shape ``(points,)``."""
    count = job.points.paths
    pnl = np.empty(count, np.float32)
    for first in range(0, count, LANES):
        size = min(LANES, count - first)
        given = normals_of(job.points, job.number, first, size)
        result = simulate(job.program, job.seed, job.number * count + first, size, given)
        pnl[first : first + size] = result.outcomes[0]
    return pnl


def _points(plan: Plan) -> SobolPlan:
    request = plan.request
    weights = np.zeros(len(request.world.variables))
    weights[: len(request.world.assets)] = request.portfolio.vector(request.world) * np.sqrt(request.world.variance)
    chol = cholesky_of(request.world.correlation)
    return plan_sobol(points_for(plan.paths), plan.program.steps, chol, request.seed % 2**32, weights)
