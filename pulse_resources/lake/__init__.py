"""The lake: Delta tables declared by contracts, written atomically, read as they were known.

``contract`` declares tables, ``lake`` reads and writes them, ``partitions`` says which days a write replaces,
``commits`` writes the evidence and survives concurrent writers, ``upkeep`` compacts and vacuums, ``io_manager`` and
``resource`` are the only modules that know Dagster.
"""

from pulse_resources.lake.commits import Commit, Evidence
from pulse_resources.lake.contract import Column, Rule, TableContract
from pulse_resources.lake.lake import Lake, Snapshot
from pulse_resources.lake.partitions import Partitions

__all__ = ["Column", "Commit", "Evidence", "Lake", "Partitions", "Rule", "Snapshot", "TableContract"]
