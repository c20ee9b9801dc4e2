"""One look at one source: what lands, what is refused, what is not read again."""

import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from pulse_assets.signals.ingest import Ingest, describe, ingest
from pulse_assets.signals.tables import INGESTS, MACRO_VINTAGES, MARKET_BARS, QUARANTINE
from pulse_resources.errors import PermanentFailure, TransientFailure
from pulse_resources.lake import Lake
from pulse_resources.sources.folder import FolderSource
from pulse_resources.sources.protocol import Delivery, Problem, Traits
from tests.assets.signals.bad_inputs import GOOD_DAY, MATRIX, Bad, shown


class Clock:
    """A clock that goes on by a minute whenever it is read."""

    def __init__(self) -> None:
        self.now = datetime(2024, 6, 28, 23, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the next minute."""
        self.now += timedelta(minutes=1)
        return self.now


class Scripted:
    """A source that delivers what it was given, counts its looks, and may fail at the end."""

    def __init__(self, *deliveries: Delivery, name: str = "s", fingerprint: str | None = None) -> None:
        self.name = name
        self.deliveries = list(deliveries)
        self.state = fingerprint
        self.failure: Exception | None = None
        self.broken_fingerprint: Exception | None = None
        self.looks: list[dict[str, datetime]] = []

    def fingerprint(self) -> str | None:
        """Return the state that the test set."""
        if self.broken_fingerprint:
            raise self.broken_fingerprint
        return self.state

    def fetch(self, since: Mapping[str, datetime]) -> Iterator[Delivery]:
        """Deliver, then fail if the test wants it."""
        self.looks.append(dict(since))
        yield from self.deliveries
        if self.failure:
            raise self.failure


def bars(symbol: str, *closes: float | str, problems: tuple[Problem, ...] = ()) -> Delivery:
    days = [f"2024-06-{3 + step:02d}" for step in range(len(closes))]
    rows = pa.table({"symbol": [symbol] * len(closes), "ds": days, "close": [str(close) for close in closes]})
    return Delivery("market_bars", rows, Traits(freq="B"), f"{symbol}.csv", problems)


def vintages(series: str, *values: str) -> Delivery:
    days = [f"2024-0{1 + step}-01" for step in range(len(values))]
    rows = pa.table({"series_id": [series] * len(values), "ds": days, "value": list(values)})
    return Delivery("macro_vintages", rows, Traits("macro", "index", "MS", "none", 720.0), f"{series}.csv")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def held(lake: Lake) -> list[float]:
    rows: list[float] = (
        lake.read(MARKET_BARS).sort_by([("ds", "ascending"), ("known_at", "ascending")])["close"].to_pylist()
    )
    return rows


def test_rows_land_in_the_table_they_are_meant_for(lake: Lake, clock: Clock) -> None:
    report = ingest(lake, Scripted(bars("AAA", 1, 2), vintages("CPI", "3")), clock)
    assert (report.outcome, report.rows_delivered, report.rows_new, report.rows_quarantined) == ("ok", 3, 3, 0)
    assert held(lake) == [1.0, 2.0]
    assert lake.read(MACRO_VINTAGES)["value"].to_pylist() == [3.0]


def test_refusals_say_which_table_they_were_meant_for_and_where_they_came_from(lake: Lake, clock: Clock) -> None:
    ingest(lake, Scripted(bars("AAA", "x"), vintages("CPI", "y")), clock)
    refused = {row["origin"]: row["table"] for row in lake.read(QUARANTINE).to_pylist()}
    assert refused == {"AAA.csv": "bronze/market_bars", "CPI.csv": "bronze/macro_vintages"}


def test_a_refusal_is_kept_once_however_often_it_comes(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", "x", problems=(Problem("unreadable_file", "why", "", "a"),) * 2))
    reports = [ingest(lake, source, clock) for _ in range(2)]
    assert [report.rows_quarantined for report in reports] == [3, 3]
    assert len(lake.read(QUARANTINE)) == 2


def test_the_same_rows_again_add_nothing(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1, 2), vintages("CPI", "3"))
    ingest(lake, source, clock)
    again = ingest(lake, source, clock)
    assert (again.outcome, again.rows_new) == ("ok", 0)
    assert held(lake) == [1.0, 2.0]


def test_a_correction_is_counted_and_the_first_value_stays(lake: Lake, clock: Clock) -> None:
    ingest(lake, Scripted(bars("AAA", 1, 2)), clock)
    report = ingest(lake, Scripted(bars("AAA", 1, 5, 6)), clock)
    assert (report.rows_new, report.rows_corrected) == (2, 1)
    assert held(lake) == [1.0, 2.0, 5.0, 6.0]


def test_a_source_is_told_what_is_held_of_each_series(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1, 2), vintages("CPI", "3"))
    ingest(lake, source, clock)
    ingest(lake, source, clock)
    assert source.looks == [{}, {"AAA": datetime(2024, 6, 4, tzinfo=UTC), "CPI": datetime(2024, 1, 1, tzinfo=UTC)}]


def test_sources_do_not_see_each_others_rows(lake: Lake, clock: Clock) -> None:
    ingest(lake, Scripted(bars("AAA", 1), name="one"), clock)
    report = ingest(lake, Scripted(bars("AAA", 2), name="two"), clock)
    assert (report.rows_new, report.rows_corrected) == (1, 0)


def test_a_source_that_has_not_changed_is_not_read(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1, "x"), fingerprint="f")
    ingest(lake, source, clock)
    report = ingest(lake, source, clock)
    assert (report.outcome, report.rows_quarantined, len(source.looks)) == ("unchanged", 1, 1)


def test_a_source_that_has_changed_is_read(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1), fingerprint="f")
    ingest(lake, source, clock)
    source.state, source.deliveries = "g", [bars("AAA", 1, 2)]
    assert ingest(lake, source, clock).rows_new == 1


def test_other_sources_that_write_bronze_do_not_make_it_read_again(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1), fingerprint="f")
    ingest(lake, source, clock)
    ingest(lake, Scripted(bars("BBB", 1), name="other"), clock)
    assert ingest(lake, source, clock).outcome == "unchanged"


def test_compaction_of_bronze_does_not_make_it_read_again(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1), bars("BBB", 1), fingerprint="f")
    ingest(lake, source, clock)
    DeltaTable(lake.uri(MARKET_BARS.name)).optimize.compact()
    assert ingest(lake, source, clock).outcome == "unchanged"


def test_bronze_that_was_removed_is_read_again(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1, 2), fingerprint="f")
    ingest(lake, source, clock)
    shutil.rmtree(lake.uri(MARKET_BARS.name))
    assert ingest(lake, source, clock).rows_new == 2


def test_bronze_that_was_put_back_from_a_copy_is_read_again(lake: Lake, clock: Clock, tmp_path: Path) -> None:
    source = Scripted(bars("AAA", 1), fingerprint="f")
    ingest(lake, source, clock)
    shutil.copytree(lake.uri(MARKET_BARS.name), tmp_path / "copy")
    source.state, source.deliveries = "g", [bars("AAA", 1, 2)]
    ingest(lake, source, clock)
    shutil.rmtree(lake.uri(MARKET_BARS.name))
    shutil.copytree(tmp_path / "copy", lake.uri(MARKET_BARS.name))
    assert ingest(lake, source, clock).rows_new == 1
    assert held(lake) == [1.0, 2.0]


def test_bronze_that_was_restored_to_an_older_version_is_read_again_once(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1, 2), fingerprint="f")
    ingest(lake, source, clock)
    DeltaTable(lake.uri(MARKET_BARS.name)).restore(0)
    assert held(lake) == []
    assert ingest(lake, source, clock).rows_new == 2
    assert ingest(lake, source, clock).outcome == "unchanged"


@pytest.mark.parametrize("failure", [TransientFailure("busy"), PermanentFailure("gone")])
def test_what_came_before_a_failure_lands_and_the_next_look_reads_again(
    lake: Lake, clock: Clock, failure: Exception
) -> None:
    source = Scripted(bars("AAA", 1), fingerprint="f")
    source.failure = failure
    report = ingest(lake, source, clock)
    assert (report.outcome, report.rows_new) == ("failed", 1)
    assert report.error == f"{type(failure).__name__}: {failure}"
    assert held(lake) == [1.0]
    source.failure, source.deliveries = None, [bars("AAA", 1, 2)]
    report = ingest(lake, source, clock)
    assert (report.outcome, report.rows_new) == ("ok", 1)


def test_a_source_whose_state_cannot_be_asked_fails_alone(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1), name="deaf")
    source.broken_fingerprint = TransientFailure("busy")
    reports = [ingest(lake, each, clock) for each in (source, Scripted(bars("BBB", 1), name="fine"))]
    assert [report.outcome for report in reports] == ["failed", "ok"]


def test_every_look_is_logged_with_its_outcome(lake: Lake, clock: Clock) -> None:
    source = Scripted(bars("AAA", 1, "x"), fingerprint="f")
    ingest(lake, source, clock)
    ingest(lake, source, clock)
    source.state, source.failure = "g", PermanentFailure("gone")
    ingest(lake, source, clock)
    looks = lake.read(INGESTS).sort_by("started_at").to_pylist()
    assert [look["outcome"] for look in looks] == ["ok", "unchanged", "failed"]
    assert [look["rows_new"] for look in looks] == [1, 0, 0]
    assert looks[-1]["error"] == "PermanentFailure: gone"


def test_a_look_is_described_in_one_sentence() -> None:
    report = Ingest("s", datetime(2024, 1, 1, tzinfo=UTC), "failed", rows_new=1_200, error="busy")
    assert list(describe([report])) == ["s: failed, 1,200 new, 0 corrected, 0 quarantined: busy"]


@pytest.mark.parametrize("bad", MATRIX, ids=[shown(bad.name) for bad in MATRIX])
def test_a_bad_file_is_refused_for_its_reason_and_the_rest_of_the_batch_lands(
    lake: Lake, clock: Clock, tmp_path: Path, bad: Bad
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("aaa", "zzz"):
        (folder / f"{name}.csv").write_text(f"date,close\n{GOOD_DAY},1\n")
    bad.write(folder / bad.name)
    report = ingest(lake, FolderSource("mine", str(folder)), clock)
    refused = lake.read(QUARANTINE).to_pylist()
    assert {row["reason"] for row in refused} == {bad.reason}
    assert {row["origin"] for row in refused} == {shown(bad.name)}
    assert report.rows_quarantined == len(refused)
    landed = {"aaa", "zzz", Path(bad.name).stem} if bad.lands else {"aaa", "zzz"}
    assert set(lake.read(MARKET_BARS)["symbol"].to_pylist()) == landed
    assert report.rows_delivered == len(landed) + len(refused)
