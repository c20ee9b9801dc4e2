"""Rows of the forecast table against a plain loop over origins, series, models and horizons."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.engine import origin_end
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.forecasting.rows import forecast_rows
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS

ORIGINS = [date(2024, 1, 8) + timedelta(days=day) for day in range(4)]
START = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
NUMBERS = ["mean", *QUANTILE_COLUMNS]
Key = tuple[date, str, str, int]


def panel(series: int) -> Panel:
    """Return daily series that begin on the first days of 2024, one after the other, known on the same evening."""
    days = [(f"s{s}", START + timedelta(days=day)) for s in range(series) for day in range(s % 5, 12)]
    return pack(
        pa.table(
            {
                "unique_id": pa.array([name for name, _ in days], pa.string()),
                "ds": pa.array([ds for _, ds in days], TIME),
                "y": pa.array([0.0] * len(days)),
                "known_at": pa.array([ds + timedelta(hours=20) for _, ds in days], TIME),
                **{name: pa.array([word] * len(days)) for name, word in (("kind", "rate"), ("freq", "D"))},
                "calendar": pa.array(["none"] * len(days)),
            }
        ),
        origin_end(ORIGINS[0]),
        origin_end(ORIGINS[-1]),
    )


def laid_out(
    asked: np.ndarray, horizon: np.ndarray, models: tuple[str, ...], broken: frozenset[int] = frozenset()
) -> tuple[pa.Table, dict[Key, list[float]]]:
    """Lay out numbers that count up, NaN in some places; return the rows, and by key what a loop makes of them."""
    packed = panel(len(horizon))
    ends = np.array([origin_end(origin) for origin in ORIGINS])
    expected: dict[Key, list[float]] = {}
    number = 0
    for s, o in np.argwhere(asked):
        keys = [(ORIGINS[o], f"s{s}", model, h) for model in models for h in range(1, horizon[s] + 1)]
        places = range(number, number + len(keys))
        if broken.isdisjoint(places):
            expected |= {
                key: [place + level / 100 for level in range(24)] for key, place in zip(keys, places, strict=True)
            }
        number += len(keys)
    values = np.arange(number)[:, None] + np.arange(24) / 100
    for place in broken & set(range(number)):
        values[place, (0, 1, -1)[place % 3]] = (np.nan, np.inf)[place % 2]
    counts = packed.known_counts(ends)
    return forecast_rows(packed, ORIGINS, counts, asked, horizon, models, values[:, 0], values[:, 1:].T), expected


def as_dict(rows: pa.Table) -> dict[Key, list[float]]:
    keys = zip(*(rows[name].to_pylist() for name in ("as_of", "unique_id", "model", "h")), strict=True)
    return dict(zip(keys, np.column_stack([rows[name].to_numpy() for name in NUMBERS]).tolist(), strict=True))


@given(st.integers(1, 6), st.sampled_from([("m",), ("a", "b"), ("a", "b", "c")]), st.integers(0, 10**6))
@settings(max_examples=80)
def test_rows_are_those_of_a_plain_loop_in_order_of_the_key(series: int, models: tuple[str, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked, horizon = rng.random((series, len(ORIGINS))) < rng.random(), rng.integers(1, 5, series)
    broken = frozenset(rng.integers(0, 60, rng.integers(0, 4)).tolist())
    rows, expected = laid_out(asked, horizon, models, broken)
    found = as_dict(rows)
    assert list(found) == sorted(expected)
    assert len(found) == len(rows)
    assert found == expected


def test_event_times_count_from_the_newest_known_observation() -> None:
    rows, _ = laid_out(np.ones((2, len(ORIGINS)), bool), np.array([1, 3]), ("m",))
    for row in rows.select(["as_of", "h", "ds"]).to_pylist():
        assert row["ds"].date() == row["as_of"] + timedelta(days=row["h"])


@pytest.mark.parametrize("broken", [0, 4, 5])
def test_a_number_that_is_not_finite_leaves_out_its_series_on_its_day(broken: int) -> None:
    rows, _ = laid_out(np.ones((2, len(ORIGINS)), bool), np.array([1, 3]), ("a", "b"), frozenset({broken}))
    days = {(day, name) for day, name, _, _ in as_dict(rows)}
    assert (ORIGINS[broken // 2], "s0") not in days
    assert len(days) == 2 * len(ORIGINS) - 1


@pytest.mark.parametrize("series", [0, 3])
def test_nothing_asked_gives_no_rows_but_all_columns(series: int) -> None:
    rows, _ = laid_out(np.zeros((series, len(ORIGINS)), bool), np.full(series, 2), ("m",))
    assert len(rows) == 0
    assert rows.column_names == ["as_of", "unique_id", "model", "h", "ds", *NUMBERS]
