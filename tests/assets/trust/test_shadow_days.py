"""Challengers beside champions on real silver: what the engine itself would have said, and nothing known later."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.forecasting.engine import Promotion, inline, knows_from, origin_end
from pulse_assets.forecasting.pack import pack
from pulse_assets.forecasting.pooled import PULSE, PooledEngine
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.numerics.scores import covered, weighted_interval_score
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import MODEL_EVENTS, SHADOW_SCORES
from pulse_assets.trust.shadow_days import PACKED, origin_before, shadow_days, shadows_of
from pulse_resources.lake import Evidence, Lake
from pulse_resources.lake.partitions import Partitions, weekdays
from tests.assets.trust.trained_lake import FIRST, LAST, PRICES, QUARTER, RATES, silver

LEARNED, ENTERED, DECIDED = date(2024, 4, 17), date(2024, 4, 18), date(2024, 4, 30)
DAYS = weekdays(date(2024, 4, 15), date(2024, 5, 6))


def events(*rows: tuple[date, str, date | None], family: str = PRICES) -> pa.Table:
    made = [
        {
            "as_of": day,
            "family": family,
            "event": event,
            "trained_on": learned,
            "replaces": QUARTER,
            "reasons": "",
            "evidence": "{}",
            "run_id": "",
            "recorded_at": datetime(2024, 6, 1, 12, number, tzinfo=UTC),
        }
        for number, (day, event, learned) in enumerate(rows)
    ]
    return MODEL_EVENTS.cast(pa.Table.from_pylist(made, schema=MODEL_EVENTS.schema.remove_metadata()))


RECORD = events((ENTERED, "shadow", LEARNED), (DECIDED, "promoted", LEARNED))


def lake_of(folder: Path, rows: pa.Table, record: pa.Table = RECORD) -> Lake:
    lake = Lake(str(folder), durable=False)
    days = Partitions.of("as_of", weekdays(FIRST, LAST))
    lake.overwrite(SERIES, rows, days, evidence=Evidence(run_id="silver", asset_key=SERIES.name))
    lake.append_missing(MODEL_EVENTS, record, app_id="test")
    return lake


def scored(lake: Lake, blocks: Iterable[list[date]] = (DAYS,)) -> pa.Table:
    made = [SHADOW_SCORES.cast(table) for table in shadow_days(lake.snapshot(), list(blocks), inline)]
    return pa.concat_tables([SHADOW_SCORES.empty(), *made])


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return lake_of(tmp_path_factory.mktemp("shadow"), silver())


@pytest.fixture(scope="module")
def whole(lake: Lake) -> pa.Table:
    return scored(lake)


def test_each_day_of_the_shadow_is_scored_from_the_second_after_it_was_entered(whole: pa.Table) -> None:
    """An event counts for origins after its day, and a truth becomes known one weekday after its origin."""
    assert whole["as_of"].to_pylist() == weekdays(date(2024, 4, 22), DECIDED)
    assert set(whole["family"].to_pylist()) == {PRICES}
    assert set(whole["challenger"].to_pylist()) == {LEARNED}
    assert set(whole["champion"].to_pylist()) == {QUARTER}
    assert set(whole["series"].to_pylist()) == {4}


def test_a_row_is_what_two_engines_asked_by_hand_give(lake: Lake, whole: pa.Table) -> None:
    day = date(2024, 4, 25)
    origin = origin_before(day)
    rows = lake.read(SERIES, as_of=origin, columns=PACKED)
    panel = pack(rows, knows_from(origin), origin_end(origin))
    losses, inside = [], []
    truths = lake.read(SERIES, where=(pc.field("as_of") == day) & (pc.field("kind") == "price")).to_pandas()
    for promotions in ((), (Promotion(PRICES, LEARNED, LEARNED),)):
        said = pa.concat_tables(PooledEngine(promotions=promotions).forecast(panel, [origin])).to_pandas()
        said = said[(said["model"] == PULSE) & (said["h"] == 1)].merge(truths[["unique_id", "ds", "y"]])
        scale = [
            np.abs(np.diff(rows.filter(pc.field("unique_id") == name).sort_by("ds")["y"].to_numpy())).mean()
            for name in said["unique_id"]
        ]
        quantiles, y = said[list(QUANTILE_COLUMNS)].to_numpy(), said["y"].to_numpy()
        losses.append(weighted_interval_score(quantiles, y) / scale)
        inside.append(covered(quantiles, y, 0.8).mean())
    (row,) = whole.filter(pc.field("as_of") == day).to_pylist()
    assert row["wis_champion"] == pytest.approx(losses[0].mean(), rel=1e-9)
    assert row["wis_challenger"] == pytest.approx(losses[1].mean(), rel=1e-9)
    assert row["difference"] == pytest.approx((losses[0] - losses[1]).mean(), rel=1e-7)
    assert row["difference"] != 0
    assert (row["covered_80_champion"], row["covered_80_challenger"]) == tuple(inside)


def test_segments_cover_every_series_once_by_calendar_and_once_by_mood(whole: pa.Table) -> None:
    for row in whole.to_pylist():
        segments = json.loads(row["segments"])
        for kind in ("calendar ", "mood "):
            sums = np.sum([values for name, values in segments.items() if name.startswith(kind)], axis=0)
            np.testing.assert_allclose(sums / row["series"], [row["wis_challenger"], row["wis_champion"]])
        assert "calendar weekday" in segments


def test_a_range_is_day_by_day(lake: Lake, whole: pa.Table) -> None:
    some = DAYS[6:9]
    alone = pa.concat_tables([scored(lake, [[day]]) for day in some])
    inside = pc.is_in(whole["as_of"], pa.array(some, pa.date32()))
    assert alone.equals(whole.filter(inside).combine_chunks())
    assert scored(lake, [DAYS[:7], DAYS[7:]]).equals(whole)


def changed_later(rows: pa.Table, day: date) -> pa.Table:
    """Silver in which all that became known after a day is another story."""
    later = pc.greater(rows["as_of"], pa.scalar(day))
    y = pc.if_else(later, pc.multiply(rows["y"], 3.0), rows["y"])
    return rows.set_column(rows.column_names.index("y"), rows.schema.field("y"), y)


def removed_later(rows: pa.Table, day: date) -> pa.Table:
    return rows.filter(pc.field("as_of") <= pa.scalar(day))


@pytest.mark.parametrize("told", [changed_later, removed_later])
def test_nothing_that_is_known_later_changes_a_byte(
    whole: pa.Table, tmp_path: Path, told: Callable[[pa.Table, date], pa.Table]
) -> None:
    day = date(2024, 4, 24)
    record = pa.concat_tables([RECORD.slice(0, 1), events((date(2024, 4, 29), "rejected", LEARNED))])
    other = lake_of(tmp_path, told(silver(), day), record)
    until = pc.field("as_of") <= pa.scalar(day)
    assert scored(other).filter(until).equals(whole.filter(until))


def test_a_revision_is_no_truth(whole: pa.Table, tmp_path: Path) -> None:
    rows, day = silver(), date(2024, 4, 24)
    first = rows.filter(pc.field("as_of") == pa.scalar(day - timedelta(days=1)))
    flags = pa.array(["revision"] * len(first), pa.string())
    told = first.set_column(first.column_names.index("flags"), first.schema.field("flags"), flags)
    for name, values in {"as_of": [day] * len(first), "known_at": [datetime(2024, 4, 24, 23, tzinfo=UTC)] * len(first)}.items():  # fmt: skip  # noqa: E501
        at = told.column_names.index(name)
        told = told.set_column(at, told.schema.field(name), pa.array(values, told.schema.field(name).type))
    other = scored(lake_of(tmp_path, pa.concat_tables([rows, SERIES.cast(told)])))
    until = pc.field("as_of") <= pa.scalar(day)
    assert other.filter(until).equals(whole.filter(until))


@pytest.mark.parametrize(
    "record",
    [
        events(),
        events((ENTERED, "promoted", LEARNED)),
        events((ENTERED, "retrain_requested", None)),
        events((DAYS[-1], "shadow", LEARNED)),
        events((FIRST, "shadow", QUARTER)),
        events((ENTERED, "shadow", LEARNED), family="B gold"),
    ],
    ids=["none", "promoted", "asked for", "too late", "no newer than the refit", "of no series"],
)
def test_without_a_challenger_that_knows_more_there_is_nothing_to_score(record: pa.Table, tmp_path: Path) -> None:
    assert not len(scored(lake_of(tmp_path, silver(), record)))


def test_a_lake_without_tables_has_no_rows(tmp_path: Path) -> None:
    assert not len(scored(Lake(str(tmp_path), durable=False)))


def test_families_go_side_by_side_and_a_champion_by_hand_is_the_one_to_beat(whole: pa.Table, tmp_path: Path) -> None:
    by_hand = date(2024, 4, 12)
    record = pa.concat_tables(
        [RECORD, events((by_hand, "promoted", by_hand), (ENTERED, "shadow", LEARNED), family=RATES)]
    )
    both = scored(lake_of(tmp_path, silver(), record))
    rates = both.filter(pc.field("family") == RATES)
    assert set(rates["champion"].to_pylist()) == {by_hand}
    assert rates["as_of"].to_pylist() == [day for day in DAYS if day >= date(2024, 4, 22)]
    assert both.filter(pc.field("family") == PRICES).equals(whole)


def test_the_next_challenger_ends_the_time_of_the_one_before() -> None:
    record = events((ENTERED, "shadow", LEARNED), (DECIDED, "shadow", DECIDED), (DAYS[-1], "rejected", DECIDED))
    assert [(one.trained_on, one.decided) for one in shadows_of(record)] == [
        (LEARNED, DECIDED),
        (DECIDED, DAYS[-1]),
    ]


@pytest.mark.parametrize(("day", "before"), [(22, 19), (23, 22), (21, 19), (20, 19)])
def test_the_origin_before_a_day_is_the_last_weekday(day: int, before: int) -> None:
    assert origin_before(date(2024, 4, day)) == date(2024, 4, before)
