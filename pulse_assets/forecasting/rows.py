"""Lays the arrays of an engine out as rows of ``gold/forecasts``, in order of origin, series, model and horizon. Pure.

An engine walks segment by segment; a table is written day by day. Where values come from does not belong here.
"""

from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.pack import Floats, Ints, Panel, Texts
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.signals.calendars import add_steps


def forecast_rows(
    panel: Panel,
    origins: list[date],
    counts: Ints,
    asked: npt.NDArray[np.bool_],
    horizon: Ints,
    models: tuple[str, ...],
    mean: Floats,
    quantiles: Floats,
) -> pa.Table:
    """Return the rows of some origins, with the columns of ``gold/forecasts`` up to the quantiles.

    A segment with a number that is not finite at an origin is left out there as a whole, with all its models.

    Parameters
    ----------
    panel
        S segments, sorted by ``unique_id``; no two serve one origin.
    origins
        O days, ascending.
    counts
        Observations of each segment known at each origin, shape ``(S, O)``, at least 1 where asked: a forecast's event
        time counts from the newest of them.
    asked
        Where there are forecasts, shape ``(S, O)``.
    horizon
        Steps ahead of each segment, shape ``(S,)``, at least 1.
    models
        M names, ascending; each has forecasts wherever asked.
    mean, quantiles
        Shapes ``(R,)`` and ``(23, R)`` in units of the series, by segment, origin, model and horizon: a segment has
        ``M·horizon`` rows for each origin that asks.

    Examples
    --------
    >>> import pyarrow.compute as pc
    >>> from pulse_assets.forecasting.pack import pack
    >>> days = pa.array([date(2024, 1, 1), date(2024, 1, 2)]).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    >>> series = pa.table({"unique_id": ["a"] * 2, "ds": days, "y": [1.0, 2.0], "known_at": days,
    ...                    "kind": ["rate"] * 2, "freq": ["D"] * 2, "calendar": ["none"] * 2})
    >>> panel, asked = pack(series, 0, 2**62), np.array([[True]])
    >>> made = forecast_rows(panel, [date(2024, 1, 2)], np.array([[2]]), asked, np.array([2]), ("naive",),
    ...                      np.array([2.0, 2.0]), np.full((23, 2), 2.0))
    >>> made.select(["unique_id", "model", "h", "mean"]).to_pylist()[1]
    {'unique_id': 'a', 'model': 'naive', 'h': 2, 'mean': 2.0}
    >>> str(made["ds"][1])
    '2024-01-04 00:00:00+00:00'
    """
    segment, origin = np.nonzero(asked)  # by segment, then origin: the order in which the arrays lie
    sizes = horizon[segment] * len(models)
    begins = np.cumsum(sizes) - sizes
    order = np.lexsort((segment, origin))
    segment, origin, sizes = segment[order], origin[order], sizes[order]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.repeat(begins[order], sizes) + within
    h = within % np.repeat(horizon[segment], sizes) + 1
    model = within // np.repeat(horizon[segment], sizes)
    series = np.repeat(segment, sizes)
    days = np.array(origins, "datetime64[D]")[np.repeat(origin, sizes)]
    newest = panel.newest(panel.ds, counts)[series, np.repeat(origin, sizes)] if len(rows) else np.empty(0, np.int64)
    columns = {
        "as_of": pa.array(days),
        "unique_id": _texts(panel.ids, series),
        "model": _texts(np.array(models, object), model),
        "h": pa.array(h.astype(np.int16)),
        "ds": pa.array(_event_times(panel, series, newest, h)).cast(pa.timestamp("us", "UTC")),
        "mean": pa.array(mean[rows]),
    }
    made = pa.table(columns | {name: pa.array(quantiles[k][rows]) for k, name in enumerate(QUANTILE_COLUMNS)})
    finite = np.isfinite(mean[rows]) & np.isfinite(quantiles[0][rows]) & np.isfinite(quantiles[-1][rows])
    if finite.all():
        return made
    whole = np.logical_and.reduceat(finite, np.cumsum(sizes) - sizes)
    return made.filter(pa.array(np.repeat(whole, sizes)))


def _texts(values: Texts, index: Ints) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(values, pa.string())).cast(
        pa.string()
    )


def _event_times(panel: Panel, series: Ints, newest: Ints, h: Ints) -> npt.NDArray[np.datetime64]:
    times = np.empty(len(series), "datetime64[us]")
    since = newest.astype("datetime64[us]")
    labels = np.array([f"{freq} {calendar}" for freq, calendar in zip(panel.freq, panel.calendar, strict=True)], object)
    for label in sorted(set(labels)):
        freq, calendar = label.split(" ", 1)
        rows = (labels == label)[series]
        times[rows] = add_steps(since[rows], h[rows], freq, calendar)
    return times
