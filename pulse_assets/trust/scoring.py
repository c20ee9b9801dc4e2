"""Scores forecasts against truths that became known later. Pure."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.numerics.normal_scores import normal_scores
from pulse_assets.numerics.quantiles import MEDIAN, QUANTILE_COLUMNS
from pulse_assets.numerics.scores import (
    covered,
    crps_from_quantiles,
    probability_integral_transform,
    weighted_interval_score,
)

NEAR = timedelta(days=5)
COVERAGES = (0.5, 0.8, 0.95)
SCORED_COLUMNS = ("as_of", "unique_id", "model", "h", "ds", *QUANTILE_COLUMNS, "model_version")
"""What is read of forecasts, raw or recalibrated, to score them."""
LOOKBACK = timedelta(days=800)
"""Truths that come later than this after a forecast do not score it: two years cover the slowest series."""


def first_releases(silver: pa.Table) -> pa.Table:
    """Return the rows that told a value for the first time: ``as_of, unique_id, ds, y``, one a ``(unique_id, ds)``."""
    rows = silver.filter(pc.invert(pc.match_substring(silver["flags"], "revision")))
    return rows.select(["as_of", "unique_id", "ds", "y"])


def wanted_forecasts(truths: pa.Table) -> pc.Expression:
    """Return the filter that finds the forecasts of some truths: ranges of event times, so that files are pruned.

    Monthly truths arrive weeks after daily ones of the same event time; one range over both would read far too much.
    """
    times = sorted(set(truths["ds"].to_pylist()))
    runs: list[list[object]] = []
    for time in times:
        if runs and time - runs[-1][1] <= NEAR:
            runs[-1][1] = time
        else:
            runs.append([time, time])
    kind = truths.schema.field("ds").type
    wanted = pc.scalar(False)
    for low, high in runs:
        wanted |= (pc.field("ds") >= pa.scalar(low, kind)) & (pc.field("ds") <= pa.scalar(high, kind))
    return wanted


def score(forecasts: pa.Table, truths: pa.Table) -> pa.Table:
    """Return one score row for each forecast whose truth is given and became known within two years after it.

    Parameters
    ----------
    forecasts
        Columns :data:`SCORED_COLUMNS` of ``gold/forecasts`` or ``gold/calibrated``.
    truths
        ``as_of, unique_id, ds, y`` with one row a ``(unique_id, ds)``.

    Returns
    -------
    pyarrow.Table
        Columns of ``gold/scores`` and ``gold/calibrated_scores``, sorted by ``as_of``.
    """
    forecasts, at = _match(forecasts, truths)
    quantiles = np.column_stack([forecasts[name].to_numpy() for name in QUANTILE_COLUMNS])
    found = truths.take(pa.array(at))
    y = found["y"].to_numpy()
    columns: dict[str, object] = {
        "as_of": found["as_of"],
        "origin": forecasts["as_of"],
        **{name: forecasts[name] for name in ("unique_id", "model", "h", "ds")},
        "y": y,
        "error": y - quantiles[:, MEDIAN],
        "wis": weighted_interval_score(quantiles, y),
        "crps": crps_from_quantiles(quantiles, y),
        "pit": probability_integral_transform(quantiles, y),
        "z": normal_scores(quantiles, y),
        **{f"covered_{nominal * 100:.0f}": covered(quantiles, y, nominal) for nominal in COVERAGES},
        "model_version": forecasts["model_version"],
    }
    return pa.table(columns).sort_by([("as_of", "ascending")])


def _match(forecasts: pa.Table, truths: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Return the forecasts with a truth, and the row of that truth for each."""
    names = pc.unique(truths["unique_id"])
    code = pc.fill_null(pc.index_in(forecasts["unique_id"], names), -1).to_numpy().astype(np.int64)
    times = np.unique(truths["ds"].cast(pa.int64()).to_numpy())
    ours = pc.index_in(truths["unique_id"], names).to_numpy().astype(np.int64) * (len(times) + 1)
    ours += np.searchsorted(times, truths["ds"].cast(pa.int64()).to_numpy())
    order = np.argsort(ours, kind="stable")
    when = forecasts["ds"].cast(pa.int64()).to_numpy()
    place = np.searchsorted(times, when)
    exact = (place < len(times)) & (times[np.minimum(place, len(times) - 1)] == when) if len(times) else code > 0
    theirs = code * (len(times) + 1) + place
    spot = np.minimum(np.searchsorted(ours[order], theirs), max(len(ours) - 1, 0))
    row = order[spot] if len(order) else spot
    hit = exact & (code >= 0) & (ours[row] == theirs) if len(order) else np.zeros(len(forecasts), bool)
    known = truths["as_of"].cast(pa.int32()).to_numpy()
    made = forecasts["as_of"].cast(pa.int32()).to_numpy()
    if len(order):
        hit &= (known[row] > made) & (known[row] - made <= LOOKBACK.days)
    return forecasts.filter(pa.array(hit)), row[hit] if len(order) else np.empty(0, np.int64)


def lookback(days: list[date]) -> date:
    """Return the oldest origin whose forecasts can meet truths of these days."""
    return days[0] - LOOKBACK
