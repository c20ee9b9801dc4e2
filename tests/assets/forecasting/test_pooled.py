"""The engine behind gold/forecasts: nothing known later, and no way of cutting the work, changes a byte."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.forecasting import engine, pool, references
from pulse_assets.forecasting.engine import HORIZONS, MODELS, MapBlocks, inline, knows_from, origin_end, refit_day
from pulse_assets.forecasting.families import LEAST
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.forecasting.pooled import PULSE, SHOWN_WEIGHT, PooledEngine
from pulse_assets.forecasting.prior import COLUMNS
from pulse_assets.forecasting.references import MIN_ERRORS, ReferenceBank
from pulse_assets.numerics.quantiles import MEDIAN, QUANTILE_COLUMNS
from pulse_resources.compute import Compute
from pulse_resources.lake.partitions import weekdays
from tests.assets.forecasting.silver_rows import START, as_bytes, revised_and_late, series, told, values

NUMBERS = ["mean", *QUANTILE_COLUMNS]
ORIGINS = weekdays(date(1995, 4, 20), date(1995, 5, 5)) + weekdays(date(1995, 6, 26), date(1995, 7, 10))
"""Days of two quarters: those of July are served by another refit."""
LAST = ORIGINS[-1]


def packed(rows: pa.Table, origins: list[date]) -> Panel:
    return pack(rows, knows_from(origins[0]), origin_end(origins[-1]))


def forecasts(rows: pa.Table, origins: list[date], map_blocks: MapBlocks = inline, cut: int | None = None) -> pa.Table:
    """Forecast in one call, or in calls of ``cut`` origins that each pack for themselves."""
    size, tables = cut or len(origins), []
    for low in range(0, len(origins), size):
        some = origins[low : low + size]
        tables += list(PooledEngine().forecast(packed(rows, some), some, map_blocks))
    return pa.concat_tables(tables).combine_chunks()


def members(rows: pa.Table, origins: list[date], map_blocks: MapBlocks = inline) -> pa.Table:
    tables = list(PooledEngine().members(packed(rows, origins), origins, map_blocks))
    return pa.concat_tables(tables).combine_chunks()


def of(rows: pa.Table, name: str, model: str | None = PULSE) -> pa.Table:
    mine = pc.field("unique_id") == name
    return rows.filter(mine if model is None else mine & (pc.field("model") == model)).combine_chunks()


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Series of several frequencies, kinds and fates."""
    rng = np.random.default_rng(5)
    spring = np.datetime64("1995-04-03", "us")
    return pa.concat_tables(
        [
            *(series(f"p{k}", values(rng, "price", 150), "B", "price") for k in range(4)),
            *(series(f"d{k}", 10 + values(rng, "other", 200), "D") for k in range(2)),
            *(series(f"r{k}", 0.01 * rng.standard_t(4, 150), "B", "return") for k in range(2)),
            series("hourly", values(rng, "rate", 300), "h", "rate", 1, np.datetime64("1995-04-18", "us")),
            series("weekly", np.tanh(values(rng, "price", 30) % 2 - 1), "W", "sentiment"),
            series("stopped", values(rng, "rate", 85), "B", "rate"),
            series("young", values(rng, "rate", 60), "B", "rate", start=spring),
            series("constant", np.full(150, 4.25), "B", "rate"),
            revised_and_late(rng),
        ]
    )


@pytest.fixture(scope="module")
def made(rows: pa.Table) -> pa.Table:
    return forecasts(rows, ORIGINS)


@pytest.fixture(scope="module")
def told_members(rows: pa.Table) -> pa.Table:
    return members(rows, ORIGINS)


def test_rows_come_by_origin_series_model_and_horizon(made: pa.Table) -> None:
    keys = list(zip(*(made[name].to_pylist() for name in ("as_of", "unique_id", "model", "h")), strict=True))
    assert keys == sorted(set(keys))
    assert set(made["model"].to_pylist()) == set(MODELS)
    assert made.column_names == ["as_of", "unique_id", "model", "h", "ds", *NUMBERS]


