"""The reference bank against a slow implementation that starts from nothing at every origin, and its promises."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting import engine, references
from pulse_assets.forecasting.engine import HORIZONS, LOG_KINDS, SEASONS, MapBlocks, inline, origin_end
from pulse_assets.forecasting.pack import STALE_AFTER_DAYS, pack
from pulse_assets.forecasting.references import MIN_ERRORS, REFERENCES, ReferenceBank
from pulse_assets.forecasting.references_kernel import WINDOW
from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.signals.calendars import add_steps
from pulse_resources.compute import Compute
from pulse_resources.lake.partitions import weekdays
from tests.assets.forecasting.silver_rows import (
    START,
    as_bytes,
    day_of,
    last_known_day,
    revised_and_late,
    series,
    told,
    values,
)

KINDS = ("price", "volatility", "return", "rate", "macro", "sentiment", "other")
STEP = {"h": 1 / 24, "D": 1, "B": 1.4, "W": 7, "MS": 30.44, "QS": 91.3, "YS": 365.25}
NUMBERS = ["mean", *QUANTILE_COLUMNS]


def forecasts(rows: pa.Table, origins: list[date], map_blocks: MapBlocks = inline, cut: int | None = None) -> pa.Table:
    """Forecast in one call, or in calls of ``cut`` origins that each pack for themselves."""
    size = cut or len(origins)
    tables = []
    for low in range(0, len(origins), size):
        some = origins[low : low + size]
        panel = pack(rows, origin_end(some[0]), origin_end(some[-1]))
        tables += list(ReferenceBank().forecast(panel, some, map_blocks))
    return pa.concat_tables(tables).combine_chunks()


# The slow reference: everything is filtered, sorted and computed again for each origin, as the tables' words say.


def slow_forecasts(rows: pa.Table, origin: date) -> dict[tuple[str, str, int], tuple[object, np.ndarray]]:
    """Return ``(ds, [mean, quantiles…])`` by series, model and horizon."""
    end = datetime(origin.year, origin.month, origin.day, tzinfo=UTC) + timedelta(days=1)
    known = [row for row in rows.to_pylist() if row["known_at"] < end]
    found = {}
    for name in sorted({row["unique_id"] for row in known}):
        told_by = sorted((r for r in known if r["unique_id"] == name), key=lambda r: (r["known_at"], r["ds"]))
        freq, kind = told_by[0]["freq"], told_by[0]["kind"]
        latest = {row["ds"]: row["y"] for row in told_by}
        y = np.array([latest[ds] for ds in sorted(latest)])
        fresh = end - told_by[-1]["known_at"] <= timedelta(days=STALE_AFTER_DAYS[freq])
        if not fresh or len(y) < MIN_ERRORS + HORIZONS[freq]:
            continue
        newest = np.datetime64(max(latest).replace(tzinfo=None), "us")
        for (model, h), numbers in slow_models(y, freq, kind).items():
            found[name, model, h] = (add_steps(np.array([newest]), h, freq, "weekday")[0], numbers)
    return found


def slow_models(y: np.ndarray, freq: str, kind: str) -> dict[tuple[str, int], np.ndarray]:
    horizon, season, log = HORIZONS[freq], SEASONS[freq], kind in LOG_KINDS
    y = np.log(y) if log else y
    points = {
        "naive": lambda past, _: past[-1],
        "seasonal_naive": lambda past, h: slow_seasonal(past, h, season),
    }
    made: dict[tuple[str, int], np.ndarray] = {}
    for model, point in points.items():
        for h in range(1, horizon + 1):
            ahead = made_at(y, point, h)
            errors = (y[h:] - ahead[: len(y) - h])[-WINDOW:]
            quantiles = ahead[-1] + np.quantile(errors, LEVELS, method="weibull")
            mean = np.exp(ahead[-1]) * np.exp(errors).mean() if log else ahead[-1] + errors.mean()
            made[model, h] = np.array([mean, *(np.exp(quantiles) if log else quantiles)])
    return made


def made_at(y: np.ndarray, point: Callable[[np.ndarray, int], float], h: int) -> np.ndarray:
    return np.array([point(y[: t + 1], h) for t in range(len(y))])


def slow_seasonal(past: np.ndarray, h: int, season: int) -> float:
    wanted = len(past) - 1 + h
    while wanted >= len(past):
        wanted -= season
    return float(past[wanted] if wanted >= 0 else past[-1])


def assert_equals_slow(rows: pa.Table, origins: list[date]) -> int:
    ours = forecasts(rows, origins)
    for origin in origins:
        slow = slow_forecasts(rows, origin)
        fast = ours.filter(pc.field("as_of") == origin)
        keys = list(zip(*(fast[name].to_pylist() for name in ("unique_id", "model", "h")), strict=True))
        assert keys == sorted(slow)
        for key, ds, *numbers in zip(
            keys, fast["ds"].to_pylist(), *(fast[n].to_pylist() for n in NUMBERS), strict=True
        ):
            assert np.datetime64(ds.replace(tzinfo=None), "us") == slow[key][0]
            scale = np.abs(slow[key][1]).max() + np.abs(rows["y"].to_numpy()).max() * 1e-3
            np.testing.assert_allclose(numbers, slow[key][1], rtol=1e-9, atol=1e-9 * scale, err_msg=f"{origin} {key}")
    return len(ours)


@pytest.mark.parametrize("freq", HORIZONS)
def test_every_row_equals_the_slow_reference(freq: str) -> None:
    """Short and long series of every kind, some with more than 250 errors, from a few origins."""
    rng = np.random.default_rng(sum(map(ord, freq)))
    counts = rng.permutation([HORIZONS[freq] + MIN_ERRORS + extra for extra in (-1, 0, 1, 9, 40, 150, 270)])
    longest = max(counts)
    rows = pa.concat_tables(
        series(f"s{k}", values(rng, kind, count)[:longest], freq, kind, lag_hours=float(rng.choice([3, 22, 100])))
        for k, (kind, count) in enumerate(zip(KINDS, counts, strict=True))
    )
    days = weekdays(day_of(pc.min(rows["known_at"]).as_py().replace(tzinfo=None)), last_known_day(rows))
    chosen = sorted({days[-1], *rng.choice(np.array(days, object), min(4, len(days)), replace=False)})
    ends = [day_of(START + np.timedelta64(int(STEP[freq] * c * 24) + 100, "h")) for c in sorted(counts)[1:4]]
    origins = sorted({*chosen, *(min(end, days[-1]) for end in ends if end.weekday() < 5)})
    assert assert_equals_slow(rows, origins) > 0


@pytest.mark.parametrize("seed", range(3))
def test_revised_and_late_values_are_used_from_the_day_they_were_known(seed: int) -> None:
    rows = revised_and_late(np.random.default_rng(seed))
    assert assert_equals_slow(rows, weekdays(date(1995, 2, 8), date(1995, 5, 12))[:: 3 + seed]) > 0


@pytest.fixture(scope="module")
def panel_rows() -> pa.Table:
    """Series of several frequencies and fates on some weekdays in spring 1995 and before."""
    rng = np.random.default_rng(5)
    return pa.concat_tables(
        [
            *(series(f"b{k}", values(rng, "price", 300), "B", "price") for k in range(5)),
            series("daily", values(rng, "other", 350), "D"),
            series("hourly", values(rng, "return", 200), "h", "return", 1, START + np.timedelta64(370, "D")),
            series("weekly", values(rng, "sentiment", 60), "W", "sentiment"),
            series("stopped", values(rng, "rate", 200), "B", "rate"),
            series("young", values(rng, "rate", 28), "B", "rate", start=np.datetime64("1996-01-15", "us")),
            revised_and_late(rng),
        ]
    )


ORIGINS = weekdays(date(1995, 12, 18), date(1996, 2, 23))


@pytest.fixture(scope="module")
def expected(panel_rows: pa.Table) -> bytes:
    return as_bytes(forecasts(panel_rows, ORIGINS))


@pytest.mark.parametrize("cut", [1, 7, 49])
def test_cutting_origins_into_calls_changes_no_bit(panel_rows: pa.Table, expected: bytes, cut: int) -> None:
    assert as_bytes(forecasts(panel_rows, ORIGINS, cut=cut)) == expected


@pytest.mark.parametrize(("rows_a_chunk", "segments_a_block"), [(1, 1), (2_500, 4), (10**9, 10**6)])
def test_the_size_of_chunks_and_blocks_changes_no_bit(
    panel_rows: pa.Table, expected: bytes, monkeypatch: pytest.MonkeyPatch, rows_a_chunk: int, segments_a_block: int
) -> None:
    monkeypatch.setattr(engine, "ROWS_A_CHUNK", rows_a_chunk)
    monkeypatch.setattr(references, "SEGMENTS_A_BLOCK", segments_a_block)
    assert as_bytes(forecasts(panel_rows, ORIGINS)) == expected


def test_threads_change_no_bit(panel_rows: pa.Table, expected: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ROWS_A_CHUNK", 5_000)
    monkeypatch.setattr(references, "SEGMENTS_A_BLOCK", 2)
    threads = Compute(mode="threads", workers=3)
    assert as_bytes(forecasts(panel_rows, ORIGINS, threads.map_blocks)) == expected


def test_the_order_of_rows_changes_no_bit(panel_rows: pa.Table, expected: bytes) -> None:
    shuffled = panel_rows.take(pa.array(np.random.default_rng(0).permutation(len(panel_rows))))
    assert as_bytes(forecasts(shuffled, ORIGINS)) == expected


def test_other_series_in_the_panel_change_no_bit(panel_rows: pa.Table) -> None:
    together = forecasts(panel_rows, ORIGINS)
    names = sorted(set(panel_rows["unique_id"].to_pylist()))
    for name in names:
        mine = pc.field("unique_id") == name
        alone = forecasts(panel_rows.filter(mine), ORIGINS)
        assert as_bytes(alone) == as_bytes(together.filter(mine).combine_chunks()), name


def test_what_is_known_later_changes_no_bit(panel_rows: pa.Table) -> None:
    rng = np.random.default_rng(8)
    origins, last = ORIGINS[:20], ORIGINS[19]
    later = pc.greater_equal(panel_rows["known_at"].cast(pa.int64()), origin_end(last))
    past, future = panel_rows.filter(pc.invert(later)), panel_rows.filter(later)
    wild = future.set_column(2, "y", pa.array(rng.lognormal(0, 5, len(future)))).slice(11)
    at = np.repeat(np.int64(origin_end(last)).astype("datetime64[us]"), 30)
    ds = START + np.arange(30) * np.timedelta64(1, "D")
    revision = told("b1", ds, rng.lognormal(size=30), at, "h", "rate")
    other = pa.concat_tables([wild, revision, past, series("a", rng.normal(size=400))])
    ours = forecasts(panel_rows, origins)
    theirs = forecasts(other, ORIGINS).filter(pc.field("as_of") <= pa.scalar(last))
    assert as_bytes(theirs.filter(pc.field("unique_id") != "a").combine_chunks()) == as_bytes(ours)


def test_rows_come_by_origin_series_model_and_horizon(panel_rows: pa.Table) -> None:
    made = forecasts(panel_rows, ORIGINS)
    keys = list(zip(*(made[name].to_pylist() for name in ("as_of", "unique_id", "model", "h")), strict=True))
    assert keys == sorted(set(keys))


def test_origins_that_go_back_in_time_are_refused(panel_rows: pa.Table) -> None:
    """A walk only moves forward: the earlier origin would see what the later one had taken in."""
    panel = pack(panel_rows, origin_end(ORIGINS[0]), origin_end(ORIGINS[-1]))
    with pytest.raises(ValueError, match="rise"):
        list(ReferenceBank().forecast(panel, [ORIGINS[5], ORIGINS[2]]))


@pytest.mark.parametrize("factor", [1e-6, 3.7, 1e6])
def test_prices_in_another_unit_give_the_same_forecasts_in_that_unit(factor: float) -> None:
    y = values(np.random.default_rng(3), "price", 320)
    origins = [last_known_day(series("p", y, kind="price"))]
    ours, scaled = (forecasts(series("p", y * f, kind="price"), origins) for f in (1.0, factor))
    for name in NUMBERS:
        np.testing.assert_allclose(scaled[name].to_numpy(), ours[name].to_numpy() * factor, rtol=1e-9)


def test_intervals_of_a_random_walk_widen_with_the_horizon() -> None:
    y = np.cumsum(np.random.default_rng(4).normal(size=270))
    made = forecasts(series("walk", y), [last_known_day(series("walk", y))]).to_pandas()
    naive = made[made["model"] == "naive"].sort_values("h")
    assert (naive["q900"] - naive["q100"]).is_monotonic_increasing


@pytest.mark.parametrize("freq", HORIZONS)
def test_a_series_is_forecast_from_twenty_errors_at_every_horizon_on(freq: str) -> None:
    need = MIN_ERRORS + HORIZONS[freq]
    for count, models in ((need - 1, 0), (need, len(REFERENCES))):
        rows = series("s", np.arange(count, dtype=float), freq)
        origin = last_known_day(rows)
        origin += timedelta(days=max(0, 7 - origin.weekday()) if origin.weekday() > 4 else 0)
        assert len(forecasts(rows, [origin])) == models * HORIZONS[freq]


@pytest.mark.parametrize(("freq", "days"), [("B", 12), ("W", 30), ("MS", 75)])
def test_a_series_without_news_is_forecast_until_it_is_stale_and_not_after(freq: str, days: int) -> None:
    rows = series("s", np.arange(40.0), freq)
    after = weekdays(last_known_day(rows), last_known_day(rows) + timedelta(days=days + 20))
    made = set(forecasts(rows, after)["as_of"].to_pylist())
    newest = pc.max(rows["known_at"]).cast(pa.int64()).as_py()
    assert made == {day for day in after if origin_end(day) - newest <= days * 86_400_000_000}
    assert set(after) - made


@pytest.mark.parametrize(
    ("kind", "value"), [("price", 3.5), ("rate", 0.0), ("other", -7.0), ("other", 1e300), ("price", 1e-300)]
)
def test_a_constant_series_has_its_constant_for_every_quantile(kind: str, value: float) -> None:
    rows = series("s", np.full(60, value), kind=kind)
    made = forecasts(rows, [last_known_day(rows)])
    for name in NUMBERS:
        np.testing.assert_allclose(made[name].to_numpy(), value, rtol=1e-9)


EXTREMES = {
    "huge": lambda y: y * 1e300,
    "tiny": lambda y: y * 1e-300,
    "spike": lambda y: np.where(np.arange(len(y)) == 30, 1.7e308, y),
    "both_ends": lambda y: np.where(np.arange(len(y)) % 2, 1.7e308, -1.7e308),
    "from_tiny_to_huge": lambda y: np.geomspace(1e-300, 1e300, len(y)),
}


@pytest.mark.parametrize("kind", ["price", "other"])
@pytest.mark.parametrize("shape", EXTREMES)
def test_extreme_values_give_finite_forecasts_or_none_and_never_hurt_another_series(shape: str, kind: str) -> None:
    rng = np.random.default_rng(6)
    tame = values(rng, "price", 600)
    wild = np.abs(EXTREMES[shape](tame)) if kind == "price" else EXTREMES[shape](tame)
    origins = weekdays(date(1995, 2, 1), date(1995, 3, 10)) + weekdays(date(1996, 1, 8), date(1996, 2, 9))
    calm = pa.concat_tables([series("a", tame), series("c", tame, kind="price")])
    made = forecasts(pa.concat_tables([calm, series("b", wild, kind=kind)]), origins)
    for name in NUMBERS:
        assert np.isfinite(made[name].to_numpy()).all()
    others = made.filter(pc.field("unique_id") != "b").combine_chunks()
    assert as_bytes(others) == as_bytes(forecasts(calm, origins))
    groups = made.filter(pc.field("unique_id") == "b").group_by("as_of").aggregate([([], "count_all")])
    assert set(groups["count_all"].to_pylist()) <= {len(REFERENCES) * HORIZONS["B"]}, (
        "a series is forecast whole or not"
    )


@given(
    st.lists(st.one_of(st.floats(1e-9, 1e9), st.sampled_from([1.0, 2.0, 1e-300, 1e300])), min_size=26, max_size=60),
    st.sampled_from(KINDS),
)
@settings(max_examples=150)
def test_quantiles_never_cross(y: list[float], kind: str) -> None:
    rows = series("s", np.array(y), kind=kind)
    made = forecasts(rows, [last_known_day(rows)])
    ranked = np.column_stack([made[name].to_numpy() for name in QUANTILE_COLUMNS])
    assert (np.diff(ranked, axis=1) >= 0).all()
    assert np.isfinite(ranked).all()


def test_an_empty_panel_gives_no_rows() -> None:
    made = forecasts(series("s", np.empty(0)), [date(2020, 1, 2)])
    assert len(made) == 0
    assert made.column_names == ["as_of", "unique_id", "model", "h", "ds", *NUMBERS]
