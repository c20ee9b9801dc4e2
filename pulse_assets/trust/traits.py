"""What the trust system asks about series themselves, read from silver."""

from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.tables import SERIES
from pulse_resources.lake import Snapshot

REMEMBERED = timedelta(days=1_100)
"""A series of which nothing became known for three years has no forecasts either."""


def frequencies(snapshot: Snapshot, first: date, last: date) -> dict[str, str]:
    """Return the frequency of every series that may have forecasts or scores between two days."""
    recent = pc.field("as_of") >= pa.scalar(first - REMEMBERED)
    rows = snapshot.read(SERIES, as_of=last, columns=["unique_id", "freq"], where=recent)
    known = rows.group_by(["unique_id", "freq"]).aggregate([])
    return dict(zip(known["unique_id"].to_pylist(), known["freq"].to_pylist(), strict=True))
