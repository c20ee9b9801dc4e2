"""What a run is: the program, its seed, its paths cut into blocks, and the name under which blocks are kept. Pure.

A run's name is a digest of all that its bits depend on, so the same request has the same name everywhere, and blocks
that were kept can be used again. The number of paths is not in it: a longer run takes up where a shorter one ended.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.calibration.guards import check_world
from pulse_assets.simulation.engine import replay
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.kernel.philox import STREAM_VERSION
from pulse_assets.simulation.program import Event, Gravity, Holdings, Program, build
from pulse_assets.simulation.risk.capital import Portfolio
from pulse_assets.simulation.world import World

if TYPE_CHECKING:
    from pulse_assets.simulation.rules.checked_rules import CheckedRules
    from pulse_assets.simulation.scenarios.shocks import Shocks

Floats = npt.NDArray[np.float64]

LAYOUT_VERSION = 1
"""Raised when the same numbers would be simulated in another way."""
WORK_A_BLOCK = 1_000_000_000
"""Steps of variables in a block: one or two seconds of one core."""
MOST_PATHS_A_BLOCK = 65_536
MOST_PATHS_A_RUN = 100_000_000
MOST_STEPS = 2_600
PILOT_PATHS = LANES
REACH = 8.0
"""Standard deviations of the pilot that a histogram reaches to either side; what lies beyond counts at its ends."""
MARKS = (1, 2, 3, 5, 10, 15, 20, 42, 63, 126, 189, 252, 378, 504)
"""Steps whose distribution is recorded, and the last one."""


@dataclass(frozen=True, eq=False)
class Request:
    """One scenario to be simulated.

    Attributes
    ----------
    world, scenario, shocks
        What moves, the scenario's name, and its arrays, which give the number of steps.
    portfolio
        What is held.
    events, rules, gravity
        What else there is; rules are checked against the world.
    seed
        Any integer, modulo 2^64.
    antithetic
        Whether paths 2n and 2n + 1 mirror each other.
    recorded
        Steps whose distribution is recorded; by default :data:`MARKS` as far as they go and the last one.
    """

    world: World
    scenario: str
    shocks: "Shocks"
    portfolio: Portfolio
    events: tuple[Event, ...] = ()
    rules: "CheckedRules | None" = None
    gravity: Gravity | None = None
    seed: int = 0
    antithetic: bool = False
    recorded: tuple[int, ...] = ()

    @property
    def marks(self) -> tuple[int, ...]:
        """The recorded steps."""
        steps = self.shocks.steps
        return self.recorded or tuple(sorted({mark for mark in MARKS if mark < steps} | {steps}))


@dataclass(frozen=True, eq=False)
class Plan:
    """A request laid out: ready to run anywhere.

    Attributes
    ----------
    run_id
        Name of the run, 32 hexadecimal digits.
    block_paths
        Paths of a block; it follows from the size of the world alone.
    """

    request: Request
    program: Program
    run_id: str
    paths: int
    block_paths: int

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, first path and number of paths of every block."""
        for number, first in enumerate(range(0, self.paths, self.block_paths)):
            yield number, first, min(self.block_paths, self.paths - first)


def make_plan(request: Request, paths: int) -> Plan:
    """Check a request and lay it out; a pilot of the first paths finds the ranges of histograms.

    Raises
    ------
    ValueError
        The world is refused by its guards, a position is in nothing that it has, or there are too few or too many paths
        or steps. The message names the variable.
    """
    steps = request.shocks.steps
    check_size(paths, steps)
    wrong = [step for step in request.recorded if not 1 <= step <= steps]
    if wrong or sorted(set(request.recorded)) != list(request.recorded):
        raise ValueError(f"expected recorded steps that rise from 1 to at most {steps}, got {request.recorded}")
    check_world(request.world)
    program = build_like(request, _pilot_ranges(request))
    return Plan(request, program, _run_id(request, program), paths, paths_a_block(program))


def check_size(paths: int, steps: int) -> None:
    """Refuse runs without paths or steps, and those that no memory holds.

    Raises
    ------
    ValueError
        With the number that came.
    """
    if not 1 <= paths <= MOST_PATHS_A_RUN:
        raise ValueError(
            f"expected 1 to {MOST_PATHS_A_RUN:,} paths, got {paths:,}: thousands are usual, millions for rare events; "
            "every path's outcome is kept in memory (16 bytes)"
        )
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"expected 1 to {MOST_STEPS:,} steps, about ten years of days, got {steps:,}")


def traced(plan: Plan, how: int = H.EVERY_STEP) -> Program:
    """Return the plan's program with traces of every step, or of the recorded ones."""
    return build_like(plan.request, plan.program.ranges, traced=how)


def build_like(request: Request, ranges: Floats | None, *, traced: int = 0, given: bool = False) -> Program:
    """Return a program of a request."""
    return build(
        request.world,
        holdings_of(request.portfolio, request.world),
        request.shocks,
        recorded=request.marks,
        ranges=ranges,
        events=request.events,
        rules=request.rules if request.rules and request.rules.active else None,
        gravity=request.gravity,
        antithetic=request.antithetic,
        traced=traced,
        given=given,
    )


def holdings_of(portfolio: Portfolio, world: World) -> Holdings:
    """Return a portfolio as the kernel takes it.

    Raises
    ------
    ValueError
        Its policy has no compiled form.
    """
    options = dict(portfolio.policy_options)
    if portfolio.policy not in ("hold", "rebalance", "volatility_target"):
        raise ValueError(
            f"policy {portfolio.policy!r} has no compiled form: simulate with hold, rebalance or volatility_target, or "
            "replay paths and apply it with exposure_policies.follow"
        )
    return Holdings(
        portfolio.vector(world),
        portfolio.capital_usd,
        portfolio.policy,
        target=options.get("target", 0.0),
        limit=options.get("cap", 1.0),
    )


def paths_a_block(program: Program) -> int:
    """Return how many paths make a block: a multiple of 512, from the size of the program alone."""
    work = program.steps * (program.offset(H.SIZE) + len(program.rule_ids))
    return int(np.clip(WORK_A_BLOCK // work // LANES, 1, MOST_PATHS_A_BLOCK // LANES)) * LANES


def _pilot_ranges(request: Request) -> Floats:
    """Return low end and width of the bins of each recorded step and row, from the first paths of the run itself."""
    pilot = build_like(request, None, traced=H.RECORDED_STEPS)
    rows = len(pilot.names)
    states = replay(pilot, request.seed, np.arange(PILOT_PATHS, dtype=np.uint64))[..., :rows].astype(np.float64)
    finite = np.where(np.isfinite(states), states, 0.0)
    mean, sd = finite.mean(axis=0), finite.std(axis=0)
    low = np.minimum(finite.min(axis=0), mean - REACH * sd)
    high = np.maximum(finite.max(axis=0), mean + REACH * sd)
    width = np.maximum((high - low) / H.BINS, np.maximum(np.abs(mean), 1e-6) * 1e-6)
    return np.stack([low, width], axis=-1).astype(np.float32).astype(np.float64)


def _run_id(request: Request, program: Program) -> str:
    digest = hashlib.sha256(f"{LAYOUT_VERSION} {STREAM_VERSION} {request.seed % 2**64} {request.scenario}".encode())
    digest.update(program.rules.encode())
    for array in (program.ints, program.floats):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
