"""A forecast as a map between normal scores and values, in both directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pulse_assets.numerics.normal_scores import KNOTS, LARGEST, normal_scores, values_at

FORECASTS = arrays(np.float64, (4, 23), elements=st.floats(-1e6, 1e6, width=32)).map(lambda rows: np.sort(rows, axis=1))


def test_a_normal_forecast_gives_the_standard_score() -> None:
    forecast = np.tile(10 + 2 * KNOTS, (5, 1))
    assert np.allclose(normal_scores(forecast, np.array([10.0, 12.0, 6.0, 30.0, -30.0])), [0, 1, -2, 10, -20])


@given(forecasts=FORECASTS, z=arrays(np.float64, (4, 3), elements=st.floats(-8, 8)))
def test_values_rise_with_scores(forecasts: np.ndarray, z: np.ndarray) -> None:
    values = values_at(forecasts, np.sort(z, axis=1))
    scale = np.abs(forecasts).max() + 1
    assert (np.diff(values, axis=1) >= -1e-9 * scale).all()


@given(forecasts=FORECASTS, z=arrays(np.float64, (4, 1), elements=st.floats(-8, 8)))
def test_scores_of_values_are_the_scores_where_the_forecast_rises(forecasts: np.ndarray, z: np.ndarray) -> None:
    rising = (np.diff(forecasts, axis=1) > 1e-3).all(axis=1)
    found = normal_scores(forecasts, values_at(forecasts, z)[:, 0])
    assert np.allclose(found[rising], z[rising, 0], atol=1e-3)


@given(forecasts=FORECASTS, z=arrays(np.float64, (4, 5), elements=st.floats(-2.3, 2.3)))
def test_between_the_outer_quantiles_values_are_interpolated(forecasts: np.ndarray, z: np.ndarray) -> None:
    plain = [np.interp(scores, KNOTS, row) for scores, row in zip(z, forecasts, strict=True)]
    np.testing.assert_allclose(values_at(forecasts, z), plain, rtol=1e-9, atol=1e-6)


def test_ties_take_the_middle_of_their_scores() -> None:
    forecast = np.concatenate(([-3.0, -2.0], np.zeros(19), [2.0, 3.0]))[None, :]
    assert normal_scores(forecast, np.zeros(1)).item() == pytest.approx(0, abs=1e-12)


def test_a_forecast_without_spread_knows_only_right_and_wrong() -> None:
    forecast = np.full((3, 23), 5.0)
    assert normal_scores(forecast, np.array([5.0, 6.0, 4.0])).tolist() == [0.0, LARGEST, -LARGEST]
    assert values_at(forecast, np.array([[-3.0], [0.0], [9.0]]))[:, 0].tolist() == [5.0, 5.0, 5.0]


def test_a_flat_tail_takes_the_slope_of_the_whole() -> None:
    forecast = np.minimum(KNOTS, KNOTS[-3])[None, :]
    found = normal_scores(forecast, np.array([10.0])).item()
    assert KNOTS[-1] < found < 20


@pytest.mark.parametrize(("forecast", "y"), [(np.nan, 1.0), (np.inf, 1.0), (None, np.nan)])
def test_what_is_not_known_has_no_score(forecast: float | None, y: float) -> None:
    row = KNOTS.copy()
    if forecast is not None:
        row[-1] = forecast
    assert np.isnan(normal_scores(row[None, :], np.array([y]))).all()


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    forecasts, y = np.sort(rng.normal(size=(50, 23)), axis=1), rng.normal(size=50)
    whole = normal_scores(forecasts, y)
    assert all(normal_scores(forecasts[[row]], y[[row]])[0] == whole[row] for row in range(50))


def test_wrong_shapes_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="expected quantiles"):
        normal_scores(np.zeros((2, 5)), np.zeros(2))
    with pytest.raises(ValueError, match="expected quantiles"):
        values_at(np.zeros((2, 23)), np.zeros((3, 1)))
