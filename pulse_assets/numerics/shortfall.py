"""Backtests of expected shortfall: whether losses beyond the value at risk were as large as said.

How often losses exceed it is judged in ``exceedances``. Signs: profit is positive, value at risk and expected shortfall
are positive losses, all in one unit.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.numerics.comparison import Significance
from pulse_assets.numerics.distances import Members

Floats = npt.NDArray[np.float64]


class AcerbiSzekely(NamedTuple):
    """Two tests, each expected to be 0 and below it where losses are larger than said; one-sided.

    ``z1`` judges the size of losses beyond the value at risk alone, ``z2`` their number as well.
    """

    z1: Significance
    z2: Significance


def acerbi_szekely(pnl: Floats, var: Floats, es: Floats, p: float, histories: Floats) -> AcerbiSzekely:
    """Test whether expected shortfall was understated, against histories simulated from the forecasts themselves.

    Parameters
    ----------
    pnl
        Profit and loss, or return, of each day, shape ``(n,)``. NaN anywhere gives NaN: choose first which days count.
    var, es
        Value at risk and expected shortfall forecast for each day, shape ``(n,)``, unit of ``pnl``, losses positive.
    p
        Promised probability of an exceedance, in (0, 1): 0.025 for a 97.5 % expected shortfall.
    histories
        Shape ``(k, n)``: what might have been in place of ``pnl`` if the forecasts were right, such as from
        :func:`histories_of_ensemble`. A p-value is never below ``1 / (k + 1)``.

    Returns
    -------
    AcerbiSzekely
        The p-value is the share of histories, the real one included, with a statistic as low; a correct model is
        rejected no more often than the level says. ``z1`` is NaN where nothing exceeded, and is compared with those
        histories alone where something did.

    Raises
    ------
    ValueError
        The shapes do not match, an expected shortfall is not a loss, or p is not inside (0, 1).

    References
    ----------
    Acerbi and Szekely (2014), Backtesting expected shortfall, tests 1 and 2. P-values: Dufour (2006), Monte Carlo tests
    with nuisance parameters, eq. 2.2.

    Examples
    --------
    >>> rng = np.random.Generator(np.random.Philox(1))
    >>> var, es = np.full(250, 1.95996), np.full(250, 2.33780)  # of a standard normal at 97.5 %
    >>> histories = rng.normal(size=(999, 250))
    >>> honest = acerbi_szekely(rng.normal(size=250), var, es, 0.025, histories)
    >>> risky = acerbi_szekely(2 * rng.normal(size=250), var, es, 0.025, histories)
    >>> honest.z2.p_value > 0.05, risky.z2.p_value
    (True, 0.001)
    """
    if not (pnl.ndim == 1 and pnl.shape == var.shape == es.shape == histories.shape[1:]):
        raise ValueError(
            f"pnl, var and es must have shape (n,) and histories (k, n); came {pnl.shape}, {var.shape}, {es.shape} "
            f"and {histories.shape}"
        )
    if not 0 < p < 1:
        raise ValueError(f"the promised probability must lie inside (0, 1); came {p}")
    if (es <= 0).any():
        raise ValueError(f"expected shortfall must be a positive loss; came {es[es <= 0][:5].tolist()}")
    unknown = not len(pnl) or bool(np.isnan(pnl + var + es).any() or np.isnan(histories).any())
    first, second = _statistics(np.concatenate((pnl[None], histories)), var, es, p)
    return AcerbiSzekely(_as_low(first, unknown), _as_low(second, unknown))


def histories_of_ensemble(members: Members, count: int, rng: np.random.Generator) -> Floats:
    """Return histories in which each day is one of its members, chosen afresh: days independent of each other.

    Parameters
    ----------
    members
        What was simulated for each day, shape ``(n, m)``, m at least 1. NaN stays NaN.
    count
        Histories k.
    rng
        What chooses; all it gives depends on its state.

    Returns
    -------
    array
        Shape ``(k, n)``.

    Raises
    ------
    ValueError
        There is no member.

    Examples
    --------
    >>> histories_of_ensemble(np.array([[1.0, 1.0], [2.0, 2.0]]), 3, np.random.Generator(np.random.Philox(0))).tolist()
    [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
    """
    if members.ndim != 2 or members.shape[1] < 1:
        raise ValueError(f"members must have shape (n, m) with m at least 1; came {members.shape}")
    days = np.arange(len(members))
    chosen = rng.integers(0, members.shape[1], (count, len(members)))
    return np.asarray(members[days, chosen], np.float64)


def _statistics(histories: Floats, var: Floats, es: Floats, p: float) -> tuple[Floats, Floats]:
    """Return Z1 and Z2 of each history, shape ``(k,)``; Z1 is NaN without an exceedance."""
    exceeded = histories < -var
    relative = np.where(exceeded, histories, 0) / es
    total, hits = relative.sum(axis=1), np.count_nonzero(exceeded, axis=1)
    first = np.divide(total, hits, out=np.full(len(hits), np.nan), where=hits > 0)
    return first + 1, total / (histories.shape[1] * p if histories.shape[1] else np.nan) + 1


def _as_low(statistics: Floats, unknown: bool) -> Significance:
    """Return the first statistic and the share of those known that are not above it."""
    if unknown or np.isnan(statistics[0]):
        return Significance(np.nan, np.nan)
    known = statistics[~np.isnan(statistics)]
    return Significance(float(statistics[0]), float((known <= statistics[0]).mean()))
