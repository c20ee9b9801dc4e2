"""Backtests of simulated tails from rows of ``gold/retrodiction``: value at risk and expected shortfall. Pure."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from pulse_assets.numerics.comparison import Significance
from pulse_assets.numerics.exceedances import basel_zone, christoffersen, kupiec
from pulse_assets.numerics.shortfall import AcerbiSzekely, acerbi_szekely
from pulse_assets.simulation.retrodiction.names import PORTFOLIO
from pulse_assets.simulation.retrodiction.overlap import apart
from pulse_assets.simulation.retrodiction.scores import LEVELS

Floats = npt.NDArray[np.float64]

HISTORIES = 999
TAIL_SEED = 20180629
"""Of the histories, so that a report is the same each time."""


def tail_rows(group: pd.DataFrame, variable: str, step: int) -> Iterator[dict[str, object]]:
    """Yield the backtests of one engine's tails of one variable at one step, a row a level.

    Parameters
    ----------
    group
        ``origin, actual, var_95, es_95, var_99, es_99`` by rising origin; rows with a null are left out.
    variable, step
        Which it is.

    Yields
    ------
    dict
        ``level, days, rate``: forecasts and the share of exceedances among them. Of the ``independent_days``, which do
        not overlap: ``hits, expected``, p-values ``kupiec_p`` of the rate, ``independence_p`` and ``coverage_p``
        (Christoffersen), ``zone`` of the Basel traffic light. ``z1, z1_p, z2, z2_p`` (Acerbi-Szekely, below 0 where
        losses are larger than said) for the portfolio alone; their p-values come from histories whose losses beyond the
        quantile are exponential, with the mean that was said.
    """
    for level in LEVELS:
        quantile, mean = (f"{name}_{100 * level:.0f}" for name in ("var", "es"))
        known = group.dropna(subset=["actual", quantile, mean])
        hits = (known["actual"] < known[quantile]).to_numpy(bool)
        chosen = apart(known["origin"].to_numpy().astype("datetime64[D]"), step)
        alone, p = hits[chosen], 1 - level
        followed = christoffersen(alone, p)
        found = {
            "level": level,
            "days": len(hits),
            "rate": hits.mean() if len(hits) else np.nan,
            "independent_days": len(alone),
            "hits": int(alone.sum()),
            "expected": p * len(alone),
            "kupiec_p": kupiec(int(alone.sum()), len(alone), p).p_value,
            "independence_p": followed.independence.p_value,
            "coverage_p": followed.coverage.p_value,
            "zone": basel_zone(int(alone.sum()), len(alone), p) if len(alone) else None,
        }
        if variable == PORTFOLIO:
            actual, said, worse = (known[name].to_numpy(np.float64)[chosen] for name in ("actual", quantile, mean))
            found |= _shortfall(actual, said, worse, p)
        yield found


def _shortfall(actual: Floats, quantile: Floats, mean: Floats, p: float) -> dict[str, object]:
    usable = bool(len(actual)) and bool((mean < 0).all())
    nothing = Significance(np.nan, np.nan)
    histories = tail_histories(quantile, mean, p, HISTORIES)
    found = acerbi_szekely(actual, -quantile, -mean, p, histories) if usable else AcerbiSzekely(nothing, nothing)
    return {
        "z1": found.z1.statistic,
        "z1_p": found.z1.p_value,
        "z2": found.z2.statistic,
        "z2_p": found.z2.p_value,
    }


def tail_histories(quantile: Floats, mean: Floats, p: float, count: int) -> Floats:
    """Return what might have been beyond the quantile if both numbers were right: exponential with that mean.

    Rows keep a quantile and the mean beyond it, not the members. Of all tails with that mean the exponential has the
    most entropy; Student's t has a few larger losses, so p-values of Z1 are a little too small for it.

    Parameters
    ----------
    quantile, mean
        Log returns of n days, shape ``(n,)``, ``mean`` not above ``quantile``.
    p
        Probability of falling short of the quantile.
    count
        Histories k.

    Returns
    -------
    array
        Shape ``(k, n)``: a log return below the quantile, or the quantile itself where it did not fall short. The same
        numbers each time.
    """
    random = np.random.Generator(np.random.Philox(TAIL_SEED))
    fell = random.random((count, len(quantile))) < p
    depth = random.standard_exponential((count, len(quantile))) * (quantile - mean)
    return np.asarray(quantile - np.where(fell, depth, 0.0))