def test_every_series_is_forecast_whole_wherever_it_is_long_and_fresh_enough(made: pa.Table, rows: pa.Table) -> None:
    panel = packed(rows, ORIGINS)
    ends = np.array([origin_end(origin) for origin in ORIGINS])
    counts = panel.known_counts(ends)
    expected = set()
    for segment, place in np.argwhere(panel.is_fresh(counts, ends) & (counts >= LEAST)):
        steps = range(1, HORIZONS[panel.freq[segment]] + 1)
        expected |= {(ORIGINS[place], panel.ids[segment], h) for h in steps}
    pulse = made.filter(pc.field("model") == PULSE)
    assert set(zip(*(pulse[name].to_pylist() for name in ("as_of", "unique_id", "h")), strict=True)) == expected
    assert len(pulse) == len(expected)


def test_the_reference_models_say_what_they_say_alone(made: pa.Table, rows: pa.Table) -> None:
    alone = pa.concat_tables(list(ReferenceBank().forecast(packed(rows, ORIGINS), ORIGINS)))
    beside = made.filter(pc.field("model") != PULSE)
    assert as_bytes(beside.combine_chunks()) == as_bytes(alone.combine_chunks())


def test_quantiles_are_finite_and_do_not_cross(made: pa.Table) -> None:
    ranked = np.column_stack([made[name].to_numpy() for name in QUANTILE_COLUMNS])
    assert np.isfinite(ranked).all()
    assert (np.diff(ranked, axis=1) >= 0).all()


def test_forecasts_stay_on_the_scale_of_their_kind(made: pa.Table) -> None:
    assert min(pc.min(of(made, f"p{k}")["q010"]).as_py() for k in range(4)) > 0
    mood = of(made, "weekly")
    assert -1 < pc.min(mood["q010"]).as_py() < pc.max(mood["q990"]).as_py() < 1
    for name in NUMBERS:
        np.testing.assert_allclose(of(made, "constant")[name].to_numpy(), 4.25, rtol=1e-12)


@pytest.mark.parametrize("cut", [1, 5, 13])
def test_cutting_origins_into_calls_changes_no_bit(rows: pa.Table, made: pa.Table, cut: int) -> None:
    assert as_bytes(forecasts(rows, ORIGINS, cut=cut)) == as_bytes(made)


def test_which_other_origins_are_asked_for_changes_no_bit(rows: pa.Table, made: pa.Table) -> None:
    some = ORIGINS[3::7]
    asked = made.filter(pc.is_in(made["as_of"], pa.array(some)))
    assert as_bytes(forecasts(rows, some)) == as_bytes(asked.combine_chunks())


@pytest.mark.parametrize(("rows_a_chunk", "series_a_block", "origins_a_block"), [(1, 1, 1), (500, 3, 20), (10**9,) * 3])
def test_the_size_of_chunks_and_blocks_changes_no_bit(
    rows: pa.Table,
    made: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
    rows_a_chunk: int,
    series_a_block: int,
    origins_a_block: int,
) -> None:
    monkeypatch.setattr(engine, "ROWS_A_CHUNK", rows_a_chunk)
    monkeypatch.setattr(pool, "SERIES_A_BLOCK", series_a_block)
    monkeypatch.setattr(pool, "STEPS_A_BLOCK", 5 * origins_a_block)
    assert as_bytes(forecasts(rows, ORIGINS)) == as_bytes(made)


@pytest.fixture(scope="module")
def local() -> Iterator[Compute]:
    compute = Compute(mode="local", workers=2, memory_limit="1GiB")
    yield compute
    compute.close()


@pytest.mark.parametrize("mode", ["threads", "local"])
def test_where_blocks_run_changes_no_bit(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    rows: pa.Table,
    made: pa.Table,
    told_members: pa.Table,
    mode: str,
) -> None:
    monkeypatch.setattr(pool, "SERIES_A_BLOCK", 2)
    monkeypatch.setattr(references, "SEGMENTS_A_BLOCK", 2)
    compute = request.getfixturevalue("local") if mode == "local" else Compute(mode="threads", workers=3)
    assert as_bytes(forecasts(rows, ORIGINS, compute.map_blocks)) == as_bytes(made)
    assert as_bytes(members(rows, ORIGINS, compute.map_blocks)) == as_bytes(told_members)


