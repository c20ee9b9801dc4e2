"""Accuracy of points and intervals, and Naive 2: known answers, identities, and slow references."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pulse_assets.numerics.accuracy import mase, mase_scale, msis, naive2, owa, smape
from pulse_assets.numerics.scores import pinball

NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 6))
ROWS = arrays.arrays(float, (4, 6), elements=NUMBERS)
SCALES = arrays.arrays(float, 4, elements=st.floats(0.01, 1e4))
HISTORIES = st.lists(st.lists(st.integers(1, 40).map(float), max_size=30), max_size=5)
SEASONS = st.integers(1, 8)
QUARTERS = np.array([10.0, 20.0, 30.0, 40.0])


def packed(histories: Sequence[Sequence[float] | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return histories of any length as one array and its offsets."""
    sizes = [len(history) for history in histories]
    return np.concatenate([np.empty(0), *map(np.asarray, histories)]), np.cumsum([0, *sizes])


def row(*values: float) -> np.ndarray:
    return np.array([values], float)


def wandering(rng: np.random.Generator, season: int, length: int) -> np.ndarray:
    """Return a positive history with a trend, noise and, half of the time, a season."""
    cycle = np.resize(rng.lognormal(0, 0.4 * rng.integers(0, 2), season), length)
    return np.asarray(cycle * np.linspace(50, rng.uniform(30, 120), length) * rng.lognormal(0, 0.1, length))


def slow_scale(history: Sequence[float], season: int) -> float:
    lag = season if len(history) > season else 1
    differences = [abs(history[t] - history[t - lag]) for t in range(lag, len(history))]
    return sum(differences) / len(differences) if any(differences) else np.nan


def slow_seasonal(history: Sequence[float], season: int) -> bool:
    n, mean = len(history), sum(history) / len(history)
    variance = sum((x - mean) ** 2 for x in history)

    def correlation(lag: int) -> float:
        return sum((history[t] - mean) * (history[t - lag] - mean) for t in range(lag, n)) / variance

    if season == 1 or n < 3 * season or min(history) <= 0 or len(set(history)) == 1:
        return False
    spread = 1 + 2 * sum(correlation(lag) ** 2 for lag in range(1, season))
    return abs(correlation(season)) > 1.645 * (spread / n) ** 0.5


def slow_naive2(history: Sequence[float], season: int, horizon: int) -> list[float]:
    """Forecast as the textbook says: find the indices, divide by them, carry the last value on, multiply again."""
    if not history:
        return [np.nan] * horizon
    if not slow_seasonal(history, season):
        return [history[-1]] * horizon
    half, n = season // 2, len(history)
    ratios: list[list[float]] = [[] for _ in range(season)]
    for t in range(half, n - half):
        window = list(history[t - half : t + half + 1])
        if season % 2 == 0:
            window[0], window[-1] = window[0] / 2, window[-1] / 2
        ratios[t % season].append(history[t] / (sum(window) / season))
    means = [sum(found) / len(found) for found in ratios]
    indices = [mean / (sum(means) / season) for mean in means]
    adjusted = history[-1] / indices[(n - 1) % season]
    return [adjusted * indices[(n + step) % season] for step in range(horizon)]


@pytest.mark.parametrize(
    ("y", "yhat", "percent"), [(100, 60, 50), (60, 100, 50), (-3, 3, 200), (0, 5, 200), (0, 0, 0), (7, 7, 0)]
)
def test_smape_knows_its_textbook_answers(y: float, yhat: float, percent: float) -> None:
    assert smape(row(y), row(yhat)).item() == pytest.approx(percent)


@given(ROWS, ROWS)
def test_smape_lies_between_0_and_200_and_does_not_mind_the_order(y: np.ndarray, yhat: np.ndarray) -> None:
    score = smape(y, yhat)
    assert ((score >= 0) & (score <= 200)).all()
    np.testing.assert_array_equal(score, smape(yhat, y))
    np.testing.assert_allclose(score, smape(8 * y, 8 * yhat))


@given(ROWS, ROWS)
def test_smape_is_the_mean_over_steps_of_twice_the_error_by_the_sizes(y: np.ndarray, yhat: np.ndarray) -> None:
    for truths, points, score in zip(y.tolist(), yhat.tolist(), smape(y, yhat), strict=True):
        steps = [200 * abs(a - b) / (abs(a) + abs(b)) if a or b else 0.0 for a, b in zip(truths, points, strict=True)]
        assert score == pytest.approx(sum(steps) / len(steps))


