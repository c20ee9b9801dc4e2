"""The gate: who may speak, how much each weighs, and what their mean is, against plain NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.gate import (
    FAR_OUT,
    INPUTS,
    LEAST_CLOSENESS,
    POWER,
    blend,
    look,
    plain_gate,
    weigh,
)
from pulse_assets.forecasting.prior import COLUMNS
from pulse_assets.forecasting.walk_state import NAIVE, REFERENCE, REPEAT

WIDTH = len(COLUMNS)
TRENDS = [COLUMNS.index(name) for name in ("level_drift", "trend", "log_level_drift", "log_trend")]
Seen = tuple[np.ndarray, np.ndarray, np.ndarray]


def scene(rng: np.random.Generator, origins: int = 5, horizon: int = 4) -> Seen:
    """Forecasts, losses and statistics as a walk fills them, all members fine."""
    made = rng.normal(10, 1, (origins, horizon, WIDTH))
    loss = rng.gamma(3, 1, (origins, WIDTH))
    loss[:, REFERENCE] = np.nan
    statistics = np.column_stack(
        [rng.gamma(2, 1, (origins, 4)), rng.integers(8, 900, origins), *np.full((2, origins), 0.0)]
    )
    statistics[:, 5:] = 0.0, 20.0
    return made, loss, statistics


def looked(made: np.ndarray, loss: np.ndarray, statistics: np.ndarray) -> Seen:
    usable, closeness = np.zeros(loss.shape, bool), np.empty(loss.shape)
    features = np.empty((len(loss), INPUTS))
    look(made, loss, statistics, usable, closeness, features)
    return usable, closeness, features


def softmax(score: np.ndarray, usable: np.ndarray) -> np.ndarray:
    weights = np.where(usable, np.exp(score - score[usable].max()), 0.0)
    return np.asarray(weights / weights.sum())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_whoever_has_forecasts_and_a_loss_is_usable_but_the_reference(rng: np.random.Generator) -> None:
    usable, _, _ = looked(*scene(rng))
    assert not usable[:, REFERENCE].any()
    assert np.delete(usable, REFERENCE, axis=1).all()


REACH = FAR_OUT * 20
SPOILT = {
    "nan": (np.nan, False),
    "infinite": (np.inf, False),
    "at_the_upper_end": (20 + REACH, True),
    "beyond_the_upper_end": (20 + REACH * 1.001, False),
    "at_the_lower_end": (-REACH, True),
    "beyond_the_lower_end": (-REACH * 1.001, False),
}


@pytest.mark.parametrize("what", SPOILT)
def test_one_step_out_of_reason_silences_a_member_but_never_the_naive_one(rng: np.random.Generator, what: str) -> None:
    value, fine = SPOILT[what]
    made, loss, statistics = scene(rng)
    made[1, 2, [3, NAIVE]] = value
    usable, _, _ = looked(made, loss, statistics)
    assert usable[1, 3] == fine
    assert usable[1, NAIVE]
    assert np.delete(usable, 1, axis=0)[:, 3].all()


def test_without_a_loss_only_the_naive_member_is_left(rng: np.random.Generator) -> None:
    made, loss, statistics = scene(rng)
    usable, closeness, features = looked(made, np.full_like(loss, np.nan), statistics)
    assert (np.flatnonzero(usable.any(axis=0)) == [NAIVE]).all()
    assert not closeness.any()
    assert not features[:, 2:].any()


def test_closeness_is_minus_the_logarithm_of_loss_over_the_least_and_stops_at_three(rng: np.random.Generator) -> None:
    made, loss, statistics = scene(rng)
    loss[0, 5] = 1e9
    usable, closeness, _ = looked(made, loss, statistics)
    least = np.nanmin(loss, axis=1, keepdims=True)
    expected = np.maximum(np.log(least / loss), LEAST_CLOSENESS)
    np.testing.assert_allclose(closeness[usable], expected[usable], rtol=1e-12, atol=1e-15)
    assert closeness[0, 5] == LEAST_CLOSENESS


def test_a_member_that_never_erred_leaves_the_others_at_the_least_closeness(rng: np.random.Generator) -> None:
    made, loss, statistics = scene(rng)
    loss[:, 7] = 0.0
    usable, closeness, _ = looked(made, loss, statistics)
    assert (closeness[:, 7] == 0).all()
    others = np.delete(usable, 7, axis=1)
    assert (np.delete(closeness, 7, axis=1)[others] == LEAST_CLOSENESS).all()


def test_features_are_length_and_what_season_and_trend_gain_over_naive(rng: np.random.Generator) -> None:
    made, loss, statistics = scene(rng)
    _, _, features = looked(made, loss, statistics)
    np.testing.assert_array_equal(features[:, 0], 1)
    np.testing.assert_allclose(features[:, 1], np.clip(np.log(statistics[:, 4] / 50), -2.5, 3) / 2)
    season = np.log(loss[:, NAIVE] / loss[:, REPEAT])
    trend = np.log(loss[:, NAIVE] / loss[:, TRENDS].min(axis=1))
    np.testing.assert_allclose(features[:, 2], np.clip(season, -np.log(20), np.log(20)))
    np.testing.assert_allclose(features[:, 3], np.clip(trend, -np.log(20), np.log(20)))


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**40])
def test_the_unit_of_the_series_changes_nothing_that_is_seen(rng: np.random.Generator, unit: float) -> None:
    made, loss, statistics = scene(rng)
    other = statistics * np.where(np.arange(7) == 4, 1, unit)
    for ours, theirs in zip(looked(made, loss, statistics), looked(made * unit, loss * unit, other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(st.integers(0, 10**6))
@settings(max_examples=50)
def test_weights_are_a_softmax_of_scores_over_usable_members(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gate, usable = rng.normal(0, 3, (2, WIDTH, INPUTS + 1)), rng.random(WIDTH) < 0.5
    usable[NAIVE] = True
    closeness, features = -rng.gamma(1, 1, WIDTH), rng.normal(size=INPUTS)
    weights = np.full((2, WIDTH), np.nan)
    weigh(gate, usable, closeness, features, weights)
    for end in range(2):
        score = gate[end, :, :INPUTS] @ features + gate[end, :, INPUTS] * closeness
        np.testing.assert_allclose(weights[end], softmax(score, usable), rtol=1e-10)
        assert weights[end].sum() == pytest.approx(1, abs=1e-12)


def test_a_gate_that_has_learned_nothing_weighs_by_inverse_power_of_loss(rng: np.random.Generator) -> None:
    made, loss, statistics = scene(rng)
    loss = np.clip(loss, 1.0, 5.0)
    usable, closeness, features = looked(made, loss, statistics)
    weights = np.empty((2, WIDTH))
    weigh(plain_gate(WIDTH), usable[0], closeness[0], features[0], weights)
    power = np.where(usable[0], loss[0] ** -POWER, 0)
    np.testing.assert_allclose(weights, [power / power.sum()] * 2, rtol=1e-10)


@pytest.mark.parametrize("horizon", [1, 2, 9])
def test_the_blend_is_the_mean_and_deviation_of_members_between_near_and_far_weights(
    rng: np.random.Generator, horizon: int
) -> None:
    made, loss, statistics = scene(rng, 6, horizon)
    made[2, :, 4], loss[3, 6] = np.nan, np.nan
    usable, closeness, features = looked(made, loss, statistics)
    gate, weights = rng.normal(size=(2, WIDTH, INPUTS + 1)), np.zeros((6, 2, WIDTH))
    center, apart = np.empty((6, horizon)), np.empty((6, horizon))
    blend(gate, made, usable, closeness, features, weights, center, apart)
    for p in range(6):
        for h in range(horizon):
            far = h / (horizon - 1) if horizon > 1 else 0.0
            here = (1 - far) * weights[p, 0] + far * weights[p, 1]
            assert here.sum() == pytest.approx(1)
            assert not here[~usable[p]].any()
            values = np.nan_to_num(made[p, h])
            assert center[p, h] == pytest.approx(here @ values, rel=1e-12)
            assert apart[p, h] == pytest.approx(np.sqrt(here @ (values - center[p, h]) ** 2), rel=1e-9)
            assert values[usable[p]].min() <= center[p, h] <= values[usable[p]].max()


def test_members_that_agree_are_not_apart(rng: np.random.Generator) -> None:
    made, loss, statistics = scene(rng, 2, 3)
    made[:] = 7.0
    weights, center, apart = np.zeros((2, 2, WIDTH)), np.empty((2, 3)), np.empty((2, 3))
    blend(plain_gate(WIDTH), made, *looked(made, loss, statistics), weights, center, apart)
    np.testing.assert_allclose(center, 7, rtol=1e-14)
    np.testing.assert_allclose(apart, 0, atol=1e-12)
