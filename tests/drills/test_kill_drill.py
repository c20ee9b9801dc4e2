"""Kills writers at every named point and at random moments: nothing is lost, nothing is there twice.

A few points run with every test run; ``make drill`` runs all of them. The control, a writer without the lake, must show
duplicates, or the drill would prove nothing.
"""

import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable

WRITER = Path(__file__).parent / "writer.py"
BEFORE = date(2023, 12, 26)
AFTER = date(2024, 1, 6)
BATCHES = 4
QUICK = [
    ("overwrite", "after_create", 1),
    ("overwrite", "before_commit", 1),
    ("stream", "after_commit", 2),
    ("append", "after_commit", 2),
]
ALL = [
    ("overwrite", "after_create", 1),
    ("stream", "after_create", 1),
    ("append", "after_create", 1),
    *[("overwrite", point, 1) for point in ("before_commit", "after_commit")],
    *[("stream", point, nth) for point in ("before_commit", "after_commit") for nth in range(1, 5)],
    *[
        (job, point, nth)
        for job in ("append", "append_missing")
        for point in ("before_commit", "after_commit")
        for nth in range(1, BATCHES + 1)
    ],
]
POINTS = [pytest.param(*point, id="-".join(map(str, ("quick", *point)))) for point in QUICK]
POINTS += [pytest.param(*point, id="-".join(map(str, point)), marks=[pytest.mark.drill]) for point in ALL]


def write(job: str, root: Path, point: str = "none", nth: int = 1, start: int = 0) -> tuple[int, list[int]]:
    """Run a job; return how it ended and what it had acknowledged by then."""
    command = [sys.executable, str(WRITER), job, str(root), point, str(nth), str(start)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=False)
    return done.returncode, [int(line) for line in done.stdout.splitlines()]


def values_by_day(root: Path) -> dict[date, list[int]]:
    rows = DeltaTable(str(root / "t" / "by_day")).to_pyarrow_table().sort_by("day").to_pylist()
    found: dict[date, list[int]] = {}
    for row in rows:
        found.setdefault(row["day"], []).append(row["y"])
    return found


def ids(root: Path) -> Counter[int]:
    """Return how often each fact is in the table."""
    if not DeltaTable.is_deltatable(str(root / "t" / "events")):
        return Counter()
    return Counter(DeltaTable(str(root / "t" / "events")).to_pyarrow_table()["id"].to_pylist())


@pytest.mark.parametrize(("job", "point", "nth"), POINTS)
def test_a_killed_writer_leaves_whole_partitions_and_the_next_run_the_expected_table(
    tmp_path: Path, job: str, point: str, nth: int
) -> None:
    start = 1 if job in {"overwrite", "stream"} else 0
    ended, acknowledged = write(job, tmp_path, point, nth, start)
    assert ended == -signal.SIGKILL, "the point was never reached"
    if job in {"overwrite", "stream"}:
        overwritten_whole(tmp_path, job, point, nth)
        assert write(job, tmp_path, start=1) == (0, [1])
        rest = {} if point == "after_create" else {BEFORE: [0] * 3, AFTER: [0] * 3}
        days = values_by_day(tmp_path)
        assert days == rest | {day: [1] * 3 for day in days if BEFORE < day < AFTER}
        assert len(days) == 10 + len(rest)
    else:
        assert all(count == 1 for count in ids(tmp_path).values())
        assert set(range(10 * len(acknowledged))) <= set(ids(tmp_path))
        assert write(job, tmp_path, start=len(acknowledged)) == (0, list(range(len(acknowledged), BATCHES)))
        assert ids(tmp_path) == Counter(range(10 * BATCHES))


def overwritten_whole(root: Path, job: str, point: str, nth: int) -> None:
    """Each day is whole, old or new; as many are new as commits were made, the earlier days first."""
    days = values_by_day(root)
    assert all(values in ([0] * 3, [1] * 3) for values in days.values())
    if point == "after_create":
        assert days == {}
        return
    assert len(days) == 12
    new = [values == [1] * 3 for day, values in days.items() if BEFORE < day < AFTER]
    commits = nth if point == "after_commit" else nth - 1
    assert new == sorted(new, reverse=True)
    assert any(new) == (commits > 0)
    assert all(new) == (commits > 0 and job == "overwrite")


@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=[pytest.mark.drill, pytest.mark.slow])])
def test_kills_at_random_moments_lose_and_duplicate_nothing(tmp_path: Path, kills: int) -> None:
    start = 1
    for kill in range(kills):
        acknowledged = killed_at_random(tmp_path, start, random.Random(kill))
        facts, days = ids(tmp_path), values_by_day(tmp_path)
        newest = max(acknowledged, default=start - 1)
        assert all(count == 1 for count in facts.values())
        assert set(range(10, 10 * newest + 10)) <= set(facts) <= set(range(10, 10 * newest + 20))
        written = {value for day, values in days.items() for value in values if BEFORE < day < AFTER}
        assert len(written) == 1, "one commit replaces all days or none"
        assert newest <= written.pop() <= newest + 1
        assert [len(values) for values in days.values()] == [3] * 12
        assert days[BEFORE] == days[AFTER] == [0] * 3
        start = newest + 1  # what was not acknowledged is sent again, although it may have landed


def killed_at_random(root: Path, start: int, dice: random.Random) -> list[int]:
    """Let a writer work, kill it within a quarter of a second after its first acknowledgement."""
    command = [sys.executable, str(WRITER), "forever", str(root), "none", "1", str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(dice.uniform(0, 0.25))
        writer.kill()
        return [int(line) for line in [first, *writer.stdout.read().splitlines()]]


@pytest.mark.parametrize("job", ["naive", pytest.param("append", marks=[pytest.mark.drill])])
def test_only_a_writer_without_the_lake_duplicates_what_is_sent_again(tmp_path: Path, job: str) -> None:
    ended, acknowledged = write(job, tmp_path, "after_commit", 3)
    assert (ended, acknowledged) == (-signal.SIGKILL, [0, 1])
    assert write(job, tmp_path, start=2) == (0, [2, 3])
    twice = Counter(range(20, 30)) if job == "naive" else Counter()  # the batch that landed and was not acknowledged
    assert ids(tmp_path) == Counter(range(10 * BATCHES)) + twice