def test_the_order_of_rows_changes_no_bit(rows: pa.Table, made: pa.Table) -> None:
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(len(rows))))
    assert as_bytes(forecasts(shuffled, ORIGINS)) == as_bytes(made)


def split(rows: pa.Table, last: date) -> tuple[pa.Table, pa.Table]:
    """Return what was known by the end of a day, and what became known later."""
    later = pc.greater_equal(rows["known_at"].cast(pa.int64()), origin_end(last))
    return rows.filter(pc.invert(later)), rows.filter(later)


@pytest.mark.parametrize("place", [0, 7, 11, 12, 17])
def test_what_is_known_later_changes_no_bit(rows: pa.Table, made: pa.Table, place: int) -> None:
    """Left out; or shuffled, multiplied and thinned, with revisions of the past, newcomers and strange kinds."""
    last, rng = ORIGINS[place], np.random.default_rng(place)
    past, future = split(rows, last)
    wild = future.set_column(
        2, "y", pa.array(rng.lognormal(0, 5, len(future)) * rng.choice([1, -1, 1e300], len(future)))
    )
    at = np.repeat(np.int64(origin_end(last)).astype("datetime64[us]"), 60)
    ds = START + np.arange(60) * np.timedelta64(1, "D")
    revisions = [told(name, ds, rng.lognormal(size=60), at, "h", "rate") for name in ("p1", "d0", "young")]
    strangers = [told(name, ds, rng.normal(size=60), at, "B", kind) for name, kind in (("a", "price"), ("zz", "rate"))]
    other = pa.concat_tables([wild.slice(11), *revisions, past, *strangers])
    expected = made.filter(pc.field("as_of") <= pa.scalar(last)).combine_chunks()
    assert as_bytes(forecasts(past, ORIGINS[: place + 1])) == as_bytes(expected)
    theirs = forecasts(other, ORIGINS).filter(pc.field("as_of") <= pa.scalar(last))
    assert as_bytes(theirs.combine_chunks()) == as_bytes(expected)


def test_members_known_later_changes_no_bit(rows: pa.Table, told_members: pa.Table) -> None:
    past, _ = split(rows, ORIGINS[8])
    then = told_members.filter(pc.field("as_of") <= pa.scalar(ORIGINS[8]))
    assert as_bytes(members(past, ORIGINS[:9])) == as_bytes(then.combine_chunks())


def test_other_frequencies_and_kinds_in_the_panel_change_no_bit(rows: pa.Table, made: pa.Table) -> None:
    """Series of one frequency and kind are one panel; they share its model, and nothing with any other panel."""
    prices = [f"p{k}" for k in range(4)] + ["revised"]
    mine = pc.is_in(pc.field("unique_id"), pa.array(prices))
    assert as_bytes(forecasts(rows.filter(mine), ORIGINS)) == as_bytes(made.filter(mine).combine_chunks())


def test_a_panel_is_refitted_on_the_first_day_of_a_quarter_from_what_was_known_before_it(rows: pa.Table) -> None:
    """What a neighbour tells between two refits moves no forecast until the later one."""
    assert {refit_day(origin) for origin in ORIGINS} == {date(1995, 4, 1), date(1995, 7, 1)}
    past, future = split(rows, date(1995, 3, 31))
    neighbour = pc.equal(future["unique_id"], "p0")
    louder = future.set_column(2, "y", pc.if_else(neighbour, pc.multiply(future["y"], 9.0), future["y"]))
    for name in ("p1", "p2", "p3"):
        ours, theirs = (of(forecasts(pa.concat_tables([past, some]), ORIGINS), name) for some in (future, louder))
        june = pc.field("as_of") < pa.scalar(date(1995, 7, 1))
        assert as_bytes(theirs.filter(june).combine_chunks()) == as_bytes(ours.filter(june).combine_chunks())
        assert as_bytes(theirs) != as_bytes(ours)


