"""Thresholds find the truths that they were issued for; quantiles move with them."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.trust.conformal.cadence import CADENCES, cadence_of, overlap
from pulse_assets.trust.conformal.recalibrator import Recalibrator, moved_quantiles
from pulse_assets.trust.conformal.rows import Rows
from pulse_assets.trust.tables import SCORES

DAY = date(2024, 1, 1)
TIME = pa.timestamp("us", "UTC")
FREQS = {"a": "D", "b": "D"}


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def forecasts(day: date, names: tuple[str, ...] = ("a", "b")) -> pa.Table:
    count = len(names)
    rows = {
        "as_of": [day] * count,
        "unique_id": list(names),
        "model": ["naive"] * count,
        "h": pa.array([1] * count, pa.int16()),
        "ds": pa.array([midnight(day + timedelta(days=1))] * count, TIME),
        "mean": [10.0] * count,
        **{name: [10 + knot] * count for name, knot in zip(QUANTILE_COLUMNS, KNOTS, strict=True)},
        "model_version": ["1"] * count,
    }
    return pa.table(rows)


def scores(day: date, z: dict[str, float], origins: tuple[int, ...] = (1,)) -> pa.Table:
    """Score rows of truths of a day by forecasts made so many days before."""
    count = len(z) * len(origins)
    made = [day - timedelta(days=back) for back in origins for _ in z]
    return pa.table(
        {
            "as_of": pa.array([day] * count, pa.date32()),
            "unique_id": pa.array([*z] * len(origins), pa.string()),
            "model": pa.array(["naive"] * count, pa.string()),
            "h": pa.array([1] * count, pa.int16()),
            "ds": pa.array([midnight(day)] * count, TIME),
            "origin": pa.array(made, pa.date32()),
            "z": pa.array([value + back for back in origins for value in z.values()], pa.float64()),
        }
    )


def lists(column: pa.ChunkedArray) -> np.ndarray:
    return np.array(column.to_pylist())


def test_quantiles_follow_truths_that_lie_to_one_side_and_stay_in_order() -> None:
    recalibrator, day = Recalibrator(FREQS), DAY
    for _ in range(80):
        made = recalibrator.calibrate(scores(day, {"a": 1.0, "b": -3.0}), forecasts(day))
        day += timedelta(days=1)
    median = dict(zip(made["unique_id"].to_pylist(), made["q500"].to_pylist(), strict=True))
    assert median["a"] > 11
    assert median["b"] < 9
    quantiles = np.column_stack([made[name].to_numpy() for name in QUANTILE_COLUMNS])
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert made["targets"].to_pylist() == [60, 60]
    assert (lists(made["z"])[0] != KNOTS).any()


def test_the_mean_moves_with_the_quantiles() -> None:
    recalibrator, day = Recalibrator(FREQS), DAY
    for _ in range(30):
        made = recalibrator.calibrate(scores(day, {"a": 1.0, "b": 1.0}), forecasts(day))
        day += timedelta(days=1)
    quantiles = np.column_stack([made[name].to_numpy() for name in QUANTILE_COLUMNS])
    np.testing.assert_allclose(made["mean"].to_numpy() - 10, quantiles.mean(axis=1) - 10 - KNOTS.mean(), atol=1e-12)


def test_of_several_origins_of_one_truth_the_newest_is_taken_once_in_any_order() -> None:
    table = scores(DAY, {"a": 1.0, "b": 2.0}, origins=(2, 1, 3))
    for order in (range(6), range(5, -1, -1), (3, 0, 5, 1, 4, 2)):
        recalibrator = Recalibrator(FREQS)
        recalibrator.learn(table.take(pa.array(list(order))))
        row = recalibrator.rows.of(scores(DAY, {"a": 0.0, "b": 0.0}))
        assert recalibrator.state.seen[row].tolist() == [1, 1]
        assert recalibrator.state.window[row, 0].tolist() == [2.0, 3.0]


def test_what_is_kept_of_a_day_is_enough_to_go_on() -> None:
    rng = np.random.default_rng(0)
    days = [DAY + timedelta(days=step) for step in range(90)]
    came = [scores(day, dict(zip("ab", rng.normal(size=2).tolist(), strict=True))) for day in days]
    whole = Recalibrator(FREQS)
    made = [whole.calibrate(one, forecasts(day)) for one, day in zip(came, days, strict=True)]
    restored = Recalibrator(FREQS)
    restored.learn(pa.concat_tables(came[:80]), judged=False)
    restored.remember(pa.concat_tables(made[70:80]).select(["as_of", "unique_id", "model", "h", "ds", "z"]))
    restored.restore(made[79].select(["unique_id", "model", "h", "rates"]))
    for place in range(80, 90):
        assert restored.calibrate(came[place], forecasts(days[place])).equals(made[place])


def test_days_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(1)
    days = [DAY + timedelta(days=step) for step in range(40)]
    came = [scores(day, dict(zip("ab", rng.normal(size=2).tolist(), strict=True))) for day in days]
    told = [forecasts(day) for day in days]
    one_by_one = Recalibrator(FREQS)
    made = [one_by_one.calibrate(*pair) for pair in zip(came, told, strict=True)]
    backwards = pa.concat_tables(told[::-1])
    at_once = Recalibrator(FREQS).calibrate(pa.concat_tables(came[::-1]), backwards)
    assert at_once.equals(pa.concat_tables(made).combine_chunks())


def test_a_row_that_was_not_forecast_starts_anew_with_its_rates() -> None:
    recalibrator, day = Recalibrator(FREQS), DAY
    for step in range(12):
        made = recalibrator.calibrate(scores(day, {"a": 4.0}), forecasts(day, ("b",) if step == 10 else ("a", "b")))
        day += timedelta(days=1)
    rates = dict(zip(made["unique_id"].to_pylist(), lists(made["rates"]), strict=True))
    np.testing.assert_allclose(rates["a"], LEVELS, rtol=1e-6)


def test_no_forecasts_and_no_scores_give_no_rows() -> None:
    recalibrator = Recalibrator({})
    empty = FORECASTS.empty()
    assert len(recalibrator.calibrate(SCORES.empty(), empty)) == 0
    assert len(recalibrator.calibrate(scores(DAY, {"a": 1.0}), empty)) == 0


def test_what_cannot_be_negative_stays_so() -> None:
    raw = np.linspace(0.5, 3, len(LEVELS))[None, :]
    assert moved_quantiles(raw, KNOTS[None, :] - 5)[0, 0] == 0
    assert moved_quantiles(raw - 10, KNOTS[None, :] - 5)[0, 0] < -10


@given(
    arrays(np.float64, (3, 23), elements=st.floats(-1e9, 1e9)), arrays(np.float64, (3, 23), elements=st.floats(-90, 90))
)
def test_moved_quantiles_never_cross(quantiles: np.ndarray, thresholds: np.ndarray) -> None:
    moved = moved_quantiles(np.sort(quantiles, axis=1), np.sort(thresholds, axis=1))
    assert np.isfinite(moved).all()
    assert (np.diff(moved, axis=1) >= 0).all()


def test_rows_keep_their_numbers_when_others_join() -> None:
    rows = Rows({"m": "B", "z": "MS", "a": "B"})
    first = pa.table({"unique_id": ["m", "z"], "model": ["x", "x"], "h": [1, 2]})
    numbers = rows.of(first)
    more = {"unique_id": [f"a{k}" for k in range(30)], "model": ["y"] * 30, "h": list(range(1, 31))}
    rows.of(pa.table(more))
    assert rows.of(first).tolist() == numbers.tolist()
    assert rows.of(first.take([1, 0])).tolist() == numbers[::-1].tolist()
    assert len(rows) == 32
    assert len(set(rows.of(pa.table(more)).tolist())) == 30
    assert rows.memory[numbers].tolist() == [CADENCES["B"].memory, CADENCES["MS"].memory]


def test_comparable_rows_have_frequency_model_and_horizon_in_common() -> None:
    rows = Rows({"a": "B", "b": "B", "c": "MS"})
    names, models, h = ["a", "b", "c", "a", "a"], ["x", "x", "x", "y", "x"], [1, 1, 1, 1, 2]
    numbers = rows.of(pa.table({"unique_id": names, "model": models, "h": h}))
    group = rows.group[numbers]
    assert group[0] == group[1]
    assert len(set(group.tolist())) == 4


def test_a_window_of_truths_fits_into_the_memory_of_every_frequency() -> None:
    days = {"h": 7 / 5, "D": 7 / 5, "B": 7 / 5, "W": 7, "MS": 30.5}
    assert all(60 * apart <= cadence_of(freq).memory for freq, apart in days.items())
    assert overlap("unknown", 3) == 3
