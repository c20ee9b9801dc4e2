"""What regimes explain of past residuals, by probabilities that use no later day.

What belongs here: arrays of days. The model of regimes is in ``regimes``.
"""

import numpy as np

from pulse_assets.simulation.calibration.known_series import Days
from pulse_assets.simulation.calibration.regimes import RegimeFit, filtered_probabilities
from pulse_assets.simulation.world import Floats, Regimes


def reference_returns(returns: Floats, index: int | None) -> Floats:
    """Return the index's returns, or else the mean of all assets on days on which all have one, shape ``(T,)``.

    Parameters
    ----------
    returns
        Shape ``(T, A)``, NaN where there is none.
    index
        Column, or None.
    """
    return np.asarray(returns[:, index] if index is not None else returns.sum(axis=1) / returns.shape[1])


def regime_scales(
    switching: RegimeFit, regimes: Regimes, reference_days: Days, reference: Floats, days: Days
) -> tuple[Floats, Floats]:
    """Return by how much regimes raise the deviation of each day, and the probabilities behind it.

    Parameters
    ----------
    switching, regimes
        K states and their multipliers.
    reference_days, reference
        Returns of the market, without NaN.
    days
        T days; one without a return of the market has the probabilities of the last that has one.

    Returns
    -------
    scales, probabilities
        Shapes ``(T,)`` and ``(T, K)``; rows do not depend on later days.
    """
    filtered = np.vstack([switching.stationary, filtered_probabilities(switching, reference)])
    probabilities = filtered[np.searchsorted(reference_days, days, side="right")]
    return np.sqrt((probabilities * regimes.volatility**2).sum(axis=1)), probabilities
