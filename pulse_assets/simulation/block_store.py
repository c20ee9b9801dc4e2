"""Finished blocks of paths in the lake: written once each, read back when a run is asked for again.

Not pure: it reads and writes ``ops/simulation_blocks``. What a block is belongs to ``plan`` and ``runs``.
"""

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.simulation.engine import BlockResult
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.tables import BLOCKS
from pulse_resources.errors import PermanentFailure
from pulse_resources.lake import Lake
from pulse_resources.lake.commits import Evidence
from pulse_resources.lake.lake import Reader

Block = tuple[int, int, int]
"""Number, first path, paths."""
PLACE = ["block", "first_path", "paths"]
FAST = 1
"""Level of zlib: histograms are mostly zeros, and shrink to a few percent at once."""


@dataclass(frozen=True)
class BlockStore:
    """The kept blocks of one run.

    Parameters
    ----------
    lake
        Where the table is.
    run_id
        The run.
    evidence
        What the commits carry.
    """

    lake: Lake
    run_id: str
    evidence: Evidence | None = None

    def kept(self, wanted: Iterable[Block] | None = None) -> dict[int, BlockResult]:
        """Return blocks that were kept, by number.

        Parameters
        ----------
        wanted
            Number, first path and paths of the blocks that a run consists of; others are not opened. Runs of several
            lengths share all blocks but their last. By default all, of each number the longest.

        Raises
        ------
        PermanentFailure
            A block does not have the digest that it was written with.
        """
        rows = self.lake.read(BLOCKS, where=pc.field("run_id") == self.run_id).sort_by("paths")
        places = {tuple(place.values()): i for i, place in enumerate(rows.select(PLACE).to_pylist())}
        chosen = places if wanted is None else (block for block in wanted if block in places)
        return {block[0]: self._opened(rows.slice(places[block], 1).to_pylist()[0]) for block in chosen}

    def keep(self, number: int, result: BlockResult) -> None:
        """Write a block; a block that is there already is left as it is."""
        outcomes, counts = result.outcomes.tobytes(), result.counts.tobytes()
        paths = result.outcomes.shape[1]
        row = {
            "run_id": self.run_id,
            "block": number,
            "first_path": result.first,
            "paths": paths,
            "outcomes": outcomes,
            "counts": zlib.compress(counts, FAST),
            "sha256": _digest(outcomes, counts),
        }
        rows = BLOCKS.cast(pa.Table.from_pylist([row]))
        same = (pc.field("run_id") == self.run_id) & (pc.field("block") == number) & (pc.field("paths") == paths)

        def missing(read: Reader) -> pa.Table:
            return rows.slice(0, 0) if len(read(columns=["run_id"], where=same)) else rows

        self.lake.append(BLOCKS, missing, app_id=f"simulation {self.run_id}", evidence=self.evidence)

    def _opened(self, row: dict[str, object]) -> BlockResult:
        outcomes, packed = row["outcomes"], row["counts"]
        assert isinstance(outcomes, bytes)
        assert isinstance(packed, bytes)
        try:
            counts = zlib.decompress(packed)
        except zlib.error as error:
            raise self._damaged(row) from error
        if _digest(outcomes, counts) != row["sha256"]:
            raise self._damaged(row)
        paths = np.frombuffer(outcomes, np.float32).reshape(H.OUTCOMES, -1)
        return BlockResult(int(str(row["first_path"])), paths, np.frombuffer(counts, np.int64))

    def _damaged(self, row: dict[str, object]) -> PermanentFailure:
        return PermanentFailure(
            f"block {row['block']} of run {self.run_id} in {BLOCKS.name} is not what was written: its digest differs; "
            "delete its rows and run again"
        )


def _digest(outcomes: bytes, counts: bytes) -> str:
    return hashlib.sha256(outcomes + counts).hexdigest()