def test_revised_and_late_values_are_used_from_the_day_they_were_known(rows: pa.Table, made: pa.Table) -> None:
    """As if the series had been told with what was known that day, once and for all."""
    for origin in (ORIGINS[0], ORIGINS[5], ORIGINS[11]):
        past, _ = split(rows, origin)
        mine = past.filter(pc.field("unique_id") == "revised").sort_by("known_at")
        latest = {row["ds"]: row for row in mine.to_pylist()}
        as_known = pa.Table.from_pylist([latest[ds] for ds in sorted(latest)], rows.schema)
        center = of(forecasts(as_known, [origin]), "revised", "naive")
        with_vintages = made.filter(pc.field("as_of") == pa.scalar(origin))
        assert as_bytes(of(with_vintages, "revised", "naive")) == as_bytes(center)
        assert len(of(with_vintages, "revised")) == HORIZONS["B"]


def test_stale_series_fall_silent_and_young_ones_begin_to_speak(rows: pa.Table, made: pa.Table) -> None:
    stopped = set(of(made, "stopped")["as_of"].to_pylist())
    end = pc.max(rows.filter(pc.field("unique_id") == "stopped")["known_at"]).as_py().date()
    assert stopped == {origin for origin in ORIGINS if origin < end + timedelta(days=12)}
    first = {model: min(of(made, "young", model)["as_of"].to_pylist()) for model in MODELS}
    assert first[PULSE] < first["naive"] == first["seasonal_naive"]
    assert LEAST < MIN_ERRORS


@pytest.mark.parametrize(("kind", "bad"), [("price", 0.0), ("price", -1.0), ("other", 1e200), ("sentiment", 1.0)])
def test_a_value_off_the_scale_silences_the_pool_from_there_on_and_no_neighbour(kind: str, bad: float) -> None:
    rng = np.random.default_rng(9)
    names = [f"s{k}" for k in range(4)]
    panel = {
        name: np.tanh(values(rng, "price", 150) % 2 - 1) if kind == "sentiment" else values(rng, kind, 150)
        for name in names
    }
    whole = pa.concat_tables([series(name, y, kind=kind) for name, y in panel.items()])
    spoilt = panel["s2"].copy()
    spoilt[82] = bad
    day = (START + np.timedelta64(16 * 7 + 2, "D")).astype("datetime64[D]").astype(object)
    assert ORIGINS[0] < day < ORIGINS[11]
    other = pa.concat_tables([series(name, spoilt if name == "s2" else y, kind=kind) for name, y in panel.items()])
    ours, theirs = forecasts(whole, ORIGINS), forecasts(other, ORIGINS)
    assert set(of(theirs, "s2")["as_of"].to_pylist()) == {origin for origin in ORIGINS if origin < day}
    naive = set(of(theirs, "s2", "naive")["as_of"].to_pylist())  # walks sentiments as they are, prices as logarithms
    assert naive == (set(ORIGINS) if kind == "sentiment" else {origin for origin in ORIGINS if origin < day})
    until_refit = pc.field("as_of") < pa.scalar(date(1995, 7, 1))
    for name in ("s0", "s1", "s3"):
        mine, same = (of(some, name).filter(until_refit).combine_chunks() for some in (ours, theirs))
        assert as_bytes(mine) == as_bytes(same)
        assert set(of(theirs, name)["as_of"].to_pylist()) == set(ORIGINS)
    before = pc.field("as_of") < pa.scalar(day)
    assert as_bytes(of(theirs, "s2").filter(before).combine_chunks()) == as_bytes(
        of(ours, "s2").filter(before).combine_chunks()
    )


def test_members_are_told_for_each_pooled_forecast_and_weigh_about_one(made: pa.Table, told_members: pa.Table) -> None:
    assert told_members.column_names == ["as_of", "unique_id", "member", "weight_first", "weight_last", "loss"]
    keys = list(zip(*(told_members[name].to_pylist() for name in ("as_of", "unique_id", "member")), strict=True))
    assert keys == sorted(set(keys))
    assert {key[2] for key in keys} <= set(COLUMNS) - {"reference"}
    pulse = made.filter(pc.field("model") == PULSE)
    asked = set(zip(pulse["as_of"].to_pylist(), pulse["unique_id"].to_pylist(), strict=True))
    assert {key[:2] for key in keys} == asked
    sums = told_members.group_by(["as_of", "unique_id"]).aggregate([("weight_first", "sum"), ("weight_last", "sum")])
    for end in ("weight_first", "weight_last"):
        total = sums[f"{end}_sum"].to_numpy()
        assert total.max() < 1 + 1e-6
        assert total.min() > 1 - len(COLUMNS) * SHOWN_WEIGHT
        assert np.median(total) > 0.85
        assert (told_members[end].to_numpy() >= 0).all()
    both = np.maximum(told_members["weight_first"].to_numpy(), told_members["weight_last"].to_numpy())
    assert both.min() >= np.float32(SHOWN_WEIGHT)


