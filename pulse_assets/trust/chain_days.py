"""Reads the days of licences that the chain is to vouch for. The border of :mod:`.licensing.chain`."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.evidence_tables import LICENCE_CHAIN
from pulse_assets.trust.licensing.chain import by_day, links
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.tables import LICENCES
from pulse_resources.lake import Snapshot


def chain_rows(snapshot: Snapshot, days: Sequence[date], policy: Policy, run_id: str) -> pa.Table:
    """Return the links to add for some days; days that are vouched for already get none."""
    chain = snapshot.read(LICENCE_CHAIN)
    if not days:
        return LICENCE_CHAIN.empty()
    inside = (pc.field("as_of") >= pa.scalar(days[0])) & (pc.field("as_of") <= pa.scalar(days[-1]))
    written = by_day(snapshot.read(LICENCES, where=inside & pc.field("as_of").isin(pa.array(days, pa.date32()))))
    made = links(chain, written, snapshot.versions.get(LICENCES.name, -1), policy.as_dict(), run_id)
    return LICENCE_CHAIN.cast(pa.Table.from_pylist(made, schema=LICENCE_CHAIN.schema.remove_metadata()))
