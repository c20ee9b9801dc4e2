"""The world that is simulated: named variables in groups, how they move, and the guards that refuse a bad one. Pure.

What belongs here: the value and its checks. Calibration from data is in ``calibration``, the compiled step in
``program``, shocks in ``scenarios``.
"""

import hashlib
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Group = Literal["asset", "macro", "overlay"]
Innovations = Literal["normal", "student_t", "historical"]
Scale = Literal["linear", "log"]

GROUPS = ("asset", "macro", "overlay")
SUM_TOLERANCE, PSD_TOLERANCE = 1e-9, 1e-8
LARGEST_STEP_SD = 0.5
"""Standard deviation of a log return a step beyond which a world is refused: such a price leaves float32 in a year."""
LARGEST_NU = 30
"""Degrees of freedom above which Student's t is as good as normal here."""


@dataclass(frozen=True)
class Variable:
    """One variable of a world.

    Parameters
    ----------
    name
        Letters, digits and underscores, not beginning with a digit: what rules and scenarios call it.
    group
        ``asset`` (state: log return since the origin), ``macro`` or ``overlay`` (state: level on its scale).
    unit
        Unit of the level, for people and for the unit check of rules.
    scale
        ``log`` keeps the logarithm of a positive level as state.
    low, high
        Bounds of the level, infinite for none; assets have none.
    source
        Series in silver that it is calibrated from.
    """

    name: str
    group: Group
    unit: str
    scale: Scale = "linear"
    low: float = -np.inf
    high: float = np.inf
    source: str = ""


@dataclass(frozen=True, eq=False)
class Regimes:
    """K market regimes of a Markov chain.

    Attributes
    ----------
    names
        Calm ones first.
    transition
        Probability of moving from row to column in a step, shape ``(K, K)``.
    now
        Probability of each at the origin, from what was known then, shape ``(K,)``.
    volatility
        Factor on the standard deviation of returns in each, shape ``(K,)``.
    drift
        Added to each asset's log return a step in each, shape ``(K,)``.
    stress
        Factor on the standard deviation where a scenario forces the regime, shape ``(K,)``; None for ``volatility``.
    """

    names: tuple[str, ...]
    transition: Floats
    now: Floats
    volatility: Floats
    drift: Floats
    stress: Floats | None = None

    @property
    def forced_volatility(self) -> Floats:
        """Factor on the standard deviation in each regime where a scenario forces it, shape ``(K,)``."""
        return self.volatility if self.stress is None else self.stress


@dataclass(frozen=True, eq=False)
class Jumps:
    """Jumps that assets have in common (Merton 1976): their number a step is Poisson, their log sizes are normal.

    Attributes
    ----------
    intensity
        Expected jumps a step in each regime, shape ``(K,)``.
    mean, sd
        Of the log size.
    load
        How much of a jump each asset takes, shape ``(A,)``.
    """

    intensity: Floats
    mean: float
    sd: float
    load: Floats


@dataclass(frozen=True, eq=False)
class World:
    """Variables and how they move, a step at a time; A assets come first, then F factors, V in all.

    Attributes
    ----------
    variables
        Shape ``(V,)``.
    drift
        Log return of each asset expected a step, before regimes and jumps, shape ``(A,)``.
    omega, alpha, gamma, beta, variance
        GJR-GARCH of each asset and its variance at the first step, squared log returns, shape ``(A,)``. Constant
        volatility is ``omega = alpha = gamma = 0, beta = 1``.
    level, mean, phi, sigma
        Factors on their scale: state at the origin, long-run mean, first-order autoregression, deviation of a step,
        shape ``(F,)``.
    correlation
        Of the drivers, shape ``(V, V)``.
    innovations
        What drives assets: ``normal``, ``student_t`` (``nu`` degrees of freedom, in common, so that tails depend), or
        ``historical`` (whole days of ``residuals``).
    nu
        Whole number from 3 to 30 for ``student_t``.
    residuals
        Standardised returns of T past days, shape ``(T, A)``; empty unless ``historical``.
    block_length
        Mean length of the runs of days drawn (Politis and Romano 1994); 1 draws days alone.
    regimes, jumps
        None leaves them out: one regime, no jumps.
    history
        States of the last days before the origin, newest last, shape ``(L, V)``, for rules with lags: assets relative
        to the origin, factors on their scale.
    """

    variables: tuple[Variable, ...]
    drift: Floats
    omega: Floats
    alpha: Floats
    gamma: Floats
    beta: Floats
    variance: Floats
    level: Floats
    mean: Floats
    phi: Floats
    sigma: Floats
    correlation: Floats
    innovations: Innovations = "normal"
    nu: int = 0
    residuals: Floats = field(default_factory=lambda: np.empty((0, 0)))
    block_length: float = 1.0
    regimes: Regimes | None = None
    jumps: Jumps | None = None
    history: Floats = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def assets(self) -> tuple[Variable, ...]:
        """The variables that have a price."""
        return tuple(variable for variable in self.variables if variable.group == "asset")

    @property
    def factors(self) -> tuple[Variable, ...]:
        """The macro and overlay variables."""
        return tuple(variable for variable in self.variables if variable.group != "asset")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all variables, in order."""
        return tuple(variable.name for variable in self.variables)

    @property
    def has_constant_volatility(self) -> bool:
        """Whether no asset's variance ever changes by itself."""
        return bool(np.all((self.omega == 0) & (self.alpha == 0) & (self.gamma == 0) & (self.beta == 1)))

    @property
    def fingerprint(self) -> str:
        """Digest of everything in the world."""
        digest = hashlib.sha256()
        for each in fields(self):
            _digest(digest, each.name, getattr(self, each.name))
        return digest.hexdigest()

    def index(self, name: str) -> int:
        """Return the position of a variable.

        Raises
        ------
        ValueError
            There is none of that name.
        """
        if name not in self.names:
            raise ValueError(f"the world has no variable {name!r}; it has {', '.join(self.names)}")
        return self.names.index(name)

    def with_(self, **changes: object) -> "World":
        """Return a world with some of its parts replaced, not yet checked."""
        return replace(self, **changes)  # type: ignore[arg-type]


def _digest(digest: "hashlib._Hash", name: str, value: object) -> None:
    digest.update(name.encode())
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Regimes | Jumps):
        for each in fields(value):
            _digest(digest, each.name, getattr(value, each.name))
    else:
        digest.update(repr(value).encode())


def state_of(variable: Variable, level: Floats | float) -> Floats:
    """Return levels of a variable on its scale.

    Examples
    --------
    >>> float(state_of(Variable("vix", "macro", "percent", scale="log"), 20.0).round(4))
    2.9957
    """
    return np.asarray(np.log(level) if variable.scale == "log" else level, np.float64)


def level_of(variable: Variable, state: Floats | float) -> Floats:
    """Return states of a variable as levels: the inverse of :func:`state_of`."""
    return np.asarray(np.exp(state) if variable.scale == "log" else state, np.float64)
