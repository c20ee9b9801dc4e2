"""From a table of anyone's to a batch on its scale: options are checked, faults of series told as reasons. Pure."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.batches import scaled_batch
from pulse_assets.forecasting.frames import Series, frequency, read_series
from pulse_assets.forecasting.kinds import KINDS, SEASONS, panel_class
from pulse_assets.forecasting.pool import Batch
from pulse_assets.forecasting.prior import Prior, prior_on
from pulse_assets.forecasting.walk_state import SHORTEST

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LONGEST_HORIZON = 1_000


@dataclass(frozen=True)
class Prepared:
    """Series on their scale, ready for the pool: those of ``series`` that can be walked."""

    series: Series
    batch: Batch
    scale: Ints
    freq: str
    panel_class: str
    prior: Prior


def prepare(
    table: pa.Table,
    *,
    freq: str,
    horizon: int,
    season: int | tuple[int, int] | None = None,
    kind: str = "other",
    gap_policy: str = "ffill",
) -> Prepared:
    """Read a table and put its series on the scale of their kind.

    Arguments and errors are those of :func:`~pulse_assets.forecasting.api.forecast`.
    """
    if not 1 <= horizon <= LONGEST_HORIZON:
        raise ValueError(f"the horizon must be 1 to {LONGEST_HORIZON:,} steps; came {horizon}")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not known; use one of {', '.join(KINDS)}")
    freq = frequency(freq)
    first, second = SEASONS[freq] if season is None else (season if isinstance(season, tuple) else (season, 0))
    if min(first, second) < 0 or max(first, second) > LONGEST_HORIZON:
        raise ValueError(f"a season must have 0 to {LONGEST_HORIZON:,} steps; came {season}")
    series = read_series(table, freq, gap_policy=gap_policy)
    made = scaled_batch(series.ids, series.values, series.offsets, kind=kind, seasons=(first, second), horizon=horizon)
    lengths = np.diff(series.offsets)
    off, short = made.sound < lengths, lengths < SHORTEST
    good = np.flatnonzero(~off & ~short)
    batch, scale = made.batch.select(good), made.scale[good]
    reasons = dict(series.reasons)
    reasons |= {str(name): "TOO_SHORT" for name in series.ids[short]}
    reasons |= {str(name): "OFF_SCALE" for name in series.ids[off]}
    for name in series.ids[good][_constant(batch)]:
        reasons.setdefault(str(name), "CONSTANT")
    kept = replace(
        series,
        ids=series.ids[good],
        values=np.empty(0),
        offsets=batch.offsets,
        newest=series.newest[good],
        reasons=reasons,
    )
    day = newest_day(kept.newest) if series.stamps == "datetime" else None
    return Prepared(kept, batch, scale, freq, panel_class(kind), prior_on(panel_class(kind), day))


def _constant(batch: Batch) -> Bools:
    """Return which series never moved, shape ``(S,)``."""
    begins = batch.offsets[:-1]
    if not len(begins):
        return np.zeros(0, bool)
    return np.asarray(np.minimum.reduceat(batch.values, begins) == np.maximum.reduceat(batch.values, begins))


def newest_day(stamps: Ints) -> date | None:
    """Return the day of the newest stamp (microseconds since 1970), None without any."""
    return stamps.max().astype("datetime64[us]").astype("datetime64[D]").astype(object) if len(stamps) else None
