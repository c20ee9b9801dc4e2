"""GJR-GARCH(1,1) for many return series at once: fits, and the variances that follow from them.

What belongs here: what callers use, on arrays. How the likelihood is maximised is in ``garch_search``, simulation from
a fit in ``fhs``. Which series count as returns, and what is stored, is decided elsewhere.

The model of a series of returns r, with e the return less its mean:

    r_t = mu + e_t,  e_t = sqrt(h_t) z_t,  h_t = omega + (alpha + gamma [e_{t-1} < 0]) e_{t-1}² + beta h_{t-1}
"""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.garch_likelihood import ETA, FITTED, GAMMA, MU, Floats, Ints
from pulse_assets.forecasting.garch_search import RESULTS, fit_all

REASONS = ("fitted", "too_short", "constant", "not_finite", "not_converged")
"""Names of the reason codes."""


@dataclass(frozen=True, eq=False)
class GjrFit:
    """Parameters of S series; NaN where a series has none. Returns are decimal, variances their squares a step.

    Attributes
    ----------
    mu, omega, alpha, gamma, beta
        Shape ``(S,)``.
    nu
        Degrees of freedom, shape ``(S,)``; infinite for the normal distribution.
    loglik
        Log-likelihood with all constants, shape ``(S,)``.
    first_variance
        Variance of the first return of a series, shape ``(S,)``; part of the frozen parameters.
    reason
        Position in :data:`REASONS`, shape ``(S,)``. ``not_converged`` has the best parameters seen.
    """

    mu: Floats
    omega: Floats
    alpha: Floats
    gamma: Floats
    beta: Floats
    nu: Floats
    loglik: Floats
    first_variance: Floats
    reason: npt.NDArray[np.int8]

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Whether each series has parameters at a maximum, shape ``(S,)``."""
        return np.asarray(self.reason == FITTED)

    @property
    def persistence(self) -> Floats:
        """How much of a variance's distance from its long run is left a step later, below 1; shape ``(S,)``."""
        return self.alpha + 0.5 * self.gamma + self.beta

    @property
    def long_run_variance(self) -> Floats:
        """What expected variance tends to, shape ``(S,)``."""
        return self.omega / (1 - self.persistence)

    def take(self, series: Ints) -> "GjrFit":
        """Return the fit of some of the series, in the order asked for."""
        return GjrFit(*(getattr(self, field.name)[series] for field in fields(self)))


def fit_gjr(
    values: Floats,
    offsets: Ints,
    *,
    asymmetric: bool = True,
    mean: Literal["constant", "zero"] = "constant",
    dist: Literal["normal", "t"] = "normal",
) -> GjrFit:
    """Fit every series by maximum likelihood.

    Each series is scaled by its own deviation, so a fit scales with its returns. Bounds: ``omega > 0``, ``alpha >= 0``,
    ``alpha + gamma >= 0``, ``beta >= 0``, ``alpha + gamma/2 + beta < 1``, ``2.05 <= nu <= 500``. The square and the
    variance before the first return are a mean of the first 75 squared deviations with weights 0.94^t, the first one
    heaviest; so the variances of those days use later ones. No fit depends on the other series or on their order.

    Parameters
    ----------
    values
        Decimal returns, series after series, shape ``(N,)``.
    offsets
        Series s is ``values[offsets[s]:offsets[s + 1]]``, shape ``(S + 1,)``.
    asymmetric
        False fixes ``gamma`` at 0, which is GARCH(1,1).
    mean
        ``zero`` fixes ``mu`` at 0.
    dist
        ``normal`` is a quasi-likelihood, ``t`` Student's with unit variance.

    Returns
    -------
    GjrFit
        With NaN parameters and a reason for a series of fewer than 100 returns, one that does not move, and one with a
        value that is NaN or infinite (or beyond 1e100).

    Raises
    ------
    ValueError
        The offsets do not cut the values into series, or an option is unknown.

    References
    ----------
    Glosten, Jagannathan and Runkle (1993), On the relation between the expected value and the volatility of the
    nominal excess return on stocks. Bollerslev (1986), Generalized autoregressive conditional heteroskedasticity.

    Examples
    --------
    >>> returns = np.random.default_rng(1).normal(0, 0.01, 1000)
    >>> fit = fit_gjr(np.append(returns, np.ones(200)), np.array([0, 1000, 1200]))
    >>> [REASONS[code] for code in fit.reason]
    ['fitted', 'constant']
    >>> bool(0.00009 < fit.long_run_variance[0] < 0.00011)
    True
    """
    values, offsets = checked_series(values, offsets)
    if mean not in ("constant", "zero") or dist not in ("normal", "t"):
        raise ValueError(f"expected mean 'constant' or 'zero' and dist 'normal' or 't', got {mean!r} and {dist!r}")
    is_free = {MU: mean == "constant", GAMMA: asymmetric, ETA: dist == "t"}
    free = np.array([place for place in range(ETA + 1) if is_free.get(place, True)])
    results = np.full((len(offsets) - 1, RESULTS), np.nan)
    reason = np.zeros(len(results), np.int8)
    fit_all(values, offsets, free, dist == "t", results, reason)
    mu, omega, alpha, gamma, beta, nu, loglik, first_variance = np.ascontiguousarray(results.T)
    return GjrFit(mu, omega, alpha, gamma, beta, nu, loglik, first_variance, reason)


