"""Recalibrates the forecasts of days in order: scores that arrived teach, thresholds are issued, quantiles are moved.

The border of :mod:`.conformal`: it reads through a snapshot. What a day hands to the next is read back from the rows of
``gold/calibrated`` itself where a range begins, so a range is the same as its days one by one.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.trust.conformal.cadence import cadence_of
from pulse_assets.trust.conformal.recalibrator import Recalibrator
from pulse_assets.trust.scoring import LOOKBACK
from pulse_assets.trust.tables import CALIBRATED, SCORES
from pulse_assets.trust.traits import frequencies, newest_before
from pulse_resources.lake import Snapshot
from pulse_resources.lake.partitions import between, blocks_of

LEARNED = ["as_of", "unique_id", "model", "h", "ds", "origin", "z"]
PENDING = ["as_of", "unique_id", "model", "h", "ds", "z"]
RATED = ["unique_id", "model", "h", "rates"]
FORECAST = [name for name in FORECASTS.schema.names if name != "data_version"]
ROWS_A_READ = 300_000
"""Scores that are held at once, about."""
ROWS_A_PIECE = 40_000
"""Forecasts that are moved at once, about."""
ROWS_A_DAY = 15
"""Scores or forecasts of a series on one day, about: three models, five horizons."""


def calibrate_days(snapshot: Snapshot, blocks: list[list[date]]) -> Iterator[pa.Table]:
    """Yield the rows of ``gold/calibrated`` of some days after another, ascending.

    Parameters
    ----------
    snapshot
        Where forecasts, scores and the asset's own earlier rows are read.
    blocks
        Days, ascending; how they are cut does not matter, since rows are yielded as memory allows.
    """
    snapshot.pin(FORECASTS, SCORES, CALIBRATED)
    first, last = blocks[0][0], blocks[-1][-1]
    recalibrator = _restored(snapshot, first, frequencies(snapshot, first, last))
    size = max(ROWS_A_PIECE // (max(len(recalibrator.rows.frequencies), 1) * ROWS_A_DAY), 1)
    begin = first
    for days in blocks_of([day for block in blocks for day in block], size):
        scores = snapshot.read(SCORES, columns=LEARNED, where=between(begin, days[-1]))
        forecasts = snapshot.read(FORECASTS, columns=FORECAST, where=between(days[0], days[-1]))
        rows, begin = recalibrator.calibrate(scores, forecasts), days[-1] + timedelta(days=1)
        if len(rows):
            yield _stamped(rows, snapshot)


def _stamped(rows: pa.Table, snapshot: Snapshot) -> pa.Table:
    for name, contract in (("forecasts_version", FORECASTS), ("scores_version", SCORES)):
        version = snapshot.versions.get(contract.name, -1)
        rows = rows.append_column(name, pa.array(np.full(len(rows), version)))
    return CALIBRATED.cast(rows)


def _restored(snapshot: Snapshot, first: date, freqs: dict[str, str]) -> Recalibrator:
    """Return what had been learned before a day: windows from scores, rates and thresholds from own rows."""
    recalibrator = Recalibrator(freqs)
    newest = newest_before(snapshot, CALIBRATED, first)
    yesterday = first - timedelta(days=1)
    alike: dict[tuple[int, int], list[str]] = {}
    for name in sorted(freqs):
        alike.setdefault(cadence_of(freqs[name])[:2], []).append(name)
    for (memory, patience), names in sorted(alike.items()):
        ours = pc.scalar(True) if len(alike) == 1 else pc.field("unique_id").isin(pa.array(names, pa.string()))
        since = first - timedelta(days=memory)
        for scores in _past_scores(snapshot, since, newest or yesterday, ours, len(names)):
            recalibrator.learn(scores, judged=False)
        if newest:
            for own in _pending(snapshot, newest, timedelta(days=patience), ours, len(names)):
                recalibrator.remember(own)
        pa.default_memory_pool().release_unused()  # else Arrow keeps what was read
    if newest:
        recalibrator.restore(snapshot.read(CALIBRATED, columns=RATED, where=between(newest, newest)))
        for scores in _past_scores(snapshot, newest + timedelta(days=1), yesterday, pc.scalar(True), len(freqs)):
            recalibrator.learn(scores)
    return recalibrator


def _past_scores(snapshot: Snapshot, since: date, until: date, ours: pc.Expression, series: int) -> Iterator[pa.Table]:
    """Yield scores of some series, days ascending, about so many at a time as memory should hold."""
    for inside in _spans(since, until, series):
        yield snapshot.read(SCORES, columns=LEARNED, where=inside & ours)


def _pending(
    snapshot: Snapshot, newest: date, patience: timedelta, ours: pc.Expression, series: int
) -> Iterator[pa.Table]:
    """Yield own rows whose truths may still come: of older origins if they speak of recent events, then recent ones."""
    since = newest - patience
    event = pa.scalar(int(np.datetime64(since, "us").astype(np.int64)), pa.timestamp("us", "UTC"))
    older = between(newest - LOOKBACK, since - timedelta(days=1)) & (pc.field("ds") >= event)
    for inside in (older, *_spans(since, newest, series)):
        yield snapshot.read(CALIBRATED, columns=PENDING, where=inside & ours)


def _spans(since: date, until: date, series: int) -> Iterator[pc.Expression]:
    step = timedelta(days=max(ROWS_A_READ // (max(series, 1) * ROWS_A_DAY), 1))
    while since <= until:
        yield between(since, min(since + step, until))
        since += step + timedelta(days=1)
