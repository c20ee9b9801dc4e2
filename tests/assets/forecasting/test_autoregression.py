"""Autoregressions from running sums against a dense solve that sees the whole series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting import autoregression as fast
from tests.assets.forecasting import plain_walk as plain

ORDER, RING, SEASON = 6, 32, 5
VERSIONS = {fast.VALUES: 0, fast.DIFFERENCES: 1, fast.SEASONAL: SEASON}
each_version = pytest.mark.parametrize("version", VERSIONS)


class Sums:
    """The running sums of one series, as the walk keeps them."""

    def __init__(self, y: np.ndarray, m: int = SEASON) -> None:
        self.m, self.n, self.origin = m, 0, float(y[0])
        self.ring, self.products = np.zeros((3, RING)), np.zeros((3, ORDER + 1))
        self.total, self.head = np.zeros(3), np.zeros((3, ORDER + 1))
        self.observe(y)

    def observe(self, y: np.ndarray) -> None:
        """Take in further values."""
        for x in y:
            arrays = (self.ring, self.products, self.total, self.head)
            fast.observe_products(x - self.origin, self.n, self.m, ORDER, RING - 1, *arrays)
            self.n += 1

    def ahead(
        self, version: int, horizon: int = 8, *, is_log: bool = False, steps: list[int] | None = None
    ) -> np.ndarray:
        """Return the forecasts, of all steps unless some are asked for."""
        wanted = np.arange(horizon) if steps is None else np.array(steps)
        made = np.full((len(wanted), 3), np.nan)
        arrays = (self.ring, self.products, self.total, self.head)
        fast.emit_autoregression(
            self.n,
            version,
            self.m,
            horizon,
            RING - 1,
            *arrays,
            is_log,
            self.origin,
            wanted,
            made,
            1,
            np.full(fast.work_of(ORDER, horizon), np.nan),
        )
        assert np.isnan(made[:, [0, 2]]).all(), "another member was touched"
        return made[:, 1]


def autoregressive(rng: np.random.Generator, n: int, coefficients: list[float]) -> np.ndarray:
    y = rng.normal(size=n + 50)
    for t in range(len(coefficients), len(y)):
        y[t] += sum(c * y[t - i - 1] for i, c in enumerate(coefficients))
    return y[50:]


SHAPES = {
    "noise": lambda rng, n: rng.normal(size=n),
    "first_order": lambda rng, n: 30 + autoregressive(rng, n, [0.8]),
    "cycle": lambda rng, n: autoregressive(rng, n, [1.6, -0.8]),
    "walk": lambda rng, n: -1e4 + rng.normal(size=n).cumsum(),
    "season": lambda rng, n: 20 * np.sin(np.arange(n) * 2 * np.pi / SEASON) + rng.normal(size=n).cumsum(),
    "line": lambda rng, n: 3.0 * np.arange(n) + rng.normal(size=n),
}


@each_version
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [16, 33, 200])
def test_forecasts_are_those_of_a_dense_solve_of_the_order_that_aicc_likes_best(
    version: int, shape: str, n: int
) -> None:
    y = SHAPES[shape](np.random.default_rng(n), n)
    expected = plain.autoregression(y, VERSIONS[version], ORDER, 8)
    assert expected is not None
    np.testing.assert_allclose(Sums(y).ahead(version), expected, rtol=1e-8, atol=1e-8 * np.ptp(y))


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.integers(0, 5))
@settings(max_examples=100)
def test_sums_keep_mean_corrected_autocovariances_to_the_ends(values: list[float], order: int) -> None:
    """What a lagged sum leaves out at either end is taken from the mean's share exactly."""
    y, order = np.array(values), min(order, len(values) - 1)
    sums, out = Sums(y), np.empty(order + 1)
    arrays = (sums.ring, sums.products, sums.total, sums.head)
    fast._covariances(order, len(y), len(y), fast.VALUES, RING - 1, *arrays, out)
    np.testing.assert_allclose(out, plain.autocovariances(y, order), atol=1e-9 * (np.ptp(y) ** 2 + 1))


def test_steps_asked_for_alone_are_those_of_the_whole_path() -> None:
    sums = Sums(autoregressive(np.random.default_rng(1), 60, [0.5, 0.3]))
    for version in VERSIONS:
        whole = sums.ahead(version)
        np.testing.assert_array_equal(sums.ahead(version, steps=[0, 3, 7]), whole[[0, 3, 7]])


@each_version
def test_too_short_or_unmoving_series_leave_the_forecast_alone(version: int) -> None:
    rng = np.random.default_rng(2)
    back = VERSIONS[version]
    assert np.isnan(Sums(rng.normal(size=fast.SHORTEST + back - 1)).ahead(version)).all()
    assert np.isfinite(Sums(rng.normal(size=fast.SHORTEST + back)).ahead(version)).all()
    assert np.isnan(Sums(np.full(40, 3.25)).ahead(version)).all()


def test_without_a_season_there_is_no_seasonal_version() -> None:
    sums = Sums(np.random.default_rng(3).normal(size=40), m=1)
    assert not sums.products[fast.SEASONAL].any()


def test_logarithms_come_back_as_values_and_never_overflow() -> None:
    y = np.random.default_rng(4).normal(size=50)
    np.testing.assert_allclose(Sums(y).ahead(fast.VALUES, is_log=True), np.exp(Sums(y).ahead(fast.VALUES)))
    steep = np.arange(50.0) ** 2
    assert np.isfinite(Sums(steep).ahead(fast.DIFFERENCES, is_log=True)).all()


def test_a_series_of_differences_repeats_a_straight_line() -> None:
    y = 4 + 2.5 * np.arange(40) + 1e-3 * np.random.default_rng(5).normal(size=40)
    np.testing.assert_allclose(Sums(y).ahead(fast.DIFFERENCES), 4 + 2.5 * np.arange(40, 48), atol=0.05)


def test_forecasts_of_values_tend_to_the_mean_and_seasonal_ones_repeat_the_season() -> None:
    rng = np.random.default_rng(6)
    y = 12 + autoregressive(rng, 150, [0.6])
    assert Sums(y).ahead(fast.VALUES, horizon=100)[-1] == pytest.approx(y.mean(), abs=1e-6)
    season = np.tile([1.0, 5.0, -2.0, 0.0, 3.0], 12) + 1e-6 * rng.normal(size=60)
    np.testing.assert_allclose(Sums(season).ahead(fast.SEASONAL), np.tile(season[-5:], 2)[:8], atol=1e-4)
