"""How exposure changes on the way: policies by name, here and installed by others, and what one earns on paths.

Pure but for the look-up of installed policies. :func:`follow` is the definition of P&L, path by path in NumPy; the
compiled step does the same for the policies that it knows. The positions themselves are in ``capital``.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from math import isfinite
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GROUP = "pulse.exposure_policies"
"""Entry points of policies beside the ones here: a name and a class that takes the options by name."""


class Ledger(NamedTuple):
    """P&L since the origin in USD, the origin's 0 first, ``(N, steps + 1)``; of each asset at the end, ``(N, A)``."""

    pnl_usd: Floats
    contributions_usd: Floats


class Standing(NamedTuple):
    """What a policy may look at before a step.

    Attributes
    ----------
    positions_usd
        At the origin, shape ``(A,)``.
    capital_usd
        At the origin.
    x
        Log return of each asset since the origin, shape ``(N, A)``.
    variance
        Of each asset's log return in the coming step as known before it, the regime's factor in it, ``(N, A)``.
    correlation
        Of the assets' shocks, shape ``(A, A)``.
    """

    positions_usd: Floats
    capital_usd: float
    x: Floats
    variance: Floats
    correlation: Floats


@runtime_checkable
class ExposurePolicy(Protocol):
    """Says how much is held in each asset over the coming step."""

    def exposure(self, standing: Standing) -> Floats:
        """Return USD held in each asset over the coming step, negative where short, shape ``(N, A)``."""
        ...


class Hold:
    """Keeps quantities: exposure moves with the price, ``position * exp(x)``."""

    def exposure(self, standing: Standing) -> Floats:
        """Return the positions at today's prices."""
        return np.asarray(standing.positions_usd * np.exp(standing.x))


class Rebalance:
    """Keeps USD exposure: trades back to the first positions after each step."""

    def exposure(self, standing: Standing) -> Floats:
        """Return the positions as they were."""
        return np.broadcast_to(standing.positions_usd, standing.x.shape).copy()


class VolatilityTarget:
    """Scales the first positions so that the P&L of a step has a wanted standard deviation.

    Exposure is ``position * min(cap, target * capital / sd)``, with the standard deviation of the first positions'
    P&L in the coming step, in USD, from the variances and the correlation as they stand. Jumps are not in it.

    Parameters
    ----------
    target
        Standard deviation of a step's P&L as a share of capital; ten percent a year are ``0.1 / sqrt(252)`` a day.
    cap
        Largest multiple of the first positions: the limit on leverage when markets are calm.

    Raises
    ------
    ValueError
        Target or cap are not positive numbers.

    References
    ----------
    Moreira and Muir (2017), Volatility-managed portfolios, eq. 1; here with the whole covariance and a cap.
    """

    def __init__(self, target: float, cap: float = 1.0) -> None:
        for name, value in (("target", target), ("cap", cap)):
            if not (isfinite(value) and value > 0):
                raise ValueError(f"volatility_target takes a positive {name}; came {value}")
        self.target, self.cap = float(target), float(cap)

    def exposure(self, standing: Standing) -> Floats:
        """Return the positions times one factor a path."""
        risk = standing.positions_usd * np.sqrt(standing.variance)
        sd = np.sqrt(np.maximum(np.einsum("na,na->n", risk @ standing.correlation, risk), 0))
        with np.errstate(divide="ignore"):
            factor = np.minimum(self.cap, self.target * standing.capital_usd / sd)
        return np.asarray(factor[:, None] * standing.positions_usd)


POLICIES: Mapping[str, type[ExposurePolicy]] = {
    "hold": Hold,
    "rebalance": Rebalance,
    "volatility_target": VolatilityTarget,
}


def available_policies() -> dict[str, str]:
    """Return the policies there are: name → ``module:class``.

    Examples
    --------
    >>> sorted(available_policies())[:2]
    ['hold', 'rebalance']
    """
    installed = {point.name: point.value for point in sorted(entry_points(group=GROUP))}
    return installed | {name: f"{policy.__module__}:{policy.__qualname__}" for name, policy in POLICIES.items()}


def build_policy(name: str, options: Mapping[str, float]) -> ExposurePolicy:
    """Build a policy by its name; those of Pulse come before installed ones of the same name.

    Raises
    ------
    ValueError
        There is none of that name, it does not take these options, or it is no policy.

    Examples
    --------
    >>> build_policy("volatility_target", {"target": 0.01, "cap": 2}).cap
    2.0
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in POLICIES and name not in points:
        raise ValueError(f"unknown exposure policy {name!r}; there are {', '.join(sorted(available_policies()))}")
    kind = POLICIES[name] if name in POLICIES else points[name].load()
    try:
        policy = kind(**options)
    except TypeError as error:
        raise ValueError(f"exposure policy {name!r} does not take options {dict(options)}: {error}") from error
    if isinstance(policy, ExposurePolicy):
        return policy
    raise ValueError(f"{points[name].value} is no exposure policy: it has no method `exposure`")


def follow(
    policy: ExposurePolicy,
    positions_usd: Floats,
    capital_usd: float,
    log_returns: Floats,
    variance: Floats,
    correlation: Floats,
) -> Ledger:
    """Return what a policy earns on paths: each step's exposure times the simple return.

    Parameters
    ----------
    policy
        Any; ``hold`` earns ``position * (exp(x) - 1)``.
    positions_usd, capital_usd
        At the origin, shape ``(A,)``.
    log_returns
        Shape ``(N, steps, A)``. NaN gives NaN from there on.
    variance
        Of those returns as known before each step, shape ``(N, steps, A)``.
    correlation
        Of the assets' shocks, shape ``(A, A)``.

    Examples
    --------
    >>> returns = np.log(np.array([[[1.1], [1.1]]]))
    >>> follow(Hold(), np.array([100.0]), 50.0, returns, returns**2, np.eye(1)).pnl_usd.round(6).tolist()
    [[0.0, 10.0, 21.0]]
    >>> follow(Rebalance(), np.array([100.0]), 50.0, returns, returns**2, np.eye(1)).pnl_usd.round(6).tolist()
    [[0.0, 10.0, 20.0]]
    """
    paths, steps, assets = log_returns.shape
    x, earned, pnl = np.zeros((paths, assets)), np.zeros((paths, assets)), np.zeros((paths, steps + 1))
    for t in range(steps):
        standing = Standing(positions_usd, capital_usd, x, variance[:, t], correlation)
        earned += policy.exposure(standing) * np.expm1(log_returns[:, t])
        x = x + log_returns[:, t]
        pnl[:, t + 1] = earned.sum(axis=1)
    return Ledger(pnl, earned)
