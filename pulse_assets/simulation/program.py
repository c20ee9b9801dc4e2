"""Turns a world, a portfolio, rules and a scenario into the arrays that the compiled kernel reads. Pure.

What belongs here: the values that callers hand over and get. Where each number goes is in ``placement``, what the
kernel does with them in ``kernel.block``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.layout import RuleRows
from pulse_assets.simulation.placement import (
    Parameters,
    Sizes,
    add_gravity,
    add_holdings,
    add_shocks,
    add_world,
    past_states,
    set_counts,
    set_rows,
    set_sizes,
    set_switches,
    whole_numbers,
)
from pulse_assets.simulation.world import World

if TYPE_CHECKING:
    from pulse_assets.simulation.rules.checked_rules import CheckedRules
    from pulse_assets.simulation.scenarios.scenario import Shocks

Floats = npt.NDArray[np.float64]
F32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MEASURE_NAMES = ("pnl_usd", "drawdown", "net_exposure_usd", "leverage")
"""What is recorded beside the variables."""


@dataclass(frozen=True, eq=False)
class Holdings:
    """What the portfolio adds to a program.

    Attributes
    ----------
    positions
        Signed USD of each asset, shape ``(A,)``.
    capital_usd
        Equity at the origin, which drawdown is measured from.
    policy
        ``hold``, ``rebalance`` or ``volatility_target``.
    target, limit
        Of the last one: wanted deviation a step as a share of capital, largest leverage.
    """

    positions: Floats
    capital_usd: float
    policy: str = "hold"
    target: float = 0.0
    limit: float = 1.0


@dataclass(frozen=True)
class Event:
    """A named event: a variable or measure beyond a threshold (on its scale) at some step of a window, both ends in."""

    name: str
    variable: str
    threshold: float
    is_above: bool
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Gravity:
    """Coefficients of the learned correction.

    Attributes
    ----------
    factors
        Share of each factor's deviation, shape ``(V, F)``.
    regimes
        Number by regime, shape ``(V, K)``.
    cap
        Largest size a step of each variable, 0 for none, shape ``(V,)``.
    budget
        Corrections of full size, over all variables, after which a path gets none.
    """

    factors: Floats
    regimes: Floats
    cap: Floats
    budget: float


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that the kernel reads, and the names of what it counts.

    Attributes
    ----------
    ints, floats
        The kernel's parameters.
    rules
        Restricted Python of the rules, empty for none.
    rule_ids, events
        Names, in the order of their counters.
    rows, counts
        Sizes of ``work`` (rows) and ``counts``.
    recorded
        Steps whose distribution is recorded, counted from 1, rising.
    ranges
        Low end and width of a bin, shape ``(recorded, V + 4, 2)``; one everywhere until a pilot has found them.
    """

    names: tuple[str, ...]
    steps: int
    ints: Ints
    floats: F32s
    rules: str
    rule_ids: tuple[str, ...]
    events: tuple[Event, ...]
    rows: int
    counts: int
    recorded: tuple[int, ...]
    ranges: Floats
    rule_rows: RuleRows | None = None

    @property
    def traced_rows(self) -> int:
        """Rows that a trace keeps of every step."""
        return int(self.ints[H.TRACED_ROWS])

    def offset(self, place: int) -> int:
        """Return a number at the head of ``ints``."""
        return int(self.ints[place])


def build(
    world: World,
    holdings: Holdings,
    shocks: "Shocks",
    *,
    recorded: Sequence[int] = (),
    ranges: Floats | None = None,
    events: Sequence[Event] = (),
    rules: "CheckedRules | None" = None,
    gravity: Gravity | None = None,
    antithetic: bool = False,
    given: bool = False,
    traced: int = 0,
    tracked: bool = True,
    counted: bool = True,
) -> Program:
    """Lay out a simulation.

    Parameters
    ----------
    world, holdings, shocks
        What moves, what is held, and the scenario; its arrays give the number of steps.
    recorded, ranges
        See :class:`Program`.
    events, rules, gravity
        What else there is.
    antithetic
        Paths 2n and 2n + 1 share their numbers, with opposite signs.
    given
        Drivers are handed to the kernel instead of drawn.
    traced
        1 hands every step of every path back, 2 the recorded ones, 0 none.
    tracked
        Drawdown and exposure are followed at every step; else only the profit at the end is known.
    counted
        Histograms of recorded steps are filled; else those steps are only there for traces.
    """
    sizes = Sizes.of(world, rules, events)
    head = np.zeros(H.HEADER, np.int64)
    set_sizes(head, sizes)
    rows, rule_rows = set_rows(head, sizes, world, rules)
    set_switches(head, world, holdings, shocks, rules, gravity)
    head[[H.ANTITHETIC, H.GIVEN, H.TRACED]] = antithetic, given, traced
    head[[H.TRACKED, H.COUNTED]] = tracked, counted
    floats = Parameters()
    head[H.AT_ENABLED] = floats.add([rule.id not in shocks.disabled for rule in rules.active] if rules else [])
    add_world(head, floats, sizes, world)
    add_holdings(head, floats, holdings)
    add_gravity(head, floats, sizes, gravity)
    head[H.AT_EVENTS] = floats.add([event.threshold for event in events])
    head[H.AT_HISTORY] = floats.add(past_states(world, sizes))
    shocked = add_shocks(head, floats, sizes, world, shocks)
    if ranges is None:
        ranges = np.ones((len(recorded), len(world.variables) + H.MEASURES, 2))
    head[H.AT_RANGES] = floats.add(np.stack([ranges[..., 0], 1 / ranges[..., 1]], axis=-1))
    steps = len(shocks.keep)
    counts, rule_rows = set_counts(head, sizes, steps, len(recorded), rule_rows)
    names = (*world.names, *MEASURE_NAMES)
    ints = whole_numbers(head, sizes, names, shocks, shocked, events, recorded)
    source = rules.source(rule_rows) if rules and rule_rows else ""
    ids = tuple(rule.id for rule in rules.active) if rules else ()
    return Program(
        names,
        steps,
        ints,
        np.concatenate(floats.parts),
        source,
        ids,
        tuple(events),
        rows,
        counts,
        tuple(recorded),
        ranges,
        rule_rows,
    )
