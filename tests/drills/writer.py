"""Does one of the drill's jobs and kills itself at a named point; a program that ``test_kill_drill.py`` runs.

``python writer.py JOB ROOT POINT NTH START`` prints the number of each piece of work once it is acknowledged.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import date, timedelta

import pyarrow as pa
from deltalake import write_deltalake

from pulse_resources.lake import Column, Lake, Partitions, TableContract, faults, writing

DAYS = [date(2023, 12, 27) + timedelta(days=step) for step in range(10)]
AROUND = [DAYS[0] - timedelta(days=1), *DAYS, DAYS[-1] + timedelta(days=1)]
ROWS_A_DAY = 3
BATCHES = 4

BY_DAY = TableContract(
    name="t/by_day",
    description="a value",
    columns=(Column("day", pa.date32(), "day"), Column("n", pa.int64(), "number"), Column("y", pa.int64(), "value")),
    key=("day", "n"),
    partition="day",
    physical="year",
)
EVENTS = TableContract("t/events", "a fact", (Column("id", pa.int64(), "number"),), ("id",))


def rows_for(days: list[date], y: int) -> pa.Table:
    """Return three rows a day, all with the value ``y``."""
    numbers = list(range(ROWS_A_DAY)) * len(days)
    day = [day for day in days for _ in range(ROWS_A_DAY)]
    return pa.table({"day": pa.array(day, pa.date32()), "n": numbers, "y": [y] * len(day)})


def batch(number: int) -> pa.Table:
    """Return the ten facts of a batch."""
    return pa.table({"id": range(10 * number, 10 * number + 10)})


def overwrite(lake: Lake, y: int) -> None:
    """Replace the ten days in one commit."""
    lake.overwrite(BY_DAY, rows_for(DAYS, y), Partitions.of("day", DAYS))
    print(y, flush=True)


def stream(lake: Lake, y: int) -> None:
    """Replace the ten days in several commits."""
    rows = rows_for(DAYS, y)
    reader = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=ROWS_A_DAY))
    lake.overwrite(BY_DAY, reader, Partitions.of("day", DAYS))
    print(y, flush=True)


def append(lake: Lake, start: int) -> None:
    """Append batches under their number, each once."""
    for number in range(start, BATCHES):
        lake.append(EVENTS, batch(number), app_id="feed", app_version=number)
        print(number, flush=True)


def append_missing(lake: Lake, start: int) -> None:
    """Append what the table does not hold of each batch."""
    for number in range(start, BATCHES):
        lake.append_missing(EVENTS, batch(number), app_id="feed")
        print(number, flush=True)


def naive(lake: Lake, start: int) -> None:
    """Append as one does without the lake: no application transaction, so nothing is recognized."""
    for number in range(start, BATCHES):
        faults.crash_point("before_commit")
        write_deltalake(lake.uri(EVENTS.name), batch(number), mode="append")
        faults.crash_point("after_commit")
        print(number, flush=True)


def forever(lake: Lake, start: int) -> None:
    """Do all of it again and again, until somebody kills it."""
    for number in range(start, 10_000):
        rows = rows_for(DAYS, number)
        lake.overwrite(BY_DAY, rows, Partitions.of("day", DAYS))
        lake.append(EVENTS, batch(number), app_id="feed", app_version=number)
        print(number, flush=True)


JOBS: dict[str, Callable[[Lake, int], None]] = {
    job.__name__: job for job in (overwrite, stream, append, append_missing, naive, forever)
}


def die_at(point: str, nth: int) -> Callable[[str], None]:
    """Return a hook that kills this process, as the kernel would, when it comes by a point for the n-th time."""
    seen: list[str] = []

    def hook(name: str) -> None:
        seen.append(name)
        if seen.count(point) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main(job: str, root: str, point: str, nth: str, start: str) -> None:
    """Prepare what is to be overwritten, unless the drill is about creating it; then do the job and perhaps die."""
    lake = Lake(root)
    if job in {"overwrite", "stream", "forever"} and point != "after_create" and not lake.exists(BY_DAY):
        lake.overwrite(BY_DAY, rows_for(AROUND, 0), Partitions.of("day", AROUND))
    writing.BLOCK_ROWS = 2 * ROWS_A_DAY
    faults.hook = die_at(point, int(nth))
    JOBS[job](lake, int(start))


if __name__ == "__main__":
    main(*sys.argv[1:])