def test_mase_of_the_seasonal_naive_inside_its_own_history_is_1() -> None:
    history = np.random.default_rng(0).normal(size=60).cumsum()
    scale = mase_scale(history, 7)
    assert mase(history[None, 7:], history[None, :-7], scale).item() == pytest.approx(1)


@given(ROWS, ROWS, SCALES)
def test_mase_does_not_mind_the_unit(y: np.ndarray, yhat: np.ndarray, scale: np.ndarray) -> None:
    score = mase(y, yhat, scale)
    assert (score >= 0).all()
    np.testing.assert_allclose(score, np.abs(y - yhat).mean(axis=1) / scale)
    np.testing.assert_array_equal(score, mase(-0.5 * y, -0.5 * yhat, 0.5 * scale))


@pytest.mark.parametrize("scale", [0.0, np.nan, -1.0])
def test_nothing_is_measured_against_a_scale_that_is_not_positive(scale: float) -> None:
    assert np.isnan(mase(row(1), row(2), np.array([scale]))).all()
    assert np.isnan(msis(row(1), row(2), row(3), np.array([scale]))).all()


@given(HISTORIES, SEASONS)
def test_the_scale_is_the_mean_absolute_seasonal_difference(histories: list[list[float]], season: int) -> None:
    values, offsets = packed(histories)
    expected = [slow_scale(history, season) for history in histories]
    np.testing.assert_allclose(mase_scale(values, season, offsets), expected)


@pytest.mark.parametrize(
    ("history", "season", "scale"),
    [
        ([1, 4, 2], 2, 1.0),  # one seasonal difference: |2 - 1|
        ([1, 4], 2, 3.0),  # not longer than its season: differences of one step
        ([1, 4, 2, 8], 4, 11 / 3),
        ([5, 5, 5], 1, np.nan),  # constant
        ([1, 2, 1, 2], 2, np.nan),  # repeats itself exactly
        ([3], 1, np.nan),
        ([], 1, np.nan),
        ([1, np.nan, 3, 7], 3, np.nan),  # though no seasonal difference uses the gap
    ],
)
def test_the_scale_knows_short_constant_and_broken_histories(history: list[float], season: int, scale: float) -> None:
    found = mase_scale(np.array(history, float), season)
    np.testing.assert_allclose(found, [scale])


def test_each_history_has_its_own_season() -> None:
    histories = [np.arange(9.0) ** 2, np.arange(5.0), np.arange(12.0) ** 3]
    seasons = np.array([4, 1, 6])
    together = mase_scale(packed(histories)[0], seasons, packed(histories)[1])
    alone = [mase_scale(history, int(season)).item() for history, season in zip(histories, seasons, strict=True)]
    assert together.tolist() == alone


def test_owa_of_naive2_itself_is_1_and_of_half_its_errors_one_half() -> None:
    assert owa(14.2, 1.9, 14.2, 1.9).item() == 1
    assert owa(np.array([7.0, 14.0]), np.array([1.0, 2.0]), 14.0, 2.0).tolist() == [0.5, 1.0]


def test_owa_of_the_winner_of_the_m4_is_the_published_one() -> None:
    """Smyl's sMAPE 11.374 and MASE 1.536 against 13.564 and 1.912 of Naive 2 gave an OWA of 0.821."""
    assert owa(11.374, 1.536, 13.564, 1.912).item() == pytest.approx(0.821, abs=5e-4)


def test_owa_against_a_benchmark_without_error_is_unknown() -> None:
    assert np.isnan(owa(1.0, 1.0, 0.0, 1.0))
    assert np.isnan(owa(1.0, 1.0, 1.0, np.nan))


@pytest.mark.parametrize(("y", "score"), [(5.0, 10), (0.0, 10), (10.0, 10), (12.0, 30), (-1.0, 20)])
def test_an_interval_pays_its_width_and_a_fine_for_a_miss(y: float, score: float) -> None:
    """[0, 10] at 80 %: every unit outside costs ten."""
    assert msis(row(y), row(0), row(10), np.ones(1), alpha=0.2).item() == pytest.approx(score)
    assert msis(row(y), row(0), row(10), np.array([4.0]), alpha=0.2).item() == pytest.approx(score / 4)