def filter_variance(fit: GjrFit, values: Floats, offsets: Ints) -> tuple[Floats, Floats]:
    """Return the variance of every return as it was expected one step before, and of the one that comes next.

    Parameters
    ----------
    fit
        S series.
    values, offsets
        As for :func:`fit_gjr`; the returns fitted, or those with later ones after them. A return that is NaN or
        infinite counts as missing: variance then moves as expected.

    Returns
    -------
    variance, next_variance
        Shapes ``(N,)`` and ``(S,)``; NaN where a series has no parameters. An empty series expects its first variance.
    """
    values, offsets = checked_series(values, offsets, len(fit.mu))
    variance, following = np.full(len(values), np.nan), np.empty(len(fit.mu))
    _filter(values, offsets, *_recursion(fit), fit.first_variance, variance, following)
    return variance, following


def update_variance(fit: GjrFit, values: Floats, variance: Floats) -> Floats:
    """Return the next variance of each series from one new return: what filtering everything again gives, bit for bit.

    Parameters
    ----------
    fit
        S series.
    values
        The new returns, shape ``(S,)``; NaN or infinite where there is none.
    variance
        Their variances expected before, shape ``(S,)``.

    Returns
    -------
    array
        Shape ``(S,)``.
    """
    following = np.empty(len(fit.mu))
    _update(np.asarray(values, np.float64), variance, *_recursion(fit), following)
    return following


def variance_path(fit: GjrFit, next_variance: Floats, horizon: int) -> Floats:
    """Return the expected variance of each of the next steps: from the next one towards the long run.

    Parameters
    ----------
    fit
        S series.
    next_variance
        Shape ``(S,)``. NaN gives NaN.
    horizon
        Steps H, at least 1. The variance of an h-step return is the sum of the first h.

    Returns
    -------
    array
        Shape ``(S, H)``.

    Examples
    --------
    >>> one = np.ones(1)
    >>> fit = GjrFit(0 * one, 0.1 * one, 0.1 * one, 0 * one, 0.8 * one, one, one, one, np.zeros(1, np.int8))
    >>> variance_path(fit, 2 * one, 3).round(3).tolist()
    [[2.0, 1.9, 1.81]]
    """
    path = np.empty((len(next_variance), horizon))
    path[:, 0] = next_variance
    for step in range(1, horizon):
        path[:, step] = fit.omega + fit.persistence * path[:, step - 1]
    return path


def checked_series(values: Floats, offsets: Ints, series: int | None = None) -> tuple[Floats, Ints]:
    """Return values and offsets in the types that compiled code takes.

    Raises
    ------
    ValueError
        The offsets do not cut the values into series, or not into as many as expected.
    """
    values = np.ascontiguousarray(values, np.float64)
    offsets = np.ascontiguousarray(offsets, np.int64)
    cuts = offsets.ndim == 1 and len(offsets) > 0 and offsets[0] >= 0 and bool(np.all(np.diff(offsets) >= 0))
    if values.ndim != 1 or not cuts or offsets[-1] > len(values):
        raise ValueError(
            f"expected returns (N,) and rising offsets (S + 1,) within them, got shapes {values.shape} and "
            f"{offsets.shape}, offsets {offsets.ravel()[:3]} … {offsets.ravel()[-3:]}"
        )
    if series is not None and len(offsets) != series + 1:
        raise ValueError(f"expected returns of the {series} series of the fit, got {len(offsets) - 1}: take() the same")
    return values, offsets


def _recursion(fit: GjrFit) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    return fit.mu, fit.omega, fit.alpha, fit.gamma, fit.beta


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _next_variance(
    value: float, variance: float, mu: float, omega: float, alpha: float, gamma: float, beta: float
) -> float:
    """Return the variance after a return; without licences for the compiler, so the same bits wherever it is used."""
    if not np.isfinite(value):
        return omega + (alpha + 0.5 * gamma + beta) * variance
    shock = value - mu
    return omega + (alpha + (gamma if shock < 0 else 0.0)) * (shock * shock) + beta * variance


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _filter(
    values: Floats,
    offsets: Ints,
    mu: Floats,
    omega: Floats,
    alpha: Floats,
    gamma: Floats,
    beta: Floats,
    first: Floats,
    variance: Floats,
    following: Floats,
) -> None:
    for s in range(len(offsets) - 1):
        h = first[s]
        for t in range(offsets[s], offsets[s + 1]):
            variance[t] = h
            h = _next_variance(values[t], h, mu[s], omega[s], alpha[s], gamma[s], beta[s])
        following[s] = h


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _update(
    values: Floats,
    variance: Floats,
    mu: Floats,
    omega: Floats,
    alpha: Floats,
    gamma: Floats,
    beta: Floats,
    following: Floats,
) -> None:
    for s in range(len(values)):
        following[s] = _next_variance(values[s], variance[s], mu[s], omega[s], alpha[s], gamma[s], beta[s])
