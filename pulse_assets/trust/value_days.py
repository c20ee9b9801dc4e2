"""Measures what following the licences was worth on each day. The border of :mod:`.value`."""

from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.tables import CALIBRATED_SCORES, LICENCE_VALUE, LICENCES, TRUST
from pulse_assets.trust.value import values_by_day
from pulse_resources.lake import Snapshot
from pulse_resources.lake.partitions import between, blocks_of

SERVED = ["as_of", "unique_id", "model", "bucket", "state"]
SCORED = ["as_of", "origin", "unique_id", "model", "h", "ds", "wis"]
BELIEVED = [
    *("as_of", "unique_id", "model", "bucket", "freq", "targets"),
    *("wis", "reference", "recent_targets", "recent_skill"),
]
DAYS_AT_ONCE = 10


def value_days(snapshot: Snapshot, blocks: list[list[date]]) -> Iterator[pa.Table]:
    """Yield the rows of ``gold/licence_value``; days without a truth of something served have none.

    Parameters
    ----------
    snapshot
        Where scores of recalibrated forecasts, licences and trust are read.
    blocks
        Days, ascending.
    """
    snapshot.pin(CALIBRATED_SCORES, LICENCES, TRUST)
    for days in (some for block in blocks for some in blocks_of(block, DAYS_AT_ONCE)):
        inside = between(days[0], days[-1])
        scores = snapshot.read(CALIBRATED_SCORES, columns=SCORED, where=inside)
        if not len(scores):
            continue
        trust = snapshot.read(TRUST, columns=BELIEVED, where=inside)
        rows = values_by_day(scores.to_pandas(), _served(snapshot, scores).to_pandas(), trust.to_pandas())
        if len(rows):
            yield LICENCE_VALUE.cast(pa.Table.from_pandas(rows, preserve_index=False))


def _served(snapshot: Snapshot, scores: pa.Table) -> pa.Table:
    """Return the licences to be served under which the scored forecasts stood."""
    origins = pc.unique(scores["origin"])
    span = (pc.field("as_of") >= pc.min(origins)) & (pc.field("as_of") <= pc.max(origins))
    ours = pc.field("as_of").isin(origins) & pc.field("unique_id").isin(pc.unique(scores["unique_id"]))
    return snapshot.read(LICENCES, columns=SERVED, where=pc.field("serve") & span & ours)
