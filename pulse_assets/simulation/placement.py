"""Where each number of a program goes: rows of scratch memory, parameters, whole numbers, counters. Pure.

``head`` is the beginning of a program's whole numbers, by the names of ``kernel.header``; every function here fills
some of its places. What a program is belongs to ``program``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.calibration.correlation import cholesky_of
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.layout import MEMORY_A_RULE, RuleRows
from pulse_assets.simulation.kernel.steps import MOST_JUMPS
from pulse_assets.simulation.world import Variable, World

if TYPE_CHECKING:
    from pulse_assets.simulation.program import Event, Gravity, Holdings
    from pulse_assets.simulation.rules.checked_rules import CheckedRules
    from pulse_assets.simulation.scenarios.scenario import Shocks

Floats = npt.NDArray[np.float64]
F32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

INNOVATIONS = {"normal": H.NORMAL, "student_t": H.STUDENT_T, "historical": H.HISTORICAL}
POLICIES = {"hold": H.HOLD, "rebalance": H.REBALANCE, "volatility_target": H.VOLATILITY_TARGET}
FAR = float(np.finfo(np.float32).max)
"""Bound of what has none: a state that reaches it counts as broken."""


@dataclass
class Parameters:
    """Grows the array of parameters, and remembers where each part begins."""

    parts: list[F32s] = field(default_factory=list)
    length: int = 0

    def add(self, values: object) -> int:
        """Append numbers; return where they begin."""
        array = np.clip(np.asarray(values, np.float64).ravel(), -FAR, FAR).astype(np.float32)
        first = self.length
        self.parts.append(array)
        self.length += len(array)
        return first


@dataclass(frozen=True)
class Sizes:
    """How many of each thing a program has."""

    assets: int
    factors: int
    size: int
    regimes: int
    rules: int
    events: int
    rings: tuple[int, ...]
    depth: int

    @classmethod
    def of(cls, world: World, rules: "CheckedRules | None", events: Sequence["Event"]) -> "Sizes":
        """Count them."""
        variables = len(world.variables)
        lags: Mapping[str, int] = rules.lags if rules else {}
        return cls(
            assets=len(world.assets),
            factors=len(world.factors),
            size=-(-variables // 4) * 4,
            regimes=len(world.regimes.names) if world.regimes else 1,
            rules=len(rules.active) if rules else 0,
            events=len(events),
            rings=tuple(sorted(world.index(name) for name in lags)),
            depth=max(lags.values(), default=0) + 1,
        )


def set_sizes(head: Ints, sizes: Sizes) -> None:
    """Fill in how many of each thing there are."""
    head[[H.ASSETS, H.FACTORS, H.SIZE]] = sizes.assets, sizes.factors, sizes.size
    head[[H.REGIMES, H.RULES, H.EVENTS]] = sizes.regimes, sizes.rules, sizes.events
    head[[H.RINGS, H.DEPTH]] = len(sizes.rings), sizes.depth


# Where a rule finds its rows, numbers and counters must not depend on scenario or portfolio: its code would be compiled
# anew for each. Hence its number in ``floats`` comes first, and rows of events come last.
def set_rows(head: Ints, sizes: Sizes, world: World, rules: "CheckedRules | None") -> tuple[int, RuleRows | None]:
    """Give every quantity its rows of scratch memory; return their number, and those that rules use."""
    variables, blocks = sizes.assets + sizes.factors, -(-sizes.rules // 4)
    needed = (
        *((H.Z, sizes.size), (H.E, sizes.size), (H.SCALE, 1), (H.SHIFT, 1), (H.JUMP, 1), (H.CHANCE_ROW, 4)),
        *((H.SPARE, 8), (H.DAY, 1), (H.BEFORE, variables), (H.STATE, variables)),
        *((H.PROFIT, 1), (H.DRAWDOWN, 1), (H.EXPOSURE, 1), (H.LEVERAGE, 1)),
        *((H.REGIME, 1), (H.VARIANCE, sizes.assets), (H.MASK, sizes.rules)),
        *((H.PEAK, 1), (H.UNDER, 1), (H.WORST, 1), (H.SPENT, 1)),
        *((H.MEMORY, MEMORY_A_RULE * sizes.rules), (H.UNIFORMS, 4 * blocks)),
        *((H.RING, len(sizes.rings) * sizes.depth), (H.EVENT, sizes.events)),
    )
    row = 0
    for place, count in needed:
        head[place] = row
        row += count
    head[H.TRACED_ROWS] = head[H.PEAK] - head[H.STATE]
    if not rules:
        return row, None
    names = world.names
    return row, RuleRows(
        state={name: int(head[H.STATE]) + v for v, name in enumerate(names)},
        variance={asset.name: int(head[H.VARIANCE]) + a for a, asset in enumerate(world.assets)},
        regime=int(head[H.REGIME]),
        ring={names[v]: int(head[H.RING]) + place * sizes.depth for place, v in enumerate(sizes.rings)},
        depth=sizes.depth,
        memory=int(head[H.MEMORY]),
        mask=int(head[H.MASK]),
        uniforms=int(head[H.UNIFORMS]),
        enabled=0,
        fires=0,
        first=0,
        by_step=0,
    )


def set_switches(
    head: Ints,
    world: World,
    holdings: "Holdings",
    shocks: "Shocks",
    rules: "CheckedRules | None",
    gravity: "Gravity | None",
) -> None:
    """Fill in which parts of a step a world has."""
    head[H.INNOVATIONS] = INNOVATIONS[world.innovations]
    head[H.NU] = world.nu
    head[H.JUMPING] = world.jumps is not None
    head[H.POLICY] = POLICIES[holdings.policy]
    head[H.GRAVITY] = gravity is not None
    folds = world.has_constant_volatility and world.innovations == "normal" and not (rules and rules.moves_variance)
    if not folds or holdings.policy == "volatility_target":
        head[H.GARCH] = H.RECURSIVE
    elif world.regimes or world.jumps or np.any(shocks.variance != 1):
        head[H.GARCH] = H.SCALED
    else:
        head[H.GARCH] = H.FOLDED


def add_world(head: Ints, floats: Parameters, sizes: Sizes, world: World) -> None:
    """Add the start and the dynamics of a world."""
    head[H.AT_START] = floats.add(np.concatenate([np.zeros(sizes.assets), world.level, world.variance]))
    head[H.AT_DRIFT] = floats.add(world.drift)
    head[H.AT_GARCH] = floats.add(np.stack([world.omega, world.alpha, world.alpha + world.gamma, world.beta], axis=1))
    bounds = [_bounds(variable) for variable in world.factors]
    head[H.AT_FACTORS] = floats.add(np.column_stack([world.mean, world.phi, np.reshape(bounds, (-1, 2))]))
    regimes, jumps = world.regimes, world.jumps
    now = regimes.now if regimes else np.ones(1)
    head[H.AT_FIRST_REGIME] = floats.add(np.tile(np.cumsum(now), (sizes.regimes, 1)))
    head[H.AT_TRANSITION] = floats.add(np.cumsum(regimes.transition, axis=1) if regimes else [1.0])
    head[H.AT_REGIME_SCALE] = floats.add(regimes.volatility if regimes else [1.0])
    head[H.AT_REGIME_SHIFT] = floats.add(regimes.drift if regimes else [0.0])
    head[H.AT_LOAD] = floats.add(jumps.load if jumps else np.zeros(sizes.assets))
    head[H.AT_JUMPS] = floats.add(_poisson_table(jumps.intensity) if jumps else [])
    head[H.AT_JUMP_SIZE] = floats.add([jumps.mean, jumps.sd] if jumps else [0.0, 0.0])
    floats.add([1 / world.block_length])
    head[H.AT_DAYS] = floats.add(world.residuals.T)
    head[H.DAYS] = len(world.residuals)


def _bounds(variable: Variable) -> tuple[float, float]:
    if variable.scale == "log":
        return (float(np.log(variable.low)) if variable.low > 0 else -np.inf, float(np.log(variable.high)))
    return variable.low, variable.high


def _poisson_table(intensity: Floats) -> Floats:
    """Return the probabilities of at most 0, 1, … jumps, shape ``(K, MOST_JUMPS)``."""
    n = np.arange(MOST_JUMPS)
    factorial = np.cumprod(np.maximum(n, 1.0))
    return np.cumsum(np.exp(-intensity[:, None]) * intensity[:, None] ** n / factorial, axis=1)


def add_holdings(head: Ints, floats: Parameters, holdings: "Holdings") -> None:
    """Add positions, capital and the options of the exposure policy."""
    head[H.AT_POSITIONS] = floats.add(holdings.positions)
    head[H.AT_CAPITAL] = floats.add([holdings.capital_usd, holdings.positions.sum()])
    shares = holdings.positions / holdings.capital_usd
    head[H.AT_POLICY] = floats.add([holdings.target, holdings.limit, *shares])


def add_gravity(head: Ints, floats: Parameters, sizes: Sizes, gravity: "Gravity | None") -> None:
    """Add the coefficients of the learned correction."""
    if gravity is not None:
        table = np.column_stack([gravity.cap, gravity.factors, gravity.regimes])
        head[H.AT_GRAVITY] = floats.add([gravity.budget, *table.ravel()])
        assert table.shape == (sizes.assets + sizes.factors, 1 + sizes.factors + sizes.regimes)


def past_states(world: World, sizes: Sizes) -> Floats:
    """Return past states for the rings: slot s of a ring holds the state at the end of the step ``s - depth``."""
    start = np.concatenate([np.zeros(sizes.assets), world.level])
    known = np.vstack([np.tile(start, (sizes.depth, 1)), world.history.reshape(-1, len(start)), start])
    newest = known[-sizes.depth :]
    return np.ascontiguousarray(newest[:, list(sizes.rings)].T)


def add_shocks(head: Ints, floats: Parameters, sizes: Sizes, world: World, shocks: "Shocks") -> Ints:
    """Add correlations and shocks; return which variables are shocked."""
    folded = head[H.GARCH] != H.RECURSIVE
    deviations = np.concatenate([np.sqrt(world.variance) if folded else np.ones(sizes.assets), world.sigma])
    factors = [_factor(correlation, deviations, sizes.size) for correlation in shocks.correlations]
    head[H.AT_CHOL] = floats.add(factors)
    shocked = np.flatnonzero(np.any((shocks.keep != 1) | (shocks.add != 0), axis=0))
    head[H.SHOCKED] = len(shocked)
    head[H.AT_SHOCKS] = floats.add(np.stack([shocks.keep[:, shocked], shocks.add[:, shocked]], axis=-1))
    head[H.AT_VOLATILITY] = floats.add(np.sqrt(shocks.variance) * _forced(world, shocks))
    return np.asarray(shocked, np.int64)


def _forced(world: World, shocks: "Shocks") -> Floats:
    """Return what a forced regime does to deviations beyond its own factor, shape ``(steps,)``."""
    if world.regimes is None:
        return np.ones(len(shocks.regime))
    ratio = world.regimes.forced_volatility / world.regimes.volatility
    return np.where(shocks.regime >= 0, ratio[np.maximum(shocks.regime, 0)], 1.0)


def _factor(correlation: Floats, deviations: Floats, size: int) -> Floats:
    factor = np.zeros((size, size))
    count = len(deviations)
    factor[:count, :count] = cholesky_of(correlation) * deviations[:, None]
    return factor


def set_counts(
    head: Ints, sizes: Sizes, steps: int, recorded: int, rule_rows: RuleRows | None
) -> tuple[int, RuleRows | None]:
    """Give every counter its place; return their number, and the rows of rules with theirs."""
    variables = sizes.assets + sizes.factors
    rules, measured = sizes.rules, recorded * (variables + H.MEASURES)
    place = 0
    starts = []
    for count in (1, 2 * variables, rules, rules * steps, rules * steps, sizes.events, measured * H.BINS, measured):
        starts.append(place)
        place += count
    head[[H.AT_BROKEN, H.AT_PULL]] = starts[:2]
    head[[H.AT_EVENT_COUNTS, H.AT_HISTOGRAM, H.AT_SUMS]] = starts[5:]
    if rule_rows:
        rule_rows = replace(
            rule_rows, enabled=int(head[H.AT_ENABLED]), fires=starts[2], first=starts[3], by_step=starts[4]
        )
    return place, rule_rows


def whole_numbers(
    head: Ints,
    sizes: Sizes,
    names: Sequence[str],
    shocks: "Shocks",
    shocked: Ints,
    events: Sequence["Event"],
    recorded: Sequence[int],
) -> Ints:
    """Return all whole numbers: the head, then those by step, shock, event and ring."""
    steps = len(shocks.keep)
    records = np.full(steps, -1)
    records[np.asarray(recorded, np.int64) - 1] = np.arange(len(recorded))
    watched = [(names.index(e.variable), int(e.is_above), e.first - 1, e.last - 1) for e in events]
    tail: list[Ints] = []
    length = len(head)
    parts = (
        (H.AT_STEPS, np.stack([shocks.branch, shocks.regime, shocks.phase, records], axis=1)),
        (H.AT_SHOCKED, shocked),
        (H.AT_EVENT_INTS, np.asarray(watched, np.int64)),
        (H.AT_RINGS, np.asarray(sizes.rings, np.int64)),
    )
    for place, values in parts:
        head[place] = length
        tail.append(np.asarray(values, np.int64).ravel())
        length += len(tail[-1])
    return np.concatenate([head, *tail])
