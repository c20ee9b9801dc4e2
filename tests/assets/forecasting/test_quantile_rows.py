"""Quantiles on the scale of the series against plain NumPy."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting import quantile_rows
from pulse_assets.forecasting.kinds import BOUNDED, EXPONENTIAL, SAME, from_scale
from pulse_assets.forecasting.quantile_rows import MASS, SMALL, fill_quantiles
from pulse_assets.numerics.quantiles import LEVELS, MEDIAN

SCALES = (SAME, EXPONENTIAL, BOUNDED)
each_scale = pytest.mark.parametrize("scale", SCALES)


@dataclass
class Scene:
    """P origins, N forecasts of them by R models."""

    center: np.ndarray
    sigma: np.ndarray
    lowest: np.ndarray
    shapes: np.ndarray
    shape_of: np.ndarray
    scale_of: np.ndarray
    said: np.ndarray

    def fill(self, target: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return means and quantiles, in rows of three steps from each target."""
        count, horizon = len(self.said), self.center.shape[1]
        mean, quantiles = np.full(count * horizon, np.nan), np.full((len(LEVELS), count * horizon), np.nan)
        first = np.arange(count) * horizon if target is None else target
        arrays = (self.center, self.sigma, self.lowest, self.shapes, self.shape_of, self.scale_of, self.said)
        fill_quantiles(*arrays, first, mean, quantiles)
        return mean, quantiles


def scene(seed: int = 0, scale: int | None = None, width: float = 0.3) -> Scene:
    rng = np.random.default_rng(seed)
    origins, horizon, models, count = 4, 3, 2, 7
    scales = rng.integers(0, 3, count) if scale is None else np.full(count, scale)
    return Scene(
        rng.normal(0, 1, (origins, horizon)),
        rng.gamma(2, width, (origins, horizon)),
        rng.normal(0, 1, origins),
        np.sort(rng.normal(size=(models, horizon, len(LEVELS))), axis=2),
        rng.integers(0, models, count),
        scales,
        rng.integers(0, origins, count),
    )


def plain(some: Scene, n: int, h: int) -> tuple[float, np.ndarray]:
    p = some.said[n]
    with np.errstate(over="ignore"):
        values = from_scale(some.center[p, h] + some.sigma[p, h] * some.shapes[some.shape_of[n], h], some.scale_of[n])
    if some.scale_of[n] == SAME and some.lowest[p] >= 0:
        values = np.maximum(values, 0)
    return float(MASS @ values), values


