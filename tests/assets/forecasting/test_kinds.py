"""Scales of kinds: there and back, and where a series leaves its scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.forecasting import engine
from pulse_assets.forecasting.kinds import (
    BOUNDED,
    EXPONENTIAL,
    LARGEST,
    SAME,
    SEASONS,
    from_scale,
    panel_class,
    scale_of,
    sound_counts,
    to_scale,
)
from pulse_assets.forecasting.prior import CLASSES


@pytest.mark.parametrize(
    ("kind", "first", "scale"),
    [
        ("price", 5.0, EXPONENTIAL),
        ("volatility", 0.2, EXPONENTIAL),
        ("sentiment", 0.3, BOUNDED),
        ("sentiment", -0.999, BOUNDED),
        ("sentiment", 1.0, SAME),
        ("sentiment", 55.0, SAME),
        ("sentiment", np.nan, SAME),
        ("return", 0.1, SAME),
        ("rate", 0.1, SAME),
        ("macro", 0.1, SAME),
        ("other", 0.1, SAME),
        ("never heard of", 0.1, SAME),
    ],
)
def test_the_scale_of_a_kind(kind: str, first: float, scale: int) -> None:
    assert scale_of(kind, first) == scale


def test_prices_returns_and_volatilities_are_the_market() -> None:
    market = {
        kind
        for kind in ("price", "return", "volatility", "rate", "macro", "sentiment", "other", "new")
        if panel_class(kind) == "market"
    }
    assert market == {"price", "return", "volatility"}
    assert {panel_class("price"), panel_class("other")} == set(CLASSES)


@pytest.mark.parametrize(
    ("scale", "inside"),
    [(SAME, st.floats(-1e90, 1e90)), (EXPONENTIAL, st.floats(1e-90, 1e90)), (BOUNDED, st.floats(-0.999, 0.999))],
)
@given(st.data())
def test_there_and_back_is_the_same_value(scale: int, inside: st.SearchStrategy[float], data: st.DataObject) -> None:
    values = np.array(data.draw(st.lists(inside, min_size=1, max_size=20)))
    there = to_scale(values, np.full(len(values), scale))
    assert np.isfinite(there).all()
    np.testing.assert_allclose(from_scale(there, scale), values, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("scale", "outside"),
    [
        (SAME, [1.001 * LARGEST, -1e300, np.inf, -np.inf, np.nan]),
        (EXPONENTIAL, [0.0, -1.0, 1e300, np.inf, np.nan]),
        (BOUNDED, [1.0, -1.0, 1.5, 1e300, np.nan]),
    ],
)
def test_what_a_scale_does_not_take_becomes_nan(scale: int, outside: list[float]) -> None:
    assert np.isnan(to_scale(np.array(outside), np.full(len(outside), scale))).all()


def test_the_values_given_are_left_as_they_are() -> None:
    values = np.array([1.0, -2.0, 0.5])
    to_scale(values, np.array([EXPONENTIAL, EXPONENTIAL, BOUNDED]))
    assert values.tolist() == [1.0, -2.0, 0.5]


@given(st.lists(st.lists(st.sampled_from([1.0, np.nan]), max_size=6), max_size=6))
def test_sound_counts_stop_at_the_first_nan_of_each_series(series: list[list[float]]) -> None:
    values = np.array([value for some in series for value in some])
    offsets = np.cumsum([0, *map(len, series)])
    expected = [next((i for i, value in enumerate(some) if np.isnan(value)), len(some)) for some in series]
    assert sound_counts(values, offsets).tolist() == expected


def test_every_frequency_has_the_season_that_the_reference_models_know() -> None:
    assert {freq: season for freq, (season, _) in SEASONS.items()} == engine.SEASONS
    assert set(SEASONS) == set(engine.HORIZONS)
