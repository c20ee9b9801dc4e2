"""Conditional volatility of market series as an input of the spread: a GJR-GARCH for each series, frozen at a refit.

References
----------
Glosten, Jagannathan and Runkle (1993), On the relation between the expected value and the volatility of the nominal
excess return on stocks. Barone-Adesi, Giannopoulos and Vosper (1999), VaR without correlations for portfolios of
derivative securities: standardised errors, pooled and kept as quantiles, are the filtered historical simulation.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.garch import GjrFit, filter_variance, fit_gjr, update_variance, variance_path

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Volatility:
    """Fits of S series.

    Parameters
    ----------
    fit
        Parameters; NaN for series that are too short or do not move.
    differenced
        Whether the series are levels (logarithms of prices), whose returns are their differences.
    """

    fit: GjrFit
    differenced: bool

    def take(self, series: Ints) -> "Volatility":
        """Return some of the series."""
        return Volatility(self.fit.take(series), self.differenced)

    def next_variances(self, values: Floats, offsets: Ints, starts: Ints, origins: Ints) -> Floats:
        """Return the variance of the return after each origin, as expected there, shape ``(P,)``.

        Parameters
        ----------
        values, offsets
            Observations, at least up to the last origin of each series.
        starts, origins
            Series s has the origins ``origins[starts[s]:starts[s + 1]]``: numbers of observations.
        """
        returns, begins = returns_of(values, offsets, self.differenced)
        variance, following = filter_variance(self.fit, returns, begins)
        series = np.repeat(np.arange(len(offsets) - 1), np.diff(starts))
        count = origins - (1 if self.differenced else 0)
        inside = count < np.diff(begins)[series]
        out = following[series]
        out[inside] = variance[(begins[:-1][series] + count)[inside]]
        return np.asarray(out)

    def spreads(self, series: Ints, variance: Floats, horizon: int) -> Floats:
        """Return the standard deviation of what is forecast at each step, shape ``(P, H)``, from next variances.

        For levels it grows with the steps, for returns it tends to the long run.
        """
        path = variance_path(self.fit.take(series), variance, horizon)
        return np.asarray(np.sqrt(np.cumsum(path, axis=1) if self.differenced else path))

    def update(self, variance: Floats, newest: Floats, value: Floats) -> Floats:
        """Return the next variances after one more observation of each series; NaN where there is none."""
        return update_variance(self.fit, value - newest if self.differenced else value, variance)


def returns_of(values: Floats, offsets: Ints, differenced: bool) -> tuple[Floats, Ints]:
    """Return the returns of series and where each begins: one fewer than observations where they are differences."""
    if not differenced:
        return values, offsets
    inside = np.ones(len(values), bool)
    inside[offsets[:-1][np.diff(offsets) > 0]] = False
    returns = np.diff(values, prepend=values[:1])[inside]
    return returns, np.concatenate(([0], np.cumsum(np.maximum(np.diff(offsets) - 1, 0)))).astype(np.int64)


def fit_volatility(values: Floats, offsets: Ints, counts: Ints, *, differenced: bool) -> Volatility:
    """Fit every series on its first ``counts`` observations."""
    lengths = counts.astype(np.int64)
    ends = np.cumsum(lengths)
    rows = np.arange(ends[-1] if len(ends) else 0) + np.repeat(offsets[:-1] - (ends - lengths), lengths)
    returns, begins = returns_of(values[rows], np.concatenate(([0], ends)).astype(np.int64), differenced)
    return Volatility(fit_gjr(returns, begins, mean="zero"), differenced)