def test_mass_is_the_probability_nearest_to_each_level() -> None:
    assert MASS.sum() == pytest.approx(1, abs=1e-15)
    for k, level in enumerate(LEVELS):
        grid = np.linspace(0, 1, 100_001)
        nearest = np.abs(grid[:, None] - LEVELS).argmin(axis=1) == k
        assert MASS[k] == pytest.approx(nearest.mean(), abs=1e-3), level


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.01, 0.3, 5.0, 40.0]))
@settings(max_examples=60)
def test_quantiles_and_mean_are_those_of_a_plain_loop(seed: int, width: float) -> None:
    some = scene(seed, width=width)
    mean, quantiles = some.fill()
    for n in range(len(some.said)):
        for h in range(3):
            expected_mean, expected = plain(some, n, h)
            np.testing.assert_allclose(quantiles[:, 3 * n + h], expected, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(mean[3 * n + h], expected_mean, rtol=1e-12, atol=1e-14)


@each_scale
@pytest.mark.parametrize("width", [0.0, 0.3, 50.0])
def test_quantiles_never_cross(scale: int, width: float) -> None:
    for seed in range(20):
        mean, quantiles = scene(seed, scale, width).fill()
        assert (np.diff(quantiles, axis=0) >= 0).all()
        room = 1e-14 * np.abs(quantiles).max(axis=0)
        assert ((mean >= quantiles[0] - room) & (mean <= quantiles[-1] + room)).all()


def test_rows_go_where_they_are_wanted_and_nowhere_else() -> None:
    some = scene(1)
    mean, quantiles = some.fill()
    order = np.random.default_rng(2).permutation(len(some.said))
    moved_mean, moved = some.fill(order * 3)
    for n, place in enumerate(order):
        np.testing.assert_array_equal(moved[:, 3 * place : 3 * place + 3], quantiles[:, 3 * n : 3 * n + 3])
        np.testing.assert_array_equal(moved_mean[3 * place : 3 * place + 3], mean[3 * n : 3 * n + 3])


@pytest.mark.parametrize(
    ("lowest", "floor"), [(0.0, True), (1e-300, True), (5.0, True), (-1e-300, False), (-2.0, False)]
)
def test_a_series_that_was_never_negative_has_no_negative_quantile(lowest: float, floor: bool) -> None:
    some = scene(3, SAME, 2.0)
    some.lowest[:] = lowest
    mean, quantiles = some.fill()
    assert (quantiles.min() >= 0) == floor
    assert (mean >= 0).all() or not floor


def test_logarithms_and_logits_have_no_floor_and_stay_inside_their_range() -> None:
    for scale, low, high in ((EXPONENTIAL, 0.0, np.inf), (BOUNDED, -1.0, 1.0)):
        some = scene(4, scale, 3.0)
        some.lowest[:] = 1.0
        _, quantiles = some.fill()
        assert quantiles.min() >= low
        assert quantiles.max() <= high
        assert quantiles.min() < (0.01 if scale == EXPONENTIAL else -0.9)


def test_without_spread_every_quantile_is_the_center() -> None:
    for scale in SCALES:
        some = scene(5, scale)
        some.sigma[:], some.lowest[:] = 0, -1
        mean, quantiles = some.fill()
        expected = from_scale(some.center[some.said].ravel(), scale)
        np.testing.assert_allclose(quantiles, [expected] * len(LEVELS), rtol=1e-15)
        np.testing.assert_allclose(mean, expected, rtol=1e-14)


def test_the_median_of_a_shape_through_zero_is_the_center_whatever_the_spread() -> None:
    some = scene(6, EXPONENTIAL, 2.0)
    some.shapes[:, :, MEDIAN] = 0
    some.shapes.sort(axis=2)
    some.shapes -= some.shapes[:, :, [MEDIAN]]
    _, quantiles = some.fill()
    np.testing.assert_allclose(quantiles[MEDIAN], np.exp(some.center[some.said].ravel()), rtol=1e-14)


def test_the_fast_exponential_is_right_to_14_digits() -> None:
    x = np.concatenate([np.linspace(-SMALL, SMALL, 20_001), [0.0, 1e-300, -1e-16, np.nextafter(SMALL, 0)]])
    fast = x.copy()
    quantile_rows._small_exponentials(fast)
    exact = np.array([math.exp(value) for value in x])
    assert np.abs(fast / exact - 1).max() < 1e-14


@pytest.mark.parametrize("width", [SMALL * 0.999, SMALL * 1.001])
def test_fast_and_exact_exponentials_meet_at_the_border(width: float) -> None:
    some = scene(7, EXPONENTIAL)
    some.sigma[:] = width
    some.shapes[:] = np.linspace(-1, 1, len(LEVELS))
    _, quantiles = some.fill()
    for n in range(len(some.said)):
        np.testing.assert_allclose(quantiles[:, 3 * n], plain(some, n, 0)[1], rtol=1e-13)


def test_widths_beyond_all_reason_give_infinity_or_nothing_but_never_nan() -> None:
    for scale in SCALES:
        some = scene(8, scale)
        some.sigma[:], some.shapes[:] = 1e6, np.linspace(-1, 1, len(LEVELS))
        _, quantiles = some.fill()
        assert not np.isnan(quantiles).any()


def test_a_number_that_is_not_finite_shows_in_mean_or_quantiles() -> None:
    """So that the row can be left out; NaN must not be swallowed by the running maximum."""
    for scale in SCALES:
        for spoil in ("center", "sigma"):
            some = scene(9, scale)
            getattr(some, spoil)[:] = np.nan
            mean, quantiles = some.fill()
            assert not (np.isfinite(mean) & np.isfinite(quantiles[0]) & np.isfinite(quantiles[-1])).any(), (
                scale,
                spoil,
            )
