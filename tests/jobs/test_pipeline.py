"""Which days need work, judged by what the lake and the instance hold."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pyarrow as pa
import pytest

from jobs import pipeline as module
from jobs.pipeline import EVIDENCE_DAYS, GOLD, Pipeline, newest_partition, partitions_between
from pulse_assets.declare import START
from pulse_assets.signals.tables import MARKET_BARS, SERIES
from pulse_resources.errors import ConfigError, PermanentFailure
from pulse_resources.evidence import Evidence
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import Partitions, weekdays

FRIDAY = date(2024, 6, 28)
TRAITS = {"kind": "price", "unit": "USD", "freq": "B", "calendar": "weekday", "source": "s"}


@pytest.fixture
def pipeline(lake: Lake, instance: dg.DagsterInstance) -> Pipeline:
    return Pipeline(dg.Definitions(), instance, lake)


def put(lake: Lake, known_at: datetime, received_at: datetime | None = None) -> None:
    """Append one bar to bronze."""
    ds = datetime(2024, 6, 3, tzinfo=UTC)
    row = {"symbol": "AAA", "ds": ds, "close": 1.0, "known_at": known_at, "known_at_basis": "stated"}
    rows = pa.Table.from_pylist([row | TRAITS | {"received_at": received_at or known_at}])
    lake.append(MARKET_BARS, rows, app_id=f"test/{known_at}")


def materialize(pipeline: Pipeline, days: list[date]) -> None:
    """Report the days of all gold tables as computed, and write silver once."""
    for table in GOLD:
        for day in days:
            pipeline.instance.report_runless_asset_event(
                dg.AssetMaterialization(dg.AssetKey(table.path), partition=str(day))
            )
    evidence = Evidence(asset_key=SERIES.name)
    pipeline.lake.overwrite(SERIES, SERIES.empty(), Partitions.of("as_of", days), evidence=evidence)


def test_the_newest_day_is_that_of_the_newest_known_row(pipeline: Pipeline, lake: Lake) -> None:
    put(lake, datetime(2024, 6, 5, 22, tzinfo=UTC))
    put(lake, datetime(2024, 6, 4, 22, tzinfo=UTC))
    assert pipeline.newest_day() == date(2024, 6, 5)


def test_a_row_known_at_a_weekend_makes_monday_the_newest_day(pipeline: Pipeline, lake: Lake) -> None:
    put(lake, datetime(2024, 6, 29, 12, tzinfo=UTC))
    assert pipeline.newest_day() == date(2024, 7, 1)


def test_the_newest_day_is_never_one_that_has_not_begun(
    pipeline: Pipeline, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "newest_partition", lambda: FRIDAY)  # as on that Saturday
    put(lake, datetime(2024, 6, 29, 12, tzinfo=UTC))
    assert pipeline.newest_day() == FRIDAY


def test_rows_from_before_the_first_partition_belong_to_it(pipeline: Pipeline, lake: Lake) -> None:
    put(lake, datetime(1950, 1, 3, tzinfo=UTC))
    assert pipeline.newest_day() == START


def test_without_any_row_there_is_no_newest_day(pipeline: Pipeline) -> None:
    with pytest.raises(PermanentFailure, match="no source has delivered an accepted row"):
        pipeline.newest_day()


def test_a_first_run_reaches_back_over_the_days_that_licences_need(pipeline: Pipeline) -> None:
    first, last = pipeline.stale_days(FRIDAY)
    assert last == FRIDAY
    assert len(weekdays(first, last)) == EVIDENCE_DAYS


def test_a_run_near_the_start_does_not_reach_beyond_it(pipeline: Pipeline) -> None:
    day = weekdays(START, START + timedelta(days=9))[-1]
    assert pipeline.stale_days(day)[0] == START


def test_only_the_day_itself_is_computed_when_nothing_is_stale(pipeline: Pipeline) -> None:
    materialize(pipeline, weekdays(pipeline.stale_days(FRIDAY)[0], FRIDAY))
    assert pipeline.stale_days(FRIDAY) == (FRIDAY, FRIDAY)


def test_everything_is_computed_again_when_asked_for(pipeline: Pipeline) -> None:
    first, _ = pipeline.stale_days(FRIDAY)
    materialize(pipeline, weekdays(first, FRIDAY))
    assert pipeline.stale_days(FRIDAY, again=True) == (first, FRIDAY)


def test_the_first_day_that_was_not_computed_is_where_a_run_begins(pipeline: Pipeline) -> None:
    days = weekdays(pipeline.stale_days(FRIDAY)[0], FRIDAY)
    materialize(pipeline, [day for day in days if day != date(2024, 6, 12)])
    assert pipeline.stale_days(FRIDAY) == (date(2024, 6, 12), FRIDAY)


def test_rows_received_since_make_the_days_stale_from_which_they_were_known(pipeline: Pipeline, lake: Lake) -> None:
    put(lake, datetime(2024, 6, 4, 22, tzinfo=UTC), received_at=datetime(2024, 6, 5, tzinfo=UTC))
    materialize(pipeline, weekdays(pipeline.stale_days(FRIDAY)[0], FRIDAY))
    assert pipeline.stale_days(FRIDAY) == (FRIDAY, FRIDAY)
    later = datetime.now(UTC) + timedelta(hours=1)
    put(lake, datetime(2024, 6, 15, 12, tzinfo=UTC), received_at=later)
    assert pipeline.stale_days(FRIDAY) == (date(2024, 6, 17), FRIDAY)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("day", "said"),
    [
        (date(2024, 6, 30), "no weekday between 2024-06-30 and 2024-06-30; as_of partitions are Monday to Friday"),
        (date(1980, 1, 1), "the first partition is"),
        (date(2190, 1, 1), "the newest partition is .*: the future is not known yet"),
    ],
)
def test_a_day_that_is_no_partition_is_refused(pipeline: Pipeline, day: date, said: str, *, again: bool) -> None:
    with pytest.raises(ConfigError, match=said):
        pipeline.stale_days(day, again=again)
    with pytest.raises(ConfigError, match=said):
        pipeline.backfill(day, day)


def test_a_range_is_its_weekdays() -> None:
    assert partitions_between(date(2024, 6, 28), date(2024, 7, 1)) == [FRIDAY, date(2024, 7, 1)]
    with pytest.raises(ConfigError, match="no weekday between"):
        partitions_between(date(2024, 7, 1), date(2024, 6, 28))


def test_the_newest_partition_has_begun() -> None:
    today = datetime.now(UTC).date()
    assert today - timedelta(days=3) < newest_partition() <= today