@given(ROWS, ROWS, ROWS, SCALES, st.sampled_from([0.05, 0.2, 0.5]))
def test_msis_is_the_scaled_pinball_loss_of_both_ends(
    y: np.ndarray, one: np.ndarray, other: np.ndarray, scale: np.ndarray, alpha: float
) -> None:
    low, high = np.minimum(one, other), np.maximum(one, other)
    ends = np.stack([low.ravel(), high.ravel()], axis=1)
    losses = pinball(ends, y.ravel(), np.array([alpha / 2, 1 - alpha / 2])).sum(axis=1).reshape(y.shape)
    expected = 2 / alpha * losses.mean(axis=1) / scale
    score = msis(y, low, high, scale, alpha)
    assert (score >= 0).all()
    np.testing.assert_allclose(score, expected, rtol=1e-9, atol=1e-9)


def test_the_interval_of_the_right_width_scores_best() -> None:
    y = np.random.default_rng(2).normal(size=(1, 20_000))
    scores = [msis(y, -width + 0 * y, width + 0 * y, np.ones(1)).item() for width in (1.2, 1.6, 1.96, 2.4, 3.0)]
    assert np.argmin(scores) == 2


def test_nan_anywhere_gives_nan_for_its_series_alone() -> None:
    y, yhat, scale = np.ones((3, 2)), np.full((3, 2), 2.0), np.ones(3)
    y[1, 0], yhat[2, 1] = np.nan, np.nan
    for score in (smape(y, yhat), mase(y, yhat, scale), msis(y, yhat, yhat + 1, scale), msis(y, yhat - 9, yhat, scale)):
        assert np.isnan(score).tolist() == [False, True, True]


def test_no_steps_give_nan_and_no_series_give_nothing() -> None:
    for series, steps in ((2, 0), (0, 3), (0, 0)):
        y, scale = np.empty((series, steps)), np.ones(series)
        for score in (smape(y, y), mase(y, y, scale), msis(y, y, y, scale)):
            assert score.shape == (series,)
            assert np.isnan(score).all()
    assert mase_scale(np.empty(0), 4, np.zeros(1, int)).shape == (0,)
    assert naive2(np.empty(0), np.zeros(1, int), 4, 3).shape == (0, 3)
    assert naive2(QUARTERS, np.array([0, 4]), 4, 0).shape == (1, 0)


def test_results_are_the_same_bits_whatever_stands_beside_a_series() -> None:
    rng = np.random.default_rng(1)
    y, yhat, scale = rng.normal(size=(700, 18)), rng.normal(size=(700, 18)), rng.uniform(1, 2, 700)
    histories = [wandering(rng, 12, length) for length in rng.choice([5, 36, 150, 413], 700)]
    values, offsets = packed(histories)
    together = smape(y, yhat), mase(y, yhat, scale), mase_scale(values, 12, offsets), naive2(values, offsets, 12, 5)
    np.testing.assert_array_equal(smape(np.asfortranarray(y), np.asfortranarray(yhat)), together[0])
    for low, count in ((0, 1), (1, 2), (3, 5), (7, 31), (100, 466)):
        part = slice(low, low + count)
        some = packed(histories[part])
        np.testing.assert_array_equal(smape(y[part], yhat[part]), together[0][part])
        np.testing.assert_array_equal(mase(y[part], yhat[part], scale[part]), together[1][part])
        np.testing.assert_array_equal(mase_scale(some[0], 12, some[1]), together[2][part])
        np.testing.assert_array_equal(naive2(*some, 12, 5), together[3][part])


@pytest.mark.parametrize("season", [0, -1])
def test_a_season_below_one_step_is_refused(season: int) -> None:
    with pytest.raises(ValueError, match=f"a season has at least 1 step.*came {season}"):
        mase_scale(QUARTERS, season)
    with pytest.raises(ValueError, match=f"a season has at least 1 step.*came {season}"):
        naive2(QUARTERS, np.array([0, 4]), np.array([season]), 1)


@given(HISTORIES, SEASONS, st.integers(0, 20))
def test_naive2_forecasts_as_the_textbook_says(histories: list[list[float]], season: int, horizon: int) -> None:
    values, offsets = packed(histories)
    expected = np.reshape([slow_naive2(history, season, horizon) for history in histories], (len(histories), horizon))
    np.testing.assert_allclose(naive2(values, offsets, season, horizon), expected, rtol=1e-9)


