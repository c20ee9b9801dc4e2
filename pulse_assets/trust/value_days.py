"""Measures what following the licences was worth on each day. The border of :mod:`.value`."""

from collections.abc import Iterator
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.tables import CALIBRATED_SCORES, LICENCE_VALUE, LICENCES
from pulse_assets.trust.traits import frequencies
from pulse_assets.trust.value import ORACLE_DAYS, values_by_day
from pulse_resources.lake import Snapshot

LOOKED_BACK = timedelta(days=ORACLE_DAYS + 1)
SERVED = ["as_of", "unique_id", "model", "bucket", "state"]
READ = ["as_of", "origin", "unique_id", "model", "h", "ds", "wis"]


def value_days(snapshot: Snapshot, blocks: list[list[date]]) -> Iterator[pa.Table]:
    """Yield the rows of ``gold/licence_value`` for each block of days; days without a served truth have none."""
    freqs = frequencies(snapshot, blocks[0][0], blocks[-1][-1])
    for days in blocks:
        inside = (pc.field("as_of") > pa.scalar(days[0] - LOOKED_BACK)) & (pc.field("as_of") <= pa.scalar(days[-1]))
        scores = snapshot.read(CALIBRATED_SCORES, columns=READ, where=inside)
        made_then = (pc.field("as_of") > pa.scalar(days[0] - 2 * LOOKED_BACK)) & (
            pc.field("as_of") < pa.scalar(days[-1])
        )
        served = snapshot.read(LICENCES, columns=SERVED, where=pc.field("serve") & made_then)
        rows = values_by_day(scores.to_pandas(), served.to_pandas(), freqs, days)
        if len(rows):
            yield LICENCE_VALUE.cast(pa.Table.from_pandas(rows, preserve_index=False))
