"""From a table of anyone's to a batch on its scale: options are checked, faults of series told as reasons. Pure."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.frames import Series, frequency, read_series
from pulse_assets.forecasting.kinds import KINDS, SAME, SEASONS, panel_class, scale_of, sound_counts, to_scale
from pulse_assets.forecasting.lags import lags_of
from pulse_assets.forecasting.pool import NEWEST, ZERO, Batch
from pulse_assets.forecasting.prior import Prior, prior_on
from pulse_assets.forecasting.walk_state import SHORTEST, spec

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
    lengths = np.diff(series.offsets)
    scale = np.array([scale_of(kind, first_value) for first_value in series.values[series.offsets[:-1]]], np.int64)
    scaled = to_scale(series.values, np.repeat(scale, lengths))
    off = sound_counts(scaled, series.offsets) < lengths
    short = lengths < SHORTEST
    reasons = dict(series.reasons)
    reasons |= {str(name): "TOO_SHORT" for name in series.ids[short]}
    reasons |= {str(name): "OFF_SCALE" for name in series.ids[off]}
    good = np.flatnonzero(~off & ~short)
    for name, low, high in zip(series.ids[good], series.offsets[:-1][good], series.offsets[1:][good], strict=True):
        if scaled[low] == scaled[high - 1] and (scaled[low:high] == scaled[low]).all():
            reasons.setdefault(str(name), "CONSTANT")
    sizes = spec(max(first, 1), second, horizon, lags_of(max(first, 1), second) + 1)
    is_market = panel_class(kind) == "market"
    whole = Batch(
        scaled,
        series.offsets,
        np.full(len(series), not is_market),
        series.code,
        sizes,
        relative=not is_market,
        anchor=ZERO if kind == "return" else NEWEST,
    ).select(good)
    whole = replace(whole, may_log=whole.may_log & (scale[good] == SAME))
    kept = replace(
        series,
        ids=series.ids[good],
        values=np.empty(0),
        offsets=whole.offsets,
        newest=series.newest[good],
        code=series.code[good],
        reasons=reasons,
    )
    day = newest_day(kept.newest) if series.stamps == "datetime" else None
    return Prepared(kept, whole, scale[good], freq, panel_class(kind), prior_on(panel_class(kind), day))


def newest_day(stamps: Ints) -> date | None:
    """Return the day of the newest stamp (microseconds since 1970), None without any."""
    return stamps.max().astype("datetime64[us]").astype("datetime64[D]").astype(object) if len(stamps) else None
