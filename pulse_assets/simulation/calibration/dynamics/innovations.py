"""What drives assets besides their volatility: normal, Student's t in common, or whole days of the past."""

import math
from collections.abc import Mapping

import numpy as np
from pydantic import Field

from pulse_assets.simulation.calibration.dynamics.oracles import student_t_kurtosis, t_tail_dependence
from pulse_assets.simulation.calibration.dynamics.protocol import Kind, Sample, Settings, number
from pulse_assets.simulation.calibration.part_guards import FEWEST_DAYS, SMALLEST_NU
from pulse_assets.simulation.calibration.shrinkage import shrunk_correlation
from pulse_assets.simulation.world import LARGEST_NU, Floats

LONGEST_BLOCK_SHARE = 0.1
"""Of the days, which blocks may last: with longer ones futures would be a handful of replays."""


class NormalSettings(Settings):
    """Nothing to set."""


class StudentSettings(Settings):
    """Student's t.

    Attributes
    ----------
    nu
        Degrees of freedom, fitted if None.
    """

    nu: int | None = Field(default=None, ge=SMALLEST_NU, le=LARGEST_NU)


class HistoricalSettings(Settings):
    """Past days.

    Attributes
    ----------
    block_length
        Mean number of days in a row, 1 for single days; estimated if None.
    """

    block_length: float | None = Field(default=None, ge=1)


class Normal:
    """Gaussian shocks."""

    name = "normal"
    kind: Kind = "innovations"
    settings: type[Settings] = NormalSettings

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:  # noqa: ARG002 - nothing to set
        """Return the word alone."""
        return {"innovations": "normal"}

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:  # noqa: ARG002
        """Return that tails are thin and do not depend."""
        return {"kurtosis": 3.0, "tail_dependence": 0.0}


class StudentT:
    """Multivariate t of unit variance: one chi-square a day for all assets, so that their tails depend."""

    name = "student_t"
    kind: Kind = "innovations"
    settings: type[Settings] = StudentSettings

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:
        """Return the most likely whole number of degrees of freedom of all assets together."""
        assert isinstance(settings, StudentSettings)
        nu = settings.nu if settings.nu is not None else likeliest_nu(sample.residuals)
        return {"innovations": "student_t", "nu": nu}

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:  # noqa: ARG002
        """Return kurtosis of a shock and tail dependence for ``nu`` and ``correlation``."""
        nu = number(parameters, "nu")
        dependence = t_tail_dependence(nu, number(parameters, "correlation", 0.0))
        return {"kurtosis": student_t_kurtosis(nu), "tail_dependence": dependence}


class Historical:
    """Filtered historical simulation, or with longer blocks the stationary bootstrap."""

    name = "historical"
    kind: Kind = "innovations"
    settings: type[Settings] = HistoricalSettings

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:
        """Return the mean length of blocks; the days themselves are those of the sample."""
        assert isinstance(settings, HistoricalSettings)
        length = settings.block_length
        return {
            "innovations": "historical",
            "block_length": likely_block_length(sample.residuals) if length is None else float(length),
        }

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:
        """Return the variance of a sum of shocks of unit variance for ``block_length`` and ``autocorrelation``.

        ``autocorrelation`` is that of the past at lag 1, taken to decay geometrically; a block goes on with probability
        ``1 - 1/block_length`` (Politis and Romano 1994, lemma 1).
        """
        going_on = 1 - 1 / number(parameters, "block_length")
        decay = going_on * number(parameters, "autocorrelation", 0.0)
        lags = np.arange(1, steps)
        return {"variance": float(steps + 2 * ((steps - lags) * decay**lags).sum())}


def likeliest_nu(residuals: Floats) -> int:
    """Return the whole degrees of freedom, 3 to 30, under which residuals are most likely.

    Parameters
    ----------
    residuals
        Standardised, shape ``(T, A)``; only days on which all are known count.

    Raises
    ------
    ValueError
        Fewer than 100 such days.

    References
    ----------
    Demarta and McNeil (2005), The t copula and related copulas, section 2 (the density).

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> shocks = random.normal(size=(4000, 3)) / np.sqrt(random.chisquare(5, size=(4000, 1)) / 5)
    >>> likeliest_nu(shocks / shocks.std(axis=0))
    5
    """
    rows = residuals[np.isfinite(residuals).all(axis=1)]
    if len(rows) < FEWEST_DAYS:
        raise ValueError(
            f"Student's t needs at least {FEWEST_DAYS} days on which all assets have returns, got {len(rows)}: "
            "give 'nu', or leave out the shortest asset"
        )
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    solved = np.linalg.solve(shrunk_correlation(rows), scaled.T).T
    distance, assets = (scaled * solved).sum(axis=1), rows.shape[1]
    candidates = range(SMALLEST_NU, LARGEST_NU + 1)
    return max(candidates, key=lambda nu: _log_likelihood(nu, distance, assets))


def _log_likelihood(nu: int, distance: Floats, assets: int) -> float:
    constant = math.lgamma((nu + assets) / 2) - math.lgamma(nu / 2) - assets / 2 * math.log(nu - 2)
    return float(len(distance) * constant - (nu + assets) / 2 * np.log1p(distance / (nu - 2)).sum())


def likely_block_length(residuals: Floats) -> float:
    """Return the mean block length for the stationary bootstrap, from 1 to a tenth of the days.

    It is the mean over assets of the optimal length for absolute residuals: what is left in them is mostly volatility.

    Parameters
    ----------
    residuals
        Shape ``(T, A)``; only days on which all are known count.

    References
    ----------
    Politis and White (2004), Automatic block-length selection for the dependent bootstrap, with the correction of
    Patton, Politis and White (2009).
    """
    from arch.bootstrap import optimal_block_length

    rows = residuals[np.isfinite(residuals).all(axis=1)]
    if len(rows) < FEWEST_DAYS:
        return 1.0
    lengths = optimal_block_length(np.abs(rows))["stationary"].to_numpy(float)
    longest = max(1.0, LONGEST_BLOCK_SHARE * len(rows))
    return float(np.clip(np.mean(lengths[np.isfinite(lengths)]), 1.0, longest))
