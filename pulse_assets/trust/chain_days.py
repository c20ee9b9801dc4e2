"""Reads the days of licences that the chain is to vouch for. The border of :mod:`.licensing.chain`."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.evidence_tables import LICENCE_CHAIN
from pulse_assets.trust.licensing.chain import HASHED, ROW_HASH, by_day, links
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.tables import LICENCES
from pulse_resources.lake import Snapshot
from pulse_resources.lake.partitions import between, blocks_of

DAYS_AT_ONCE = 60
KEYS = ["as_of", *HASHED[1:4], ROW_HASH]


def chain_rows(snapshot: Snapshot, days: Sequence[date], policy: Policy, run_id: str) -> pa.Table:
    """Return the links to add for some days; days that are vouched for already get none.

    Parameters
    ----------
    snapshot
        Where chain and licences are read.
    days
        Days whose licences were written.
    policy
        Thresholds by which they were decided.
    run_id
        Dagster run.
    """
    snapshot.pin(LICENCE_CHAIN, LICENCES)
    chain = LICENCE_CHAIN.cast(snapshot.read(LICENCE_CHAIN))
    known = len(chain)
    version = snapshot.versions.get(LICENCES.name, -1)
    for block in blocks_of(sorted(set(days)), DAYS_AT_ONCE):
        span = between(block[0], block[-1])
        rows = snapshot.read(LICENCES, columns=KEYS, where=span & pc.field("as_of").isin(pa.array(block, pa.date32())))
        made = links(chain, by_day(rows, block), version, policy.as_dict(), run_id)
        chain = pa.concat_tables([chain, _as_rows(made)])
    return chain.slice(known)


def _as_rows(links_made: list[dict[str, object]]) -> pa.Table:
    return LICENCE_CHAIN.cast(pa.Table.from_pylist(links_made, schema=LICENCE_CHAIN.schema.remove_metadata()))
