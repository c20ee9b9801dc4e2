"""What several parts of the trust system ask of tables: what series are, and when a table was last written for."""

from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.tables import SERIES
from pulse_resources.lake import Snapshot, TableContract
from pulse_resources.lake.partitions import between

NEAR = (timedelta(days=4), timedelta(days=40), timedelta(days=3_660))
REMEMBERED = timedelta(days=1_100)
"""A series of which nothing became known for three years has no forecasts either."""


def families_of(snapshot: Snapshot, first: date, last: date) -> dict[str, str]:
    """Return the family, frequency and kind as in `B price`, of every series known between two days.

    A series whose frequency or kind was told differently at different times is what it was told to be first.
    """
    recent = pc.field("as_of") >= pa.scalar(first - REMEMBERED)
    rows = snapshot.read(SERIES, as_of=last, columns=["unique_id", "freq", "kind", "known_at"], where=recent)
    known = rows.group_by(["unique_id", "freq", "kind"]).aggregate([("known_at", "min")])
    known = known.sort_by([("known_at_min", "descending"), ("freq", "ascending"), ("kind", "ascending")])
    return {row["unique_id"]: f"{row['freq']} {row['kind']}" for row in known.to_pylist()}


def frequencies(snapshot: Snapshot, first: date, last: date) -> dict[str, str]:
    """Return the frequency of every series that may have forecasts or scores between two days."""
    return {name: family.partition(" ")[0] for name, family in families_of(snapshot, first, last).items()}


def newest_before(snapshot: Snapshot, contract: TableContract, day: date) -> date | None:
    """Return the last day before another on which a table has rows; None if none of the ten years before has.

    Looked for in steps, since it is nearly always yesterday.
    """
    for back in NEAR:
        rows = snapshot.read(contract, columns=["as_of"], where=between(day - back, day - timedelta(days=1)))
        if len(rows):
            newest: date = pc.max(rows["as_of"]).as_py()
            return newest
    return None
