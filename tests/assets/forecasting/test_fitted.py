"""A fitted panel moved on by new observations says, bit for bit, what a walk over the whole history says."""

from datetime import datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.api import Forecast, forecast
from pulse_assets.forecasting.fitted import Fitted
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS

NUMBERS = ["mean", *QUANTILE_COLUMNS]
START = np.datetime64("2024-01-01", "us")
OPTIONS = {"freq": "D", "horizon": 5}
KINDS = ("other", "price", "return", "sentiment")
each_kind = pytest.mark.parametrize("kind", KINDS)


def panel(kind: str, count: int = 6, n: int = 110) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    made = {}
    for k in range(count):
        y = 3 * np.sin(np.arange(n) * 2 * np.pi / 7) + rng.normal(0, 0.4, n).cumsum() + 20
        shapes = {
            "price": np.exp(y / 10),
            "return": np.diff(y, prepend=y[0]),
            "sentiment": np.tanh((y - y.mean()) / 5),
            "other": (y, y - 20, np.where(rng.random(n) < 0.5, 0, y))[k % 3],
        }
        made[f"s{k}"] = shapes[kind]
    return made


def table(series: dict[str, np.ndarray], first: int = 0, last: int | None = None) -> pa.Table:
    """Days ``first`` to ``last`` of some series."""
    ids, days, values = [], [], []
    for name, y in series.items():
        chosen = np.arange(len(y))[first:last]
        ids += [name] * len(chosen)
        days.append(START + chosen * np.timedelta64(1, "D"))
        values.append(y[chosen])
    return pa.table({"unique_id": ids, "ds": np.concatenate(days), "y": np.concatenate(values).astype(float)})


def as_bytes(made: Forecast) -> list[bytes]:
    found = []
    for rows in (made.rows, made.members):
        plain = rows.set_column(0, "unique_id", rows["unique_id"].cast(pa.string())).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, plain.schema) as stream:
            stream.write_table(plain)
        found.append(bytes(sink.getvalue().to_pybytes()))
    return found


def reasons(made: Forecast) -> dict[str, str]:
    return dict(zip(made.reasons["unique_id"].to_pylist(), made.reasons["reason"].to_pylist(), strict=True))


def frozen(series: dict[str, np.ndarray], known: int, kind: str) -> Forecast:
    """Walk over all with what the panel taught on its first ``known`` days."""
    head = Fitted.fit(table(series, 0, known), kind=kind, **OPTIONS)
    return Fitted.frozen(table(series), head.model, dict.fromkeys(series, known), kind=kind, **OPTIONS).forecast()


@each_kind
def test_just_fitted_it_says_what_a_forecast_of_the_table_says(kind: str) -> None:
    rows = table(panel(kind))
    assert as_bytes(Fitted.fit(rows, kind=kind, **OPTIONS).forecast()) == as_bytes(forecast(rows, kind=kind, **OPTIONS))


@each_kind
@pytest.mark.parametrize("known", [12, 70, 109])
def test_moved_on_it_says_what_a_walk_over_everything_says(kind: str, known: int) -> None:
    series = panel(kind)
    moved = Fitted.fit(table(series, 0, known), kind=kind, **OPTIONS).update(table(series, known))
    assert as_bytes(moved.forecast()) == as_bytes(frozen(series, known, kind))


@given(st.lists(st.integers(70, 109), max_size=8, unique=True), st.sampled_from(KINDS))
@settings(max_examples=12)
def test_however_new_observations_are_cut_they_lead_to_the_same_bits(cuts: list[int], kind: str) -> None:
    series = panel(kind)
    moved = Fitted.fit(table(series, 0, 70), kind=kind, **OPTIONS)
    ends = [*sorted({*cuts, 70}), 110]
    for low, high in pairwise(ends):
        moved.update(table(series, low, high))
        moved.forecast()
    assert as_bytes(moved.forecast()) == as_bytes(frozen(series, 70, kind))


@each_kind
def test_series_move_on_one_by_one_and_unevenly(kind: str) -> None:
    series = panel(kind)
    uneven = {name: y[: 75 + 5 * k] for k, (name, y) in enumerate(series.items())}
    moved = Fitted.fit(table(series, 0, 70), kind=kind, **OPTIONS)
    for name in ("s3", "s0", "s5", "s1", "s4", "s2"):
        moved.update(table({name: uneven[name]}, 70))
    head = Fitted.fit(table(series, 0, 70), kind=kind, **OPTIONS)
    whole = Fitted.frozen(table(uneven), head.model, dict.fromkeys(series, 70), kind=kind, **OPTIONS)
    assert as_bytes(moved.forecast()) == as_bytes(whole.forecast())


@pytest.mark.parametrize("value", [0.0, -5.0, 1e6])
def test_a_value_that_ends_the_logarithms_ends_them_here_too(value: float) -> None:
    series = panel("other")
    series["s0"][80] = value
    moved = Fitted.fit(table(series, 0, 70), **OPTIONS)
    for day in range(70, 110):
        moved.update(table(series, day, day + 1))
    assert as_bytes(moved.forecast()) == as_bytes(frozen(series, 70, "other"))


