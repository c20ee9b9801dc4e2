"""What the pool would have said at past origins, so that what comes from outside can be judged beside it. Pure."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.drivers import Drivers
from pulse_assets.forecasting.engine import MapBlocks
from pulse_assets.forecasting.learning import fit_models
from pulse_assets.forecasting.pool import Batch
from pulse_assets.forecasting.prior import Prior
from pulse_assets.forecasting.speaking import Outlook, speak
from pulse_assets.forecasting.walk_state import SHORTEST

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """S series and what a backtest of the pool over them needs.

    Parameters
    ----------
    batch, scale
        The series, and how each came on its scale, shape ``(S,)``.
    drivers
        Exogenous values of the series, or None.
    """

    batch: Batch
    scale: Ints
    prior: Prior
    drivers: Drivers | None
    map_blocks: MapBlocks

    def select(self, series: Ints) -> "Known":
        """Return some of the series."""
        drivers = None if self.drivers is None else self.drivers.select(series)
        return replace(self, batch=self.batch.select(series), scale=self.scale[series], drivers=drivers)


@dataclass(frozen=True)
class Past:
    """What was said at P past origins whose truths are known; rows by series, older origins first."""

    said: Outlook
    series: Ints
    origins: Ints
    ago: Ints
    truth: Floats
    scale: Floats  # one over the mean absolute seasonal difference known then, 0 where there is none


def one_over_change(batch: Batch, starts: Ints, origins: Ints) -> Floats:
    """Return one over the mean absolute seasonal difference known at origins, 0 where there is none; shape ``(P,)``."""
    season, weights = max(batch.sizes.season, 1), np.zeros(len(origins))
    for s in np.flatnonzero(np.diff(starts)):
        y = batch.values[batch.offsets[s] : batch.offsets[s + 1]]
        mine = slice(starts[s], starts[s + 1])
        paces = np.concatenate(([0.0], np.cumsum(np.abs(y[season:] - y[:-season]))))
        count = np.maximum(origins[mine] - season, 0)
        pace = paces[np.minimum(count, len(paces) - 1)]
        weights[mine] = np.divide(count, pace, out=np.zeros(len(count)), where=pace > 0)
    return weights


def pool_then(known: Known, counts: Ints, ago: Ints) -> Past:
    """Return what the pool says at past origins, as fitted on what was known at the oldest of them.

    Parameters
    ----------
    counts
        Observations of each series that are known, shape ``(S,)``.
    ago
        How many steps before that the origins lie, falling, each at least a horizon.
    """
    batch, horizon = known.batch, known.batch.sizes.horizon
    fitted_on = np.maximum(counts - ago[0], 0)[:, None]
    models = fit_models(batch, fitted_on, [known.prior] * fitted_on.shape[1], known.map_blocks)
    places = counts[:, None] - ago
    asked = places >= SHORTEST
    starts = np.concatenate(([0], np.cumsum(asked.sum(axis=1)))).astype(np.int64)
    origins = places[asked]
    serving = np.zeros(len(origins), np.int64)
    said = speak(batch, starts, origins, serving, fitted_on, models, known.map_blocks)
    series = np.repeat(np.arange(len(batch)), asked.sum(axis=1))
    truth = batch.values[(batch.offsets[:-1][series] + origins)[:, None] + np.arange(horizon)]
    scale = one_over_change(batch, starts, origins)
    return Past(said, series, origins, np.broadcast_to(ago, places.shape)[asked], truth, scale)
