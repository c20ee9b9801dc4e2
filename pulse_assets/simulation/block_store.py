"""Finished blocks of paths in the lake: written once each, read back when a run is asked for again.

Not pure: it reads and writes ``ops/simulation_blocks``. What a block is belongs to ``plan`` and ``runs``.
"""

import hashlib
import zlib
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

    def kept(self) -> dict[int, BlockResult]:
        """Return the blocks that were kept, by number.

        Raises
        ------
        PermanentFailure
            A block does not have the digest that it was written with.
        """
        rows = self.lake.read(BLOCKS, where=pc.field("run_id") == self.run_id)
        return {row["block"]: self._opened(row) for row in rows.to_pylist()}

    def keep(self, number: int, result: BlockResult) -> None:
        """Write a block; a block that is there already is left as it is."""
        outcomes, counts = result.outcomes.tobytes(), result.counts.tobytes()
        row = {
            "run_id": self.run_id,
            "block": number,
            "first_path": result.first,
            "paths": result.outcomes.shape[1],
            "outcomes": outcomes,
            "counts": zlib.compress(counts, FAST),
            "sha256": _digest(outcomes, counts),
        }
        rows = BLOCKS.cast(pa.Table.from_pylist([row]))
        application = f"simulation {self.run_id} {number} {result.outcomes.shape[1]}"
        self.lake.append(BLOCKS, rows, app_id=application, app_version=0, evidence=self.evidence)

    def _opened(self, row: dict[str, object]) -> BlockResult:
        outcomes, packed = row["outcomes"], row["counts"]
        assert isinstance(outcomes, bytes)
        assert isinstance(packed, bytes)
        counts = zlib.decompress(packed)
        if _digest(outcomes, counts) != row["sha256"]:
            raise PermanentFailure(
                f"block {row['block']} of run {self.run_id} in {BLOCKS.name} is not what was written: its digest differs; "
                "delete its rows and run again"
            )
        paths = np.frombuffer(outcomes, np.float32).reshape(H.OUTCOMES, -1)
        return BlockResult(int(str(row["first_path"])), paths, np.frombuffer(counts, np.int64))


def _digest(outcomes: bytes, counts: bytes) -> str:
    return hashlib.sha256(outcomes + counts).hexdigest()
