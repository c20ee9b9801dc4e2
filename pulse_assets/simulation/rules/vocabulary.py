"""What rules may talk about in a world: variables with units, bounds and habits, and the regimes. Pure.

What belongs here: the part of a world that reading, checking and compiling rules needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from pulse_assets.simulation.calibration.guards import long_run_variance, persistence
from pulse_assets.simulation.rules.expressions import RESERVED
from pulse_assets.simulation.world import Group, Scale, Variable, World, state_of

LOG_RETURN = "log return"
STEPS_A_YEAR = 252
SLOWEST = 1 - 1 / STEPS_A_YEAR
"""Autoregression above which a stationary deviation is that of a year's walk instead."""


@dataclass(frozen=True)
class Term:
    """A variable as rules see it.

    Attributes
    ----------
    name, group, scale
        As in the world.
    unit
        Of the level; assets are read and moved in log returns.
    low, high
        Bounds of the state, infinite for none.
    mean, sd
        Of the state in the long run; an asset's is that of a year's walk.
    phi
        How much of a displacement is left a step later; 1 for assets.
    sigma
        Standard deviation of a step.
    persistence
        How much of an asset's displaced variance is left a step later; 0 for factors.
    """

    name: str
    group: Group
    scale: Scale
    unit: str
    low: float
    high: float
    mean: float
    sd: float
    phi: float
    sigma: float
    persistence: float = 0.0

    @property
    def is_asset(self) -> bool:
        """Whether it has a price."""
        return self.group == "asset"

    @property
    def is_logarithm(self) -> bool:
        """Whether the state is the logarithm of the level."""
        return self.scale == "log" and not self.is_asset

    def state(self, level: float) -> float:
        """Return the state of a level, which is above 0 for a logarithm."""
        return float(np.log(level)) if self.is_logarithm else level

    def level(self, state: float) -> float:
        """Return the level of a state; infinity for a logarithm that is too large for a double."""
        with np.errstate(over="ignore"):
            return float(np.exp(state)) if self.is_logarithm else state

    def unit_of_change(self) -> str:
        """Return the unit of a difference of states."""
        return LOG_RETURN if self.is_logarithm or self.is_asset else self.unit


@dataclass(frozen=True)
class Vocabulary:
    """The variables by name, and the names of the regimes in order."""

    terms: Mapping[str, Term]
    regimes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in RESERVED & set(self.terms):
            raise ValueError(f"variable {name!r} has the name of a word of the rules' language: rename it in the world")

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the assets."""
        return tuple(name for name, term in self.terms.items() if term.is_asset)


def vocabulary_of(world: World) -> Vocabulary:
    """Return what rules may talk about in a world.

    Raises
    ------
    ValueError
        A variable has the name of a word of the language.
    """
    kept, variance = persistence(world), long_run_variance(world)
    terms = {v.name: _asset(v, float(kept[i]), float(variance[i])) for i, v in enumerate(world.assets)}
    for i, variable in enumerate(world.factors):
        terms[variable.name] = _factor(variable, float(world.mean[i]), float(world.phi[i]), float(world.sigma[i]))
    return Vocabulary(terms, () if world.regimes is None else world.regimes.names)


def _asset(variable: Variable, kept: float, variance: float) -> Term:
    sigma = float(np.sqrt(variance))
    walked = sigma * float(np.sqrt(STEPS_A_YEAR))
    return Term(variable.name, "asset", "linear", LOG_RETURN, -np.inf, np.inf, 0.0, walked, 1.0, sigma, kept)


def _factor(variable: Variable, mean: float, phi: float, sigma: float) -> Term:
    with np.errstate(divide="ignore"):
        low = float(state_of(variable, variable.low)) if variable.low > 0 or variable.scale == "linear" else -np.inf
        high = float(state_of(variable, variable.high))
    sd = sigma / float(np.sqrt(1 - min(abs(phi), SLOWEST) ** 2))
    return Term(variable.name, variable.group, variable.scale, variable.unit, low, high, mean, sd, phi, sigma)


def closest(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """Return a hint at similar names, for messages.

    Examples
    --------
    >>> closest("vxi", ("SPX", "vix"))
    'did you mean vix?'
    >>> closest("gold", ("SPX", "vix"))
    'known are SPX, vix'
    """
    same = [each for each in known if each.lower() == name.lower()]
    near = same or get_close_matches(name, list(known), n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known are {', '.join(known)}" if known else "there is none"
