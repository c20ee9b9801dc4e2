"""Thresholds find the truths that they were issued for; quantiles move with them."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.trust.conformal.issued import MINUTE, Issued
from pulse_assets.trust.conformal.recalibrator import Recalibrator, Truths, moved_quantiles
from pulse_assets.trust.conformal.rows import Rows

DAY = date(2024, 1, 1)
ONES = np.ones((1, len(LEVELS)))


def forecasts(day: date, names: tuple[str, ...] = ("a", "b")) -> pa.Table:
    ds = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    count = len(names)
    rows = {
        "as_of": [day] * count,
        "unique_id": list(names),
        "model": ["naive"] * count,
        "h": pa.array([1] * count, pa.int16()),
        "ds": pa.array([ds] * count, pa.timestamp("us", "UTC")),
        "mean": [10.0] * count,
        **{name: [10 + knot] * count for name, knot in zip(QUANTILE_COLUMNS, KNOTS, strict=True)},
        "model_version": ["1"] * count,
    }
    return pa.table(rows)


def truths(day: date, z: dict[str, float]) -> Truths:
    ds = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = {
        "unique_id": list(z),
        "model": ["naive"] * len(z),
        "h": pa.array([1] * len(z), pa.int16()),
        "ds": pa.array([ds] * len(z), pa.timestamp("us", "UTC")),
        "origin": [day - timedelta(days=1)] * len(z),
        "z": list(z.values()),
    }
    return Truths.of(pa.table(rows))


def test_of_several_origins_of_one_truth_the_newest_counts() -> None:
    issued = Issued()
    issued.add(np.array([1]), np.array([MINUTE]), ONES, 0)
    issued.add(np.array([1]), np.array([MINUTE]), 2 * ONES, 1)
    assert issued.take(np.array([1]), np.array([MINUTE]))[0, 0] == 2
    assert np.isnan(issued.take(np.array([1]), np.array([MINUTE]))).all()


def test_what_will_not_come_is_forgotten_and_the_rest_kept() -> None:
    issued, day = Issued(), 1_440 * MINUTE
    issued.add(np.array([1, 2]), np.array([10 * day, 90 * day]), np.tile(ONES, (2, 1)), 9)
    issued.forget(60)
    assert np.isfinite(issued.take(np.array([1, 2]), np.array([10 * day, 90 * day]))[:, 0]).tolist() == [False, True]


def test_rows_keep_their_numbers_when_others_join() -> None:
    rows = Rows()
    first = rows.of(pa.table({"unique_id": ["m", "z"], "model": ["x", "x"], "h": [1, 1]}))
    rows.of(pa.table({"unique_id": ["a"], "model": ["a"], "h": [1]}))
    assert (
        rows.of(pa.table({"unique_id": ["z", "m"], "model": ["x", "x"], "h": [1, 1]})).tolist() == first[::-1].tolist()
    )


def test_one_truth_of_several_origins_is_taken_once() -> None:
    table = pa.table(
        {
            "unique_id": ["a", "a"],
            "model": ["m", "m"],
            "h": [1, 1],
            "ds": pa.array([1, 1], pa.timestamp("us", "UTC")),
            "origin": [DAY, DAY + timedelta(days=1)],
            "z": [1.0, 2.0],
        }
    )
    assert Truths.of(table).z.tolist() == [2.0]
    assert Truths.of(table.take([1, 0])).z.tolist() == [2.0]


def test_quantiles_follow_truths_that_lie_to_one_side_and_stay_in_order() -> None:
    recalibrator, day = Recalibrator({"a": "D", "b": "D"}), DAY
    for _ in range(80):
        recalibrator.learn(truths(day, {"a": 2.0, "b": 0.0}), day)
        made = recalibrator.calibrate(forecasts(day), day)
        day += timedelta(days=1)
    median = dict(zip(made["unique_id"].to_pylist(), made["q500"].to_pylist(), strict=True))
    assert median["a"] > 11
    assert abs(median["b"] - 10) < median["a"] - 10
    quantiles = np.column_stack([made[name].to_numpy() for name in QUANTILE_COLUMNS])
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert made["targets"].to_pylist() == [60, 60]


def test_what_is_kept_of_a_day_is_enough_to_go_on() -> None:
    rng = np.random.default_rng(0)
    z = [{"a": float(one), "b": float(other)} for one, other in rng.normal(size=(90, 2))]
    days = [DAY + timedelta(days=step) for step in range(90)]
    whole = Recalibrator({"a": "D", "b": "D"})
    made = []
    for day, values in zip(days, z, strict=True):
        whole.learn(truths(day, values), day)
        made.append(whole.calibrate(forecasts(day), day))
    restored = Recalibrator({"a": "D", "b": "D"})
    for day, values in zip(days[:80], z[:80], strict=True):
        restored.fill(truths(day, values), day)
    own = pa.concat_tables(made[:80]).select(["as_of", "unique_id", "model", "h", "ds", "z", "rates"])
    restored.restore(own, days[79])
    for place in range(80, 90):
        restored.learn(truths(days[place], z[place]), days[place])
        assert restored.calibrate(forecasts(days[place]), days[place]).equals(made[place])


def test_what_cannot_be_negative_stays_so() -> None:
    raw = np.abs(np.tile(np.linspace(0.5, 3, len(LEVELS)), (1, 1)))
    assert moved_quantiles(raw, KNOTS[None, :] - 5)[0, 0] == pytest.approx(0.0)
    assert moved_quantiles(raw - 10, KNOTS[None, :] - 5)[0, 0] < -10
