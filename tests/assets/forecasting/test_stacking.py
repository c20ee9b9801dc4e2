"""Weights of models from outside: convex, admitted by rows that did not fit them, nothing where they are silent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pulse_assets.forecasting.admission import gain_of, newest_rows, scaled_losses, standard_error
from pulse_assets.forecasting.stacking import Stack, convex_weights, fit_stack

Floats = np.ndarray


def backtest_rows(rng: np.random.Generator, series: int = 40, origins: int = 3, horizon: int = 4) -> dict[str, Floats]:
    """A pool that says 0, and what came: noise around 0."""
    count = series * origins
    truth = rng.normal(size=(count, horizon))
    return {
        "center": np.zeros_like(truth),
        "truth": truth,
        "scale": np.ones(count),
        "series": np.arange(count) % series,
        "ago": horizon * (origins - np.arange(count) // series),
    }


def stacked(rows: dict[str, Floats], *models: Floats) -> Stack:
    return fit_stack([f"model {e}" for e in range(len(models))], made=np.stack(models, axis=2), **rows)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_model_that_knows_is_trusted_and_narrows_the_spread(rng: np.random.Generator) -> None:
    rows = backtest_rows(rng)
    knows = rows["truth"] + rng.normal(0, 0.3, rows["truth"].shape)
    stack = stacked(rows, rng.normal(size=knows.shape), knows)
    assert stack.reasons == ("NO_GAIN", "ADMITTED")
    assert stack.weights[0] == 0
    assert stack.weights[1] > 0.6
    assert 0.2 < stack.spread_ratio < 0.5


def test_two_models_that_know_halves_share_the_trust(rng: np.random.Generator) -> None:
    rows = backtest_rows(rng, series=150)
    one, two = (rows["truth"] + rng.normal(0, 0.6, rows["truth"].shape) for _ in range(2))
    stack = stacked(rows, one, two)
    assert stack.reasons == ("ADMITTED", "ADMITTED")
    np.testing.assert_allclose(stack.weights, 0.42, atol=0.08)


def test_useless_models_are_hardly_ever_admitted() -> None:
    admitted = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = backtest_rows(rng)
        stack = stacked(rows, 0.5 * rng.normal(size=rows["truth"].shape), 3 * rng.normal(size=rows["truth"].shape))
        admitted += stack.weights.any()
        assert stack.spread_ratio == 1 or stack.weights.any()
    assert admitted <= 2


def test_a_model_that_was_right_only_long_ago_is_not_admitted(rng: np.random.Generator) -> None:
    rows = backtest_rows(rng)
    stale = np.where((rows["ago"] > 4)[:, None], rows["truth"], -rows["truth"])
    assert stacked(rows, stale).reasons == ("NO_GAIN",)


def test_a_few_rows_give_no_verdict(rng: np.random.Generator) -> None:
    for series, origins in ((7, 3), (40, 1), (0, 3)):
        rows = backtest_rows(rng, series, origins)
        stack = stacked(rows, rows["truth"])
        assert stack.reasons == ("TOO_FEW_ROWS",)
        assert stack.weights.tolist() == [0]


def test_one_series_is_judged_where_it_has_origins_enough(rng: np.random.Generator) -> None:
    rows = backtest_rows(rng, 1, 40)
    assert stacked(rows, rows["truth"]).reasons == ("ADMITTED",)


def test_silence_leaves_the_pool_s_answer_untouched(rng: np.random.Generator) -> None:
    center, sigma = rng.normal(size=(3, 2)), rng.uniform(1, 2, (3, 2))
    made = np.stack([center + 1, center - 1], axis=2)
    made[0], made[1, 1, 0] = np.nan, np.nan
    stack = Stack(("a", "b"), np.array([0.5, 0.25]), 0.4, ("ADMITTED", "ADMITTED"))
    answer = stack.apply(center, sigma, made)
    assert answer.center[0].tobytes() == center[0].tobytes()
    assert answer.sigma[0].tobytes() == sigma[0].tobytes()
    np.testing.assert_allclose(answer.center[1:], center[1:] + np.array([[-0.25], [0.25]]))
    np.testing.assert_allclose(answer.sigma[1:], sigma[1:] * [[0.8], [0.4]])
    assert answer.shares.tolist() == [[0, 0], [0, 0.25], [0.5, 0.25]]


@given(seed=st.integers(0, 10_000), count=st.integers(1, 5), rows=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_weights_are_convex_and_as_good_as_any(seed: int, count: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, count)) * rng.choice([1e-3, 1, 1e3])
    y = x @ rng.uniform(-0.3, 0.8, count) + rng.normal(size=rows) * np.abs(x).max(initial=0)
    weights = convex_weights(x, y)
    assert (weights >= 0).all()
    assert weights.sum() <= 1 + 1e-9
    assert weights.tobytes() == convex_weights(x, y).tobytes()

    def loss(tried: Floats) -> float:
        return float(np.abs(y - x @ tried).sum())

    for _ in range(20):
        assert loss(weights) <= loss(rng.dirichlet(np.ones(count + 1))[:count]) * 1.01 + 1e-12


def test_weights_agree_with_a_general_optimiser(rng: np.random.Generator) -> None:
    x = rng.normal(size=(300, 3))
    y = x @ [0.3, -0.2, 0.4] + rng.laplace(0, 0.5, 300)
    limits = [{"type": "ineq", "fun": lambda w: 1 - w.sum()}]
    squares = minimize(lambda w: ((y - x @ w) ** 2).sum(), np.full(3, 0.2), bounds=[(0, 1)] * 3, constraints=limits)
    ours, theirs = (np.abs(y - x @ w).sum() for w in (convex_weights(x, y), squares.x))
    assert ours <= theirs
    np.testing.assert_allclose(convex_weights(x, y), squares.x, atol=0.08)


def test_models_of_absurd_size_do_no_harm(rng: np.random.Generator) -> None:
    rows = backtest_rows(rng)
    stack = stacked(rows, np.full(rows["truth"].shape, 1e300), rows["truth"])
    assert stack.reasons == ("NO_GAIN", "ADMITTED")
    assert np.isfinite(stack.weights).all()


def test_a_series_that_never_moved_does_not_count(rng: np.random.Generator) -> None:
    rows = backtest_rows(rng)
    made = rows["truth"].copy()
    rows["scale"][rows["series"] == 0] = 0
    made[rows["series"] == 0] = 1e9
    assert stacked(rows, made).reasons == ("ADMITTED",)


def test_standard_error_of_clusters_is_that_of_their_means_when_they_are_alike(rng: np.random.Generator) -> None:
    means = rng.normal(size=12)
    repeated = np.repeat(means, 5)
    expected = means.std(ddof=1) / np.sqrt(12)
    assert standard_error(repeated, np.repeat(np.arange(12), 5)) == pytest.approx(expected)
    assert standard_error(means, np.arange(12)) == pytest.approx(expected)
    assert np.isnan(standard_error(means, np.zeros(12)))


def test_a_gain_at_one_origin_of_many_is_chance() -> None:
    series, ago = np.tile(np.arange(50), 8), np.repeat(np.arange(8), 50)
    saved = np.where(ago == 3, 0.5, 0.0)
    assert gain_of(np.ones(400), 1 - saved, series, ago) == 0
    assert gain_of(np.ones(400), np.full(400, 0.9), series, ago) == pytest.approx(0.1)


def test_newest_origins_judge() -> None:
    assert newest_rows(np.array([], np.int64)).tolist() == []
    assert newest_rows(np.repeat(np.arange(20, 0, -1), 2)).sum() == 14


def test_losses_are_bounded() -> None:
    assert scaled_losses(np.array([[1.0, -3.0], [1e9, 0.0]]), np.array([2.0, 1.0])).tolist() == [4, 10]
