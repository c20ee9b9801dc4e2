"""Measures of quality: every fault has its flag, and no day knows more than it could."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.pack import STALE_AFTER_DAYS, pack
from pulse_assets.trust.quality.flags import FLAGS, RUINING
from pulse_assets.trust.quality.ledger import keep_ledger
from pulse_assets.trust.quality.measures import Measures, measure, quality_of
from tests.assets.trust.quality.plain_measures import plain_measures
from tests.assets.trust.quality.rows_of import STEPS, as_table, end_of, flags_of, measured, rows_of, walk

FRIDAY = "2024-06-28"


def quality(rows: pd.DataFrame, *days: object) -> float:
    return float(quality_of(measured(rows, *days))[0, -1])


@pytest.mark.parametrize("freq", list(STEPS))
def test_a_sound_series_of_any_frequency_has_no_flag_and_full_quality(freq: str) -> None:
    rows = rows_of(walk(120 if freq == "YS" else 400), freq)
    assert flags_of(rows) == set()
    assert quality(rows) == 1.0


@pytest.mark.parametrize(
    ("y", "flags"),
    [
        ([], None),
        ([1.0], {"DQ_SHORT"}),
        ([1.0, 2.0, 3.0], {"DQ_SHORT"}),
        (np.zeros(100), {"DQ_FLAT"}),
        (np.full(100, 3.5), {"DQ_FLAT"}),
        (np.full(100, np.nan), {"DQ_EMPTY"}),
        (np.full(100, np.inf), {"DQ_EMPTY"}),
        ([np.nan, np.inf, -np.inf], {"DQ_EMPTY"}),
        (np.where(np.arange(100) % 3 == 0, np.inf, walk(100)), {"DQ_GAPS"}),
        (np.append(walk(100), [np.nan]), set()),
        (1e300 * (-1.0) ** np.arange(100), set()),
        (np.append(walk(60), 100 * walk(20)), {"DQ_UNIT_JUMP"}),
        (np.append(walk(60), np.full(9, 99.0)), {"DQ_FLAT"}),
    ],
)
def test_each_fault_has_its_flag(y: object, flags: set[str] | None) -> None:
    rows = rows_of(y)
    if flags is None:
        assert measured(rows, FRIDAY).known.shape == (0, 1)
        return
    assert flags_of(rows, FRIDAY) == flags
    assert 0 <= quality(rows, FRIDAY) <= 1


def test_a_nulls_only_series_is_empty() -> None:
    rows = rows_of(walk(10)).assign(y=None)
    assert flags_of(rows, FRIDAY) == {"DQ_EMPTY"}
    assert measured(rows, FRIDAY).missing_share[0, 0] == 1


@pytest.mark.parametrize("freq", list(STALE_AFTER_DAYS))
def test_a_series_is_stale_exactly_when_it_gets_no_forecast(freq: str) -> None:
    rows = rows_of(walk(60), freq)
    days = pd.bdate_range(rows["ds"].max().tz_localize(None), periods=700)[:: 1 if freq in "hDB" else 7]
    ends = np.array([end_of(day) for day in days])
    panel = pack(as_table(rows), int(ends[0]), int(ends[-1]))
    fresh = panel.is_fresh(panel.known_counts(ends), ends)
    stale = measured(rows, *days).faults["DQ_STALE"]
    assert stale.any()
    assert (stale == ~fresh).all()


def test_two_values_told_at_one_moment_are_a_duplicate_and_equal_ones_are_not() -> None:
    rows = rows_of(walk(50))
    assert flags_of(pd.concat([rows, rows.iloc[[40]]])) == set()
    doubled = pd.concat([rows, rows.iloc[[40, 41]].assign(y=7.0), rows.iloc[[41]].assign(y=8.0)])
    assert "DQ_DUP" in flags_of(doubled)
    assert measured(doubled).duplicates[0, 0] == 2
    assert quality(doubled) == 0


def test_the_order_of_rows_changes_nothing() -> None:
    rows = pd.concat([rows_of(walk(50)), rows_of(walk(50, 1), name="s:B"), rows_of(walk(9)).assign(y=5.0)])
    mixed = rows.sample(frac=1, random_state=3)
    assert same(measured(rows, FRIDAY), measured(mixed, FRIDAY))


def test_a_holiday_of_the_exchange_is_no_gap() -> None:
    rows = rows_of(walk(60), calendar="XNYS", last="2024-01-05")
    holidays = rows["ds"].isin(pd.to_datetime(["2023-11-23", "2023-12-25", "2024-01-01"], utc=True))
    traded = rows[~holidays]
    assert measured(traded).missing_share[0, 0] == 0
    assert measured(traded.assign(calendar="weekday")).missing_share[0, 0] == pytest.approx(3 / 42)


def test_gaps_are_counted_within_the_window_and_up_to_the_day() -> None:
    rows = rows_of(walk(100))
    assert measured(rows.drop(index=[90, 95])).missing_share[0, 0] == pytest.approx(2 / 42)
    assert measured(rows.drop(index=[10, 20])).missing_share[0, 0] == 0
    late = measured(rows, FRIDAY, "2024-07-03").missing_share[0]
    assert late.tolist() == [0, pytest.approx(3 / 45)]


def test_a_week_told_a_day_early_is_not_missing() -> None:
    rows = rows_of(walk(120), "W")
    rows.loc[[100, 110], ["ds", "known_at"]] -= pd.Timedelta(days=1)
    assert measured(rows).missing_share[0, 0] == 0


def test_a_rate_that_seldom_moves_is_not_flat_and_a_price_that_stops_is() -> None:
    rate = np.repeat(np.arange(10) * 0.25 + 1, 21)
    assert flags_of(rows_of(rate, kind="rate")) == set()
    assert flags_of(rows_of(np.append(walk(100), np.repeat(99.0, 5)))) == {"DQ_FLAT"}
    assert measured(rows_of(rate, kind="rate")).flat_run[0, 0] == 21


def revised(share: int, by: float) -> pd.DataFrame:
    rows = rows_of(100 + np.arange(80) % 2, kind="macro")
    again = rows.iloc[20::share].assign(known_at=lambda f: f["known_at"] + pd.Timedelta(days=1))
    return pd.concat([rows, again.assign(y=again["y"] + by)])


def test_revisions_are_measured_against_the_first_release_in_usual_steps() -> None:
    small, large = (measured(revised(2, by), "2024-06-30") for by in (0.1, 3.0))
    assert small.revision_rate[0, 0] == 0.5
    assert small.revision_size[0, 0] == pytest.approx(0.1, rel=0.2)
    assert small.flags[0, 0] == ""
    assert "REVISION_HIGH" in large.flags[0, 0]
    assert quality_of(large)[0, 0] < quality_of(small)[0, 0] < 1


def test_a_revision_is_not_seen_before_it_is_known() -> None:
    rows = rows_of(walk(60))
    again = rows.iloc[[55]].assign(y=1.0, known_at=pd.Timestamp("2024-06-27 12:00", tz="UTC"))
    rates = measured(pd.concat([rows, again]), "2024-06-26", "2024-06-27").revision_rate[0]
    assert rates.tolist() == [0, pytest.approx(1 / 42)]


def test_a_series_is_not_known_before_its_first_row() -> None:
    measures = measured(rows_of(walk(3)), "2024-06-25", "2024-06-26", "2024-06-27")
    assert measures.known[0].tolist() == [False, True, True]
    assert measures.observations[0].tolist() == [0, 1, 2]


def test_ends_that_do_not_ascend_are_refused() -> None:
    ledger = keep_ledger(as_table(rows_of(walk(9))), end_of(FRIDAY))
    with pytest.raises(ValueError, match="expected ends that ascend"):
        measure(ledger, np.array([2, 1]))


def test_rows_without_a_column_or_with_an_unknown_frequency_are_refused() -> None:
    rows = rows_of(walk(9))
    with pytest.raises(ValueError, match=r"missing \['kind'\]"):
        keep_ledger(as_table(rows.drop(columns="kind")), end_of(FRIDAY))
    with pytest.raises(ValueError, match="freq 'fortnight' of 1 series"):
        keep_ledger(as_table(rows.assign(freq="fortnight")), end_of(FRIDAY))


def same(ours: Measures, theirs: Measures) -> bool:
    pairs = ((getattr(ours, field.name), getattr(theirs, field.name)) for field in dataclasses.fields(Measures))
    return all(one.tobytes() == other.tobytes() for one, other in pairs)


def messy(seed: int) -> pd.DataFrame:
    """Return a positive series with gaps, revisions, late and void rows, and now and then a jump."""
    rng = np.random.default_rng(seed)
    freq = str(rng.choice(list(STEPS)))
    y = walk(int(rng.integers(1, 90)), seed, sd=float(rng.choice([0.001, 0.02, 0.3]))).round(
        int(rng.integers(0, 4)) + 1
    )
    y[y <= 0] = 0.1
    y[rng.integers(len(y)) :] *= rng.choice([1, 1, 3, 100])
    rows = rows_of(y, freq, str(rng.choice(["price", "rate", "macro"])))
    rows = rows[rng.random(len(rows)) > 0.05 * rng.integers(4)]
    again = rows.sample(frac=0.2, random_state=seed)
    again["known_at"] += pd.to_timedelta(rng.integers(0, 40, len(again)), unit="D")
    again["y"] = (again["y"] * rng.choice([0.9, 1, 1.2], len(again))).where(rng.random(len(again)) > 0.1)
    return pd.concat([rows, again])


@settings(max_examples=60)
@given(st.integers(0, 10_000))
def test_compiled_measures_are_those_of_a_plain_look_at_what_was_known(seed: int) -> None:
    rows = messy(seed)
    if rows.empty:
        return
    newest = rows["ds"].max().tz_localize(None).normalize()
    days = [newest - pd.Timedelta(days=gap) for gap in (400, 30, 3, 0)] + [newest + pd.Timedelta(days=25)]
    measures = measured(rows, *days)
    for place, day in enumerate(days):
        plain = plain_measures(rows, pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1))
        assert (plain is not None) == bool(measures.known[0, place])
        for name, value in (plain or {}).items():
            ours = float(getattr(measures, name)[0, place])
            assert ours == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), f"{name} on {day}"


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_what_becomes_known_later_changes_nothing(seed: int) -> None:
    rows = messy(seed)
    if rows.empty:
        return
    day = rows["known_at"].quantile(0.6, interpolation="lower").tz_localize(None).normalize()
    end = pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1)
    past = rows[rows["known_at"] < end]
    future = rows[rows["known_at"] >= end].assign(y=lambda f: f["y"] * 1e6, kind="other", calendar="XNYS")
    later = day + pd.Timedelta(days=900)
    with_future = measured(pd.concat([future, past]), day, later)
    alone = measured(past, day)
    for field in dataclasses.fields(Measures):
        assert getattr(with_future, field.name)[:, :1].tobytes() == getattr(alone, field.name).tobytes(), field.name


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_a_range_is_its_days_one_by_one(seed: int) -> None:
    rows = pd.concat([messy(seed), messy(seed + 1).assign(unique_id="s:B")])
    days = pd.bdate_range("2024-05-01", "2024-07-10")
    whole = measured(rows, *days)
    for place, day in enumerate(days):
        alone = measured(rows, day)
        for field in dataclasses.fields(Measures):
            ours = getattr(whole, field.name)[: alone.known.shape[0], place]
            if alone.known.shape[0] == whole.known.shape[0]:
                assert ours.tobytes() == getattr(alone, field.name)[:, 0].tobytes(), field.name


WORSE = {
    "age_days": 3.0,
    "late_share": 0.3,
    "missing_share": 0.2,
    "duplicates": 1,
    "flat_run": 9,
    "flat_surprise": 30.0,
    "revision_rate": 0.4,
    "revision_size": 1.5,
    "jump_z": 9.0,
    "observations": -28,
}


def any_measures(seed: int) -> Measures:
    rng = np.random.default_rng(seed)
    shape = (40, 3)
    rate = rng.uniform(0, 0.5, shape) * rng.integers(0, 2, shape)
    return Measures(
        known=np.ones(shape, bool),
        observations=rng.integers(31, 60, shape),
        age_days=rng.uniform(0, 10, shape),
        late_share=rng.uniform(0, 1.2, shape),
        missing_share=rng.uniform(0, 0.6, shape),
        duplicates=rng.integers(0, 2, shape),
        flat_run=rng.integers(1, 9, shape),
        flat_share=rng.uniform(0, 1, shape),
        flat_surprise=rng.uniform(0, 30, shape),
        revision_rate=rate,
        revision_size=np.where(rate > 0, rng.uniform(0, 3, shape), np.nan),
        jump_z=rng.uniform(0, 12, shape),
    )


@pytest.mark.parametrize("name", list(WORSE))
@pytest.mark.parametrize("seed", range(3))
def test_worse_measures_never_give_a_higher_quality_nor_fewer_flags(name: str, seed: int) -> None:
    before = any_measures(seed)
    after = dataclasses.replace(before, **{name: getattr(before, name) + WORSE[name]})
    assert (quality_of(after) <= quality_of(before)).all()
    for flag, held in before.faults.items():
        if name != "observations" or flag not in ("DQ_SHORT", "DQ_GAPS"):  # these ask for some
            assert (after.faults[flag] | ~held).all(), flag


def at(rows: pd.DataFrame, first: int, last: int) -> pd.Series:
    """Return which rows are about the last but ``first`` to the last but ``last`` event times."""
    times = np.sort(rows["ds"].unique())
    return rows["ds"].between(times[-first], times[-last])


def gap(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~at(rows, 25, 22)]


def double(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, rows[at(rows, 21, 21)].assign(y=lambda f: f["y"] * 1.001)])


def stand_still(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(y=rows["y"].mask(at(rows, 9, 1), float(rows.loc[at(rows, 9, 9), "y"].iloc[0])))


def jump(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(y=rows["y"].mask(at(rows, 15, 1), rows["y"] * 100))


def void(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(y=rows["y"].mask(at(rows, 20, 18)))


def retell(rows: pd.DataFrame) -> pd.DataFrame:
    again = rows[at(rows, 35, 30)]
    return pd.concat([rows, again.assign(y=again["y"] * 1.3, known_at=again["known_at"] + pd.Timedelta(hours=1))])


FAULTS = {fault.__name__: fault for fault in (gap, double, stand_still, jump, void, retell)}


@pytest.mark.parametrize("first", [None, *FAULTS])
@pytest.mark.parametrize("second", list(FAULTS))
def test_adding_a_fault_to_the_rows_never_raises_quality(first: str | None, second: str) -> None:
    rows = rows_of(walk(120, 5))
    rows = FAULTS[first](rows) if first else rows
    worse = FAULTS[second](rows)
    assert quality(worse, FRIDAY) <= quality(rows, FRIDAY)
    assert first == second or quality(worse, "2024-07-05") < quality(worse, FRIDAY) or quality(worse, FRIDAY) == 0


def test_the_faults_that_ruin_a_series_leave_nothing() -> None:
    measures = any_measures(1)
    ruined = np.logical_or.reduce([measures.faults[flag] for flag in RUINING])
    assert ruined.any()
    assert (quality_of(measures)[ruined] == 0).all()
    assert (quality_of(measures)[~ruined] > 0).all()


def test_flags_are_written_in_their_order() -> None:
    flags = measured(rows_of([1.0, 2.0]), "2025-06-28").flags[0, 0]
    assert flags.split() == [flag for flag in FLAGS if flag in flags]
    assert flags.startswith("DQ_STALE DQ_SHORT")


def test_no_series_gives_no_measures() -> None:
    measures = measured(rows_of([]), FRIDAY)
    assert measures.flags.shape == quality_of(measures).shape == (0, 1)


def test_missing_numbers_are_nan_not_zero() -> None:
    measures = measured(rows_of([1.0, 2.0, 3.0]), FRIDAY)
    assert math.isnan(measures.jump_z[0, 0])
    assert math.isnan(measures.revision_size[0, 0])
