"""Measures the quality of every series on each day: silver in, rows of ``ops/data_quality`` out.

The border of :mod:`.quality`: it reads silver once and leaves every figure to :mod:`.quality.measures`.
"""

from collections.abc import Iterator
from datetime import date

import numpy as np
import pyarrow as pa

from pulse_assets.forecasting.engine import origin_end
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import DATA_QUALITY
from pulse_assets.trust.quality.ledger import COLUMNS, Ledger, keep_ledger
from pulse_assets.trust.quality.measures import Measures, measure, quality_of
from pulse_resources.lake import Snapshot

MEASURED = ("observations", "age_days", "late_share", "missing_share", "duplicates", "flat_run", "flat_share")
REVISED = ("revision_rate", "revision_size", "jump_z")


def quality_days(snapshot: Snapshot, blocks: list[list[date]]) -> Iterator[pa.Table]:
    """Yield the rows of ``ops/data_quality`` for each block of days: one for every series known by then.

    Parameters
    ----------
    snapshot
        Where silver is read, once.
    blocks
        Days, ascending.
    """
    last = blocks[-1][-1]
    ledger = keep_ledger(snapshot.read(SERIES, as_of=last, columns=COLUMNS), origin_end(last))
    for days in blocks:
        measures = measure(ledger, np.array([origin_end(day) for day in days], np.int64))
        yield _rows(ledger, measures, days)


def _rows(ledger: Ledger, measures: Measures, days: list[date]) -> pa.Table:
    """Lay measures out as rows by day, then series."""
    day, series = np.nonzero(measures.known.T)
    at = (series, day)
    columns = {
        "as_of": pa.array(np.array(days, "datetime64[D]")[day]),
        "unique_id": pa.array(ledger.ids[series], pa.string()),
        "freq": pa.array(ledger.freq[series], pa.string()),
        **{name: pa.array(getattr(measures, name)[at]) for name in MEASURED},
        **{name: pa.array(getattr(measures, name)[at], from_pandas=True) for name in REVISED},
        "quality": pa.array(quality_of(measures)[at]),
        "flags": pa.array(measures.flags[at], pa.string()),
    }
    return DATA_QUALITY.cast(pa.table(columns))
