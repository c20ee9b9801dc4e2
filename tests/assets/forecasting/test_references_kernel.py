"""The compiled pieces against plain NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.references import REFERENCES
from pulse_assets.forecasting.references_kernel import WINDOW, State, advance, new_state, sorted_quantile
from pulse_assets.numerics.quantiles import LEVELS

NAIVE = REFERENCES.index("naive")


def walk(
    y: np.ndarray, counts: list[int], horizon: int = 2, is_log: bool = False
) -> tuple[State, np.ndarray, np.ndarray]:
    """Walk one series; return the state, and means ``(O, M, H)`` and quantiles ``(O, M, H, Q)`` at each count."""
    rows = len(REFERENCES) * horizon
    state, mean = new_state(1, horizon), np.full(rows * len(counts), np.nan)
    quantiles = np.full((len(mean), len(LEVELS)), np.nan)
    advance(
        y,
        np.array([0, len(y)]),
        np.array([counts]),
        np.arange(len(counts))[None, :] * rows,
        np.array([5]),
        np.array([horizon]),
        np.array([is_log]),
        LEVELS,
        state,
        mean,
        quantiles,
    )
    shape = (len(counts), len(REFERENCES), horizon)
    return state, mean.reshape(shape), quantiles.reshape(*shape, len(LEVELS))


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60).map(sorted),
    st.floats(0.001, 0.999),
)
@settings(max_examples=200)
def test_sorted_quantile_is_numpys_weibull(sample: list[float], level: float) -> None:
    values = np.array(sample)
    expected = np.quantile(values, level, method="weibull")
    assert sorted_quantile(values, len(values), level) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_sorted_quantile_looks_at_the_counted_values_only() -> None:
    values = np.array([1.0, 2.0, 3.0, -99.0, 0.0])
    assert sorted_quantile(values, 3, 0.5) == 2.0
    assert sorted_quantile(values, 3, 0.25) == 1.0
    assert sorted_quantile(values, 1, 0.99) == 1.0


@pytest.mark.parametrize("values", [None, 3])
def test_the_windows_hold_the_newest_errors_in_both_orders(values: int | None) -> None:
    """With three distinct values almost all errors are tied."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=700) if values is None else rng.integers(0, values, 700).astype(float)
    state, _, _ = walk(y, [700])
    for step in range(2):
        errors = (y[step + 1 :] - y[: -step - 1])[-WINDOW:]
        assert sorted(state.ring[0, NAIVE, step]) == sorted(errors)
        np.testing.assert_array_equal(state.ranked[0, NAIVE, step], np.sort(errors))
    assert state.arrived[0, NAIVE].tolist() == [699, 698]


def test_one_call_over_many_origins_equals_one_call_for_each() -> None:
    y = np.cumsum(np.random.default_rng(2).normal(size=400))
    counts = [25, 26, 26, 30, 251, 252, 253, 399, 400]
    _, mean, quantiles = walk(y, counts)
    for place, count in enumerate(counts):
        _, alone_mean, alone = walk(y, [count])
        np.testing.assert_array_equal(alone_mean[0], mean[place])
        np.testing.assert_array_equal(alone[0], quantiles[place])


@pytest.mark.parametrize("is_log", [False, True])
def test_a_spike_leaves_the_mean_when_it_leaves_the_window(is_log: bool) -> None:
    """A running sum that only adds and subtracts keeps the rounding of the largest error it ever held."""
    calm = np.random.default_rng(3).normal(size=900)
    spiked = calm.copy()
    spiked[100] = 60.0 if is_log else 1e20
    _, mean, _ = walk(spiked, [900], is_log=is_log)
    _, expected, _ = walk(calm, [900], is_log=is_log)
    np.testing.assert_allclose(mean[0, NAIVE], expected[0, NAIVE], rtol=1e-9)