def test_a_long_tail_is_enough() -> None:
    """What the map on lags needs is kept, however far a series moves beyond what it was fitted on."""
    series = panel("other", 3, 600)
    moved = Fitted.fit(table(series, 0, 60), **OPTIONS)
    for low in range(60, 600, 45):
        moved.update(table(series, low, low + 45))
    assert as_bytes(moved.forecast()) == as_bytes(frozen(series, 60, "other"))


def test_steps_left_out_are_filled_with_the_value_before_them() -> None:
    series = panel("other")
    filled = {name: y.copy() for name, y in series.items()}
    for y in filled.values():
        y[[71, 72, 90]] = y[70], y[70], y[89]
    late = table(series, 70)
    day = pc.divide(pc.subtract(late["ds"], pa.scalar(START)).cast(pa.int64()), 86_400_000_000)
    holed = late.filter(pc.invert(pc.is_in(day, pa.array([71, 72, 90]))))
    moved = Fitted.fit(table(series, 0, 70), **OPTIONS)
    parts = [holed.slice(low, 1) for low in range(len(holed))]
    for part in parts:
        moved.update(part)
    assert as_bytes(moved.forecast()) == as_bytes(frozen(filled, 70, "other"))


REFUSED = {
    "NOT_NEW": {"s1": (69, [1.0])},
    "NOT_FITTED": {"new": (70, [1.0, 2.0])},
    "OFF_SCALE": {"s2": (70, [1.0, 1e300])},
    "DUPLICATE_STAMPS": {"s4": (70, [1.0, 1.0])},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_refused_is_told_and_changes_nothing(reason: str) -> None:
    series = panel("other")
    fitted = Fitted.fit(table(series, 0, 70), **OPTIONS)
    before = as_bytes(fitted.forecast())
    ((name, (day, values)),) = REFUSED[reason].items()
    step = 0 if reason == "DUPLICATE_STAMPS" else 1
    days = START + (day + step * np.arange(len(values))) * np.timedelta64(1, "D")
    after = fitted.update(pa.table({"unique_id": [name] * len(values), "ds": days, "y": values})).forecast()
    assert reasons(after) == {name: reason}
    assert as_bytes(after) == before


def test_what_is_refused_of_one_series_does_not_hold_up_another() -> None:
    series = panel("other")
    fitted = Fitted.fit(table(series, 0, 70), **OPTIONS)
    moved = fitted.update(pa.concat_tables([table({"s1": series["s1"]}, 60), table({"s0": series["s0"]}, 70, 75)]))
    newest = {row["unique_id"]: row["ds"] for row in moved.forecast().rows.to_pylist() if row["h"] == 1}
    assert newest["s0"] == datetime(2024, 3, 16)  # noqa: DTZ001 - naive as asked
    assert newest["s1"] == datetime(2024, 3, 11)  # noqa: DTZ001


def test_stamps_of_another_type_are_an_error() -> None:
    fitted = Fitted.fit(table(panel("other"), 0, 70), **OPTIONS)
    with pytest.raises(ValueError, match="stamps were datetime when fitted; came integer"):
        fitted.update(pa.table({"unique_id": ["s0"], "ds": [71], "y": [1.0]}))


def test_integer_stamps_move_on_as_well() -> None:
    series = panel("other")
    rows = {name: np.arange(len(y)) for name, y in series.items()}
    whole = table(series).set_column(1, "ds", pa.array(np.concatenate([*rows.values()])))
    head, tail = (whole.filter(test) for test in (pc.field("ds") < 90, pc.field("ds") >= 90))
    moved = Fitted.fit(head, **OPTIONS).update(tail)
    again = Fitted.frozen(whole, Fitted.fit(head, **OPTIONS).model, dict.fromkeys(series, 90), **OPTIONS)
    assert as_bytes(moved.forecast()) == as_bytes(again.forecast())


def test_a_forecast_at_hand_does_not_change_when_the_panel_moves_on() -> None:
    series = panel("other")
    fitted = Fitted.fit(table(series, 0, 70), **OPTIONS)
    early = fitted.forecast()
    before = as_bytes(early)
    fitted.update(table(series, 70))
    assert as_bytes(early) == before


def test_a_weekly_release_that_a_holiday_moved_is_the_next_step() -> None:
    """Six days, or eight, are one step of a week: the reader takes them so, and an update must count as it does."""
    mondays = START + np.arange(120) * np.timedelta64(7, "D")
    moved = mondays.copy()
    moved[-1] -= np.timedelta64(1, "D")
    y = 50 + np.sin(np.arange(120) / 5)
    rows = pa.table({"unique_id": ["a"] * 120, "ds": moved, "y": y})
    fitted = Fitted.fit(rows.slice(0, 119), freq="W", horizon=4).update(rows.slice(119))
    assert fitted.counts.tolist() == [120]
    assert "NOT_NEW" not in fitted.forecast().reasons["reason"].to_pylist()
