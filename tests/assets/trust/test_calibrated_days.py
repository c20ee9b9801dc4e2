"""A range of days is recalibrated as if each day had come by itself, from what was known by then and nothing later."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.trust import calibrated_days
from pulse_assets.trust.calibrated_days import calibrate_days
from pulse_assets.trust.scoring import SCORED_COLUMNS, score
from pulse_assets.trust.tables import CALIBRATED, CALIBRATED_SCORES, SCORES
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import blocks_of
from tests.assets.trust.conformal.recalibrated_world import World, put, small_world

VERSIONS = ["forecasts_version", "scores_version"]


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(130)


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    lake = Lake(str(tmp_path_factory.mktemp("whole")), durable=False)
    world.write(lake)
    return made(lake, world.days)


def made(lake: Lake, days: list[date], size: int = 20) -> pa.Table:
    tables = list(calibrate_days(lake.snapshot(), blocks_of(days, size)))
    return pa.concat_tables([CALIBRATED.empty(), *tables]).combine_chunks()


def between(rows: pa.Table, first: date, last: date) -> pa.Table:
    inside = pc.and_(pc.greater_equal(rows["as_of"], pa.scalar(first)), pc.less_equal(rows["as_of"], pa.scalar(last)))
    return rows.filter(inside).combine_chunks()


def lake_until(world: World, whole: pa.Table, day: date, folder: Path, *, known: date) -> Lake:
    """Return a lake with own rows before a day, and everything else as it was known on another."""
    lake = Lake(str(folder / "lake"), durable=False)
    world.write(lake, known)
    own = between(whole, world.days[0], day - timedelta(days=1))
    if len(own):
        put(lake, CALIBRATED, own)
    return lake


@pytest.mark.parametrize("place", [1, 9, 60, 129])
def test_a_range_that_begins_anywhere_goes_on_bit_for_bit(
    world: World, whole: pa.Table, place: int, tmp_path: Path
) -> None:
    first = world.days[place]
    lake = lake_until(world, whole, first, tmp_path, known=world.days[-1])
    assert made(lake, world.days[place:]).equals(between(whole, first, world.days[-1]))


@pytest.mark.parametrize("place", [0, 40, 100])
def test_nothing_known_later_changes_a_day(world: World, whole: pa.Table, place: int, tmp_path: Path) -> None:
    day = world.days[place]
    lake = lake_until(world, whole, day, tmp_path, known=day)
    expected = between(whole, day, day).drop_columns(VERSIONS)
    assert made(lake, [day]).drop_columns(VERSIONS).equals(expected)


def test_how_days_are_cut_does_not_matter(
    world: World, whole: pa.Table, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(lake)
    monkeypatch.setattr(calibrated_days, "ROWS_A_PIECE", 700)
    monkeypatch.setattr(calibrated_days, "ROWS_A_READ", 700)
    assert made(lake, world.days, size=3).equals(whole)


def test_own_rows_of_the_range_and_after_it_are_not_read(world: World, whole: pa.Table, lake: Lake) -> None:
    world.write(lake)
    put(lake, CALIBRATED, whole)
    assert made(lake, world.days[70:80]).equals(between(whole, world.days[70], world.days[79]))


def test_a_lake_without_own_rows_starts_from_the_scores_it_has(world: World, lake: Lake) -> None:
    world.write(lake)
    rows = made(lake, world.days[-1:])
    daily = rows.filter(pc.equal(rows["unique_id"], "b1"))
    assert set(daily["method"].to_pylist()) == {"aci"}
    assert set(daily["targets"].to_pylist()) == {60}
    np.testing.assert_allclose(np.array(daily["rates"].to_pylist()), np.tile(LEVELS, (len(daily), 1)), rtol=1e-6)


def test_days_that_own_rows_are_missing_for_are_caught_up_on(world: World, whole: pa.Table, tmp_path: Path) -> None:
    """Truths that came in between are judged by what had been issued for them before the gap."""
    stopped, day = world.days[100], world.days[104]
    lake = lake_until(world, whole, stopped, tmp_path, known=day)
    rows = made(lake, [day])
    assert len(rows) == len(between(whole, day, day))
    before = between(whole, world.days[99], world.days[99])
    rates = {tuple(row.values()): rates for row, rates in zip(_who(before), before["rates"].to_pylist(), strict=True)}
    moved = [row != rates[tuple(who.values())] for who, row in zip(_who(rows), rows["rates"].to_pylist(), strict=True)]
    assert np.mean(moved) > 0.5


def _who(rows: pa.Table) -> list[dict[str, object]]:
    return list(rows.select(["unique_id", "model", "h"]).to_pylist())


def test_monthly_series_two_steps_ahead_learn_though_their_origins_lie_a_month_back(
    world: World, whole: pa.Table
) -> None:
    rows = between(whole, world.days[-1], world.days[-1])
    monthly = rows.filter(pc.and_(pc.equal(rows["unique_id"], "m2"), pc.equal(rows["h"], 2)))
    rates = np.array(monthly["rates"].to_pylist())
    assert (np.abs(rates - LEVELS).max(axis=1) > 1e-3).all()


def test_new_series_borrow_from_others_and_the_first_days_are_left_as_they_were(whole: pa.Table, world: World) -> None:
    first = between(whole, world.days[0], world.days[0])
    assert set(first["method"].to_pylist()) == {"raw"}
    new = whole.filter(pc.equal(whole["unique_id"], "b3"))
    assert new["method"].to_pylist()[0] == "pooled"
    assert new["method"].to_pylist()[-1] == "aci"


def test_recalibrated_rows_keep_their_contract_and_are_scored_like_raw_ones(
    world: World, whole: pa.Table, lake: Lake
) -> None:
    world.write(lake)
    put(lake, CALIBRATED, whole)
    rows = lake.read(CALIBRATED, columns=list(SCORED_COLUMNS))
    known = world.scores.group_by(["as_of", "unique_id", "ds"]).aggregate([("y", "min")])
    found = CALIBRATED_SCORES.cast(score(rows, known.rename_columns({"y_min": "y"})))
    assert len(found) == len(world.scores)
    assert _off(found) < 0.5 * _off(world.scores)


def _off(scores: pa.Table) -> float:
    """Return how far coverage of the 80 % interval is from 80 %."""
    return abs(float(scores["covered_80"].to_numpy(zero_copy_only=False).mean()) - 0.8)


def test_a_lake_without_forecasts_gives_no_rows(lake: Lake) -> None:
    assert made(lake, [date(2024, 6, 28)]).num_rows == 0
    assert CALIBRATED.empty().num_rows == SCORES.empty().num_rows == FORECASTS.empty().num_rows == 0
    assert set(QUANTILE_COLUMNS) <= set(CALIBRATED.schema.names)