def test_weekends_and_days_without_news_repeat_the_forecast_with_its_event_times(
    rows: pa.Table, made: pa.Table
) -> None:
    weekly = of(made, "weekly")
    for earlier, later in pairwise(ORIGINS):
        known = [len(split(rows.filter(pc.field("unique_id") == "weekly"), day)[0]) for day in (earlier, later)]
        if known[0] == known[1] and refit_day(earlier) == refit_day(later):
            ours, theirs = (
                weekly.filter(pc.field("as_of") == pa.scalar(day)).drop_columns("as_of") for day in (earlier, later)
            )
            assert as_bytes(ours.combine_chunks()) == as_bytes(theirs.combine_chunks())


def test_origins_that_go_back_in_time_are_refused(rows: pa.Table) -> None:
    back = [ORIGINS[5], ORIGINS[2]]
    for ask in (PooledEngine().forecast, PooledEngine().members):
        with pytest.raises(ValueError, match="rise"):
            list(ask(packed(rows, ORIGINS), back, inline))


def test_an_empty_panel_and_one_where_nothing_is_fresh_give_no_rows() -> None:
    origins = [date(2020, 1, 2)]
    for nothing in (series("s", np.empty(0)), series("s", np.arange(90.0), kind="price"), series("s", np.arange(90.0))):
        made = forecasts(nothing, origins)
        assert len(made) == 0
        assert made.column_names == ["as_of", "unique_id", "model", "h", "ds", *NUMBERS]
        assert list(PooledEngine().members(packed(nothing, origins), origins)) == []


def test_other_horizons_are_asked_for_by_frequency(rows: pa.Table) -> None:
    panel = packed(rows, [LAST])
    made = pa.concat_tables(list(PooledEngine(HORIZONS | {"B": 9}).forecast(panel, [LAST])))
    assert set(of(made, "p0", None)["h"].to_pylist()) == set(range(1, 10))
    assert set(of(made, "d0", None)["h"].to_pylist()) == set(range(1, 8))


@pytest.mark.parametrize("factor", [1e-6, 3.7, 1e6])
def test_prices_in_another_unit_give_the_same_forecasts_in_that_unit(factor: float) -> None:
    rng = np.random.default_rng(2)
    panel = {f"p{k}": values(rng, "price", 120) for k in range(4)}
    ours, theirs = (
        forecasts(pa.concat_tables([series(name, y * f, kind="price") for name, y in panel.items()]), [LAST])
        for f in (1.0, factor)
    )
    for name in NUMBERS:
        np.testing.assert_allclose(theirs[name].to_numpy(), ours[name].to_numpy() * factor, rtol=1e-9)


def test_the_version_names_the_engine_and_what_it_was_trained_on() -> None:
    assert PooledEngine().version.startswith("pulse-")
    assert PooledEngine().version == PooledEngine({"B": 3}).version


def test_the_median_of_pulse_lies_near_the_newest_value_of_a_random_walk(made: pa.Table) -> None:
    first = pc.field("h") == 1
    for name in ("p0", "p1", "p2", "p3"):
        ours, naive = (of(made, name, model).filter(first) for model in (PULSE, "naive"))
        ours = ours.filter(pc.is_in(ours["as_of"], naive["as_of"]))
        ratio = ours[QUANTILE_COLUMNS[MEDIAN]].to_numpy() / naive[QUANTILE_COLUMNS[MEDIAN]].to_numpy()
        assert np.abs(np.log(ratio)).max() < 0.1
