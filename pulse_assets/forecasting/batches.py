"""From values as they came to a batch on its scale: what the table API and the engine behind the lake share. Pure."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.kinds import SAME, panel_class, scale_of, sound_counts, to_scale
from pulse_assets.forecasting.lags import lags_of
from pulse_assets.forecasting.pool import NEWEST, ZERO, Batch
from pulse_assets.forecasting.walk_state import spec

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Scaled:
    """A batch of S series, and what became of each on the way to its scale.

    Parameters
    ----------
    batch
        The series; values that no scale takes are NaN.
    scale
        Scale of each, see :mod:`.kinds`, shape ``(S,)``.
    sound
        How many values of each come before the first that its scale does not take, shape ``(S,)``.
    """

    batch: Batch
    scale: Ints
    sound: Ints


def scaled_batch(
    ids: Texts, values: Floats, offsets: Ints, *, kind: str, seasons: tuple[int, int], horizon: int
) -> Scaled:
    """Put series of one kind and frequency on their scale.

    Parameters
    ----------
    ids
        Names, shape ``(S,)``: their hashes decide folds and samples.
    values, offsets
        Observations, shape ``(N,)``, and where each series begins, shape ``(S + 1,)``; none is empty.
    kind
        One of :data:`~pulse_assets.forecasting.kinds.KINDS`.
    seasons
        Steps of the first and second season; below 2 for none.
    horizon
        Steps ahead.
    """
    is_market = panel_class(kind) == "market"
    scale = scale_of(kind, values[offsets[:-1]])
    scaled = to_scale(values, np.repeat(scale, np.diff(offsets)))
    code = np.fromiter((crc32(str(name).encode()) for name in ids), np.int64, len(ids))
    season, season_2 = max(seasons[0], 1), seasons[1]
    batch = Batch(
        scaled,
        offsets,
        (scale == SAME) & (not is_market),
        code,
        spec(season, season_2, horizon, lags_of(season, season_2) + 1),
        relative=not is_market,
        anchor=ZERO if kind == "return" else NEWEST,
    )
    return Scaled(batch, scale, sound_counts(scaled, offsets))
