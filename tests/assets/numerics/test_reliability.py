"""Reliability of probabilities and ranks of the truth: known answers, identities, and calibrated forecasts."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pulse_assets.numerics.reliability import brier, pit_of_ensemble, rank_histogram

EVENTS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)
FEW = st.integers(0, 5).map(float)
FORECASTS = st.integers(1, 8).flatmap(lambda m: arrays.arrays(float, (6, m), elements=FEW))
TRUTHS = arrays.arrays(float, 6, elements=FEW)


def slow_ranks(members: np.ndarray, y: float) -> list[int]:
    """Return all ranks, from 0, that the truth may have among its members."""
    return list(range(sum(members < y), sum(members <= y) + 1))


@given(EVENTS, st.none() | st.integers(1, 12))
def test_the_parts_of_a_brier_score_add_up(events: list[tuple[float, bool]], bins: int | None) -> None:
    probabilities, happened = np.array([p for p, _ in events]), np.array([seen for _, seen in events])
    found = brier(probabilities, happened, bins)
    assert found.score == pytest.approx(np.mean((probabilities - happened) ** 2))
    parts = found.reliability - found.resolution + found.uncertainty + found.within
    assert parts == pytest.approx(found.score, abs=1e-12)
    assert min(found[:4]) >= 0
    if bins is None:
        assert found.within == pytest.approx(0, abs=1e-15)


def test_brier_knows_its_extremes() -> None:
    happened = np.array([True, False, True, True])
    assert brier(happened.astype(float), happened) == pytest.approx((0, 0, 0.1875, 0.1875, 0))
    assert brier(1.0 - happened, happened) == pytest.approx((1, 1, 0.1875, 0.1875, 0))
    assert brier(np.full(4, 0.75), happened) == pytest.approx((0.1875, 0, 0, 0.1875, 0))


def test_probabilities_that_come_true_are_reliable_in_bins() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(50_000)
    found = brier(probabilities, rng.random(50_000) < probabilities, 10)
    assert found.reliability < 2e-3
    assert found.resolution == pytest.approx(1 / 12, abs=3e-3)
    overconfident = brier(np.round(probabilities), rng.random(50_000) < probabilities, 10)
    assert overconfident.reliability > 0.05


def test_a_probability_of_1_falls_into_the_last_bin() -> None:
    assert brier(np.array([0.95, 1.0]), np.array([True, False]), 10).resolution == 0


def test_events_that_are_not_known_give_nan() -> None:
    assert np.isnan(brier(np.array([0.5, np.nan]), np.array([True, False]))).all()
    assert np.isnan(brier(np.empty(0), np.empty(0, bool))).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: brier(np.ones(3), np.ones(4, bool)), r"equally long; came \(3,\) and \(4,\)"),
        (lambda: brier(np.array([0.5, 1.5]), np.ones(2, bool)), r"lie in \[0, 1\]; came \[1.5\]"),
        (lambda: brier(np.ones(2), np.ones(2, bool), 0), "at least 1 bin, or None for equal forecasts; came 0"),
        (lambda: pit_of_ensemble(np.ones((2, 3)), np.ones(3)), r"\(n, m\) and \(n,\); came \(2, 3\) and \(3,\)"),
        (lambda: rank_histogram(np.ones((2, 3)), np.ones(2), 0), "at least 1 bin, or None for one a rank; came 0"),
    ],
)
def test_what_cannot_be_judged_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@given(FORECASTS, TRUTHS)
def test_pit_is_the_middle_of_the_ranks_the_truth_may_have(members: np.ndarray, y: np.ndarray) -> None:
    ranks = members.shape[1] + 1
    expected = [(np.mean(slow_ranks(row, truth)) + 0.5) / ranks for row, truth in zip(members, y, strict=True)]
    pit = pit_of_ensemble(members, y)
    np.testing.assert_allclose(pit, expected, rtol=1e-12)
    assert ((pit > 0) & (pit < 1)).all()
    np.testing.assert_allclose(pit_of_ensemble(-members, -y), 1 - pit, rtol=1e-12)
    np.testing.assert_array_equal(pit_of_ensemble(members[:, ::-1], y), pit)


@given(FORECASTS, TRUTHS)
def test_a_rank_histogram_counts_a_tie_in_equal_parts(members: np.ndarray, y: np.ndarray) -> None:
    expected = np.zeros(members.shape[1] + 1)
    for row, truth in zip(members, y, strict=True):
        ranks = slow_ranks(row, truth)
        expected[ranks] += 1 / len(ranks)
    np.testing.assert_allclose(rank_histogram(members, y), expected, atol=1e-12)


@given(FORECASTS, TRUTHS, st.integers(1, 7))
def test_bins_share_the_ranks_out_and_lose_none(members: np.ndarray, y: np.ndarray, bins: int) -> None:
    ranks, found = rank_histogram(members, y), rank_histogram(members, y, bins)
    assert found.shape == (bins,)
    assert found.sum() == pytest.approx(6)
    finer = np.repeat(ranks / bins, bins).reshape(bins, len(ranks)).sum(axis=1)
    np.testing.assert_allclose(found, finer, atol=1e-12)


@pytest.mark.parametrize("members", [9, 1000])
def test_calibrated_forecasts_have_flat_histograms_and_even_pits(members: int) -> None:
    rng = np.random.default_rng(members)
    forecasts, y = rng.normal(size=(4_000, members)).astype(np.float32), rng.normal(size=4_000)
    histogram = rank_histogram(forecasts, y, 10)
    assert ((histogram - 400) ** 2 / 400).sum() < 27.9  # chi-squared with 9 degrees of freedom at 0.1 %
    assert pit_of_ensemble(forecasts, y).mean() == pytest.approx(0.5, abs=0.02)
    narrow = rank_histogram(forecasts / 2, y, 10)
    assert min(narrow[0], narrow[-1]) > 2 * narrow[4]


def test_nan_gives_no_pit_and_no_rank_and_infinite_members_are_members() -> None:
    members, y = np.tile(np.arange(3.0), (4, 1)), np.array([0.5, np.nan, 0.5, 0.5])
    members[2, 1], members[3] = np.nan, [-np.inf, np.inf, np.inf]
    assert pit_of_ensemble(members, y)[[0, 3]].tolist() == [0.375, 0.375]
    assert np.isnan(pit_of_ensemble(members, y)).tolist() == [False, True, True, False]
    assert rank_histogram(members, y).tolist() == [0, 2, 0, 0]
    assert rank_histogram(members[:0], y[:0]).tolist() == [0, 0, 0, 0]