@pytest.mark.parametrize("season", [4, 5, 7, 12])
def test_naive2_forecasts_seasonal_histories_as_the_textbook_says(season: int) -> None:
    rng = np.random.default_rng(season)
    histories = [wandering(rng, season, length) for length in rng.integers(1, 9 * season, 300)]
    expected = np.array([slow_naive2(history.tolist(), season, 2 * season + 1) for history in histories])
    adjusted = (expected != expected[:, :1]).any(axis=1)
    assert 0.2 < adjusted.mean() < 0.8
    np.testing.assert_allclose(naive2(*packed(histories), season, 2 * season + 1), expected, rtol=1e-9)


def test_naive2_repeats_a_pure_season_from_wherever_the_history_ends() -> None:
    cycles = np.tile(QUARTERS, 6)
    for cut in range(4):
        history = cycles[: 20 + cut]
        forecast = naive2(history, np.array([0, len(history)]), 4, 9)[0]
        np.testing.assert_allclose(forecast, np.tile(QUARTERS, 4)[cut : cut + 9])


def test_naive2_keeps_the_level_of_a_history_that_has_grown() -> None:
    grown = np.tile(QUARTERS, 5) * np.repeat(1.1 ** np.arange(5), 4)
    forecast = naive2(grown, np.array([0, 20]), 4, 4)[0]
    assert forecast[3] == pytest.approx(grown[-1])
    assert (np.diff(forecast) > 0).all()


@pytest.mark.parametrize(
    ("history", "season"),
    [
        (np.tile(QUARTERS, 6), 1),  # no season to speak of
        (np.tile(QUARTERS, 3)[:-1], 4),  # one value short of three seasons
        (np.tile(QUARTERS - 10, 6), 4),  # not positive
        (np.tile(-QUARTERS, 6), 4),
        (np.full(25, 3.3), 4),  # constant, though its mean rounds to something else
        (np.arange(1.0, 25.0), 4),  # a trend alone: its shorter lags leave too wide a limit
    ],
)
def test_naive2_is_the_last_value_where_there_is_no_season(history: np.ndarray, season: int) -> None:
    assert naive2(history, np.array([0, len(history)]), season, 6).tolist() == [[history[-1]] * 6]


def test_noise_seems_seasonal_about_as_often_as_the_limit_says() -> None:
    """A limit of 90 % calls one in ten seasonal, fewer where the history is short."""
    noise = np.random.default_rng(3).lognormal(3, 0.2, 2_000 * 400)
    for length, share in ((400, 0.1), (40, 0.06)):
        forecasts = naive2(noise, np.arange(0, len(noise) + 1, length), 4, 2)
        assert (forecasts[:, 0] != forecasts[:, 1]).mean() == pytest.approx(share, abs=0.015)


@given(st.integers(-30, 30), st.integers(0, 2**32))
def test_naive2_follows_the_unit(power: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, offsets = packed([wandering(rng, 4, 30) for _ in range(3)])
    unit = 2.0**power  # a power of two, so that nothing rounds differently
    np.testing.assert_array_equal(naive2(unit * values, offsets, 4, 6), unit * naive2(values, offsets, 4, 6))


def test_each_history_has_its_own_season_in_naive2() -> None:
    rng = np.random.default_rng(4)
    seasons = rng.choice([1, 4, 5, 12], 60)
    histories = [wandering(rng, int(season), int(rng.integers(10, 90))) for season in seasons]
    values, offsets = packed(histories)
    alone = [naive2(*packed([one]), int(season), 7)[0] for one, season in zip(histories, seasons, strict=True)]
    np.testing.assert_array_equal(naive2(values, offsets, seasons, 7), alone)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_history_that_is_empty_or_not_finite_has_no_forecast(wrong: float) -> None:
    sound, broken = np.tile(QUARTERS, 5), np.tile(QUARTERS, 5)
    broken[7] = wrong
    forecasts = naive2(*packed([sound, broken, [], sound]), 4, 2)
    assert np.isnan(forecasts).all(axis=1).tolist() == [False, True, True, False]
    np.testing.assert_allclose(forecasts[[0, 3]], [[10, 20], [10, 20]])
