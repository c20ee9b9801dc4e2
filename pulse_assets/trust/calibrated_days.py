"""Recalibrates the forecasts of days in order: scores that arrived teach, thresholds are issued, quantiles are moved.

The border of :mod:`.conformal`: it reads through a snapshot. What a day hands to the next is read back from the rows of
``gold/calibrated`` itself where a range begins, so a range is the same as its days one by one.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.trust.conformal.issued import PENDING_DAYS
from pulse_assets.trust.conformal.recalibrator import Recalibrator, Truths
from pulse_assets.trust.scoring import LOOKBACK
from pulse_assets.trust.tables import CALIBRATED, SCORES
from pulse_assets.trust.traits import frequencies
from pulse_resources.lake import Snapshot

Ints = npt.NDArray[np.int64]

NEAR = timedelta(days=130)
"""Scores of so many days fill the windows of daily series; slower ones are read farther back."""
FAR = timedelta(days=2_000)
PENDING = timedelta(days=PENDING_DAYS)
LEARNED = ["as_of", "unique_id", "model", "h", "ds", "origin", "z"]
CARRIED = ["as_of", "unique_id", "model", "h", "ds", "z", "rates"]
STEPS_FULL = 60


def calibrate_days(snapshot: Snapshot, blocks: list[list[date]]) -> Iterator[pa.Table]:
    """Yield the rows of ``gold/calibrated`` for each block of days, ascending.

    Parameters
    ----------
    snapshot
        Where forecasts, scores and the asset's own earlier rows are read.
    blocks
        Days, ascending.
    """
    snapshot.pin(FORECASTS, SCORES, CALIBRATED)
    recalibrator = _restored(snapshot, blocks[0][0], blocks[-1][-1])
    for days in blocks:
        inside = (pc.field("as_of") >= pa.scalar(days[0])) & (pc.field("as_of") <= pa.scalar(days[-1]))
        scores = snapshot.read(SCORES, columns=LEARNED, where=inside)
        forecasts = snapshot.read(FORECASTS, where=inside)
        for day in days:
            recalibrator.learn(Truths.of(scores.filter(pc.equal(scores["as_of"], pa.scalar(day)))), day)
            rows = recalibrator.calibrate(forecasts.filter(pc.equal(forecasts["as_of"], pa.scalar(day))), day)
            if len(rows):
                yield _stamped(rows, snapshot)


def _stamped(rows: pa.Table, snapshot: Snapshot) -> pa.Table:
    for name, contract in (("forecasts_version", FORECASTS), ("scores_version", SCORES)):
        version = snapshot.versions.get(contract.name, -1)
        rows = rows.append_column(name, pa.array(np.full(len(rows), version)))
    return CALIBRATED.cast(rows)


def _restored(snapshot: Snapshot, first: date, last: date) -> Recalibrator:
    """Return what had been learned before the first day: windows from scores, rates and thresholds from own rows."""
    recalibrator = Recalibrator(frequencies(snapshot, first, last))
    past = _past_scores(snapshot, first)
    own = _own_rows(snapshot, first)
    newest = pc.max(own["as_of"]).as_py() if len(own) else None
    before = pa.scalar(newest, pa.date32()) if newest else pa.scalar(first, pa.date32())
    taught = past.filter(pc.less_equal(past["as_of"], before)) if newest else past
    for day, truths in _by_day(taught):
        recalibrator.fill(truths, day)
    if newest:
        recalibrator.restore(own.sort_by("as_of"), newest)
        for day, truths in _by_day(past.filter(pc.greater(past["as_of"], before))):
            recalibrator.learn(truths, day)
    return recalibrator


def _by_day(scores: pa.Table) -> Iterator[tuple[date, Truths]]:
    for day in sorted(pc.unique(scores["as_of"]).to_pylist()):
        yield day, Truths.of(scores.filter(pc.equal(scores["as_of"], pa.scalar(day))))


def _past_scores(snapshot: Snapshot, first: date) -> pa.Table:
    """Return scores known before a day: all of the last months, and of series with few of them all that count."""
    before = pc.field("as_of") < pa.scalar(first)
    near = snapshot.read(SCORES, columns=LEARNED, where=before & (pc.field("as_of") >= pa.scalar(first - NEAR)))
    far = before & (pc.field("as_of") < pa.scalar(first - NEAR)) & (pc.field("as_of") >= pa.scalar(first - FAR))
    counts = near.group_by(["unique_id", "model", "h"]).aggregate([("ds", "count_distinct")])
    full = counts.group_by("unique_id").aggregate([("ds_count_distinct", "min")])
    enough = full.filter(pc.greater_equal(full["ds_count_distinct_min"], STEPS_FULL))["unique_id"]
    rest = snapshot.read(SCORES, columns=LEARNED, where=far & ~pc.field("unique_id").isin(enough.combine_chunks()))
    return pa.concat_tables([rest, near]).sort_by("as_of")


def _own_rows(snapshot: Snapshot, first: date) -> pa.Table:
    """Return own rows of earlier origins whose truths may still come: near ones, and older ones of slow series."""
    before = (pc.field("as_of") < pa.scalar(first)) & (pc.field("as_of") >= pa.scalar(first - LOOKBACK))
    keys = snapshot.read(CALIBRATED, columns=["as_of"], where=before)
    newest = pc.max(keys["as_of"]).as_py()
    if newest is None:
        return snapshot.read(CALIBRATED, columns=CARRIED, where=pc.scalar(False))
    recent = pc.field("as_of") >= pa.scalar(newest - PENDING)
    ahead = pc.field("ds") >= pa.scalar(_microseconds(newest - PENDING), pa.timestamp("us", "UTC"))
    return snapshot.read(CALIBRATED, columns=CARRIED, where=before & (recent | ahead))


def _microseconds(day: date) -> int:
    return int(np.datetime64(day, "us").astype(np.int64))
