"""What a window says is what formulas say of its targets, on every day, whatever comes later."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, wasserstein_distance

from pulse_assets.trust.belief.sizes import NEXT, STATED, WINDOW
from pulse_assets.trust.belief.targets import MEASURES, Targets
from pulse_assets.trust.belief.windows import Reach, Said, pit_distance, say

Floats = npt.NDArray[np.float64]


def targets(rows: int, seed: int = 0) -> Targets:
    """One cell, one truth on most days."""
    rng = np.random.default_rng(seed)
    values = rng.lognormal(size=(rows, len(MEASURES)))
    values[:, 3:6] = rng.random((rows, 3)) < (0.5, 0.8, 0.95)
    values[:, 6] = rng.random(rows)
    values[::3, 7] = np.nan
    return Targets(np.zeros(rows, np.int64), np.sort(rng.integers(0, rows, rows)), values)


def reach(
    days: list[int], span: int = 10_000, overlap: int = 1, recent: int = 10_000, *, seasonal: bool = True
) -> Reach:
    asked = np.array(days, np.int64)
    return Reach(asked, span, 10_000, asked[None, :] - recent, np.array([overlap]), np.array([seasonal]))


def said_of(cell: Targets, looked: Reach) -> Said:
    return say(cell, np.array([0, len(cell.cell)]), looked)


def slow(window: Floats, overlap: int, recent: int, *, seasonal: bool) -> dict[str, float]:
    """Return what is said of one window, from formulas."""
    wis, naive, season = window[:, 0], window[:, 1], window[:, 2]
    reference = season if seasonal and season.sum() < naive.sum() else naive
    count, ratio = len(wis), wis.sum() / reference.sum()
    pull = (wis - ratio * reference) / reference.mean()
    variance = sum((1 - abs(lag) / overlap) * np.sum(pull[abs(lag) :] * pull[: count - abs(lag)]) / count
                   for lag in range(1 - overlap, overlap))  # fmt: skip
    correction = (count + 1 - 2 * overlap + overlap * (overlap - 1) / count) / count
    moves = window[~np.isnan(window[:, 7]), 7]
    miss = window[:, 4] < 0.5
    return {
        "targets": count,
        "recent_targets": recent,
        "wis": wis.mean(),
        "wis_naive": reference.mean(),
        "skill": 1 - ratio,
        "skill_se": np.sqrt(max(variance, 0) / correction / count),
        "recent_skill": 1 - wis[-recent:].sum() / reference[-recent:].sum(),
        "coverage_80": window[:, 4].mean(),
        "pit_distance": wasserstein_distance(window[:, 6], (np.arange(100_000) + 0.5) / 100_000),
        "stability": moves.mean() / window[:, 8].mean(),
        "after_miss": miss[:-1].sum(),
        "misses_after_miss": (miss[:-1] & miss[1:]).sum(),
        "misses_after_hit": (~miss[:-1] & miss[1:]).sum(),
    }


@given(st.integers(30, 200), st.sampled_from([1, 5, 20]), st.booleans(), st.integers(0, 99))
@settings(max_examples=40)
def test_windows_equal_formulas(rows: int, overlap: int, seasonal: bool, seed: int) -> None:
    cell = targets(rows, seed)
    said = said_of(cell, reach([rows], overlap=overlap, seasonal=seasonal))
    expected = slow(cell.values[-WINDOW:], overlap, min(NEXT, rows), seasonal=seasonal)
    for name, value in expected.items():
        tolerance = 1e-4 if name == "pit_distance" else 1e-9
        assert getattr(said, name).item() == pytest.approx(value, rel=tolerance, abs=tolerance), name


@given(st.integers(2, 120), st.integers(0, 99), st.integers(5, 60))
@settings(max_examples=40)
def test_no_day_depends_on_later_truths_or_on_other_days(rows: int, seed: int, span: int) -> None:
    cell = targets(rows, seed)
    days = list(range(0, rows, 7))
    together = said_of(cell, reach(days, span=span))
    for place, day in enumerate(days):
        known = cell.day <= day
        part = Targets(cell.cell[known], cell.day[known], cell.values[known])
        alone = said_of(part, reach([day], span=span))
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one[:, place], other[:, 0])


def test_truths_beyond_the_span_do_not_count_and_after_silence_nothing_does() -> None:
    cell = Targets(np.zeros(3, np.int64), np.array([1, 5, 9]), targets(3).values)
    assert said_of(cell, reach([10], span=5)).targets.item() == 1
    silent = Reach(np.array([10, 12]), 100, 3, np.array([[0, 0]]), np.array([1]), np.array([True]))
    said = said_of(cell, silent)
    assert said.targets.tolist() == [[3, 0]]
    assert np.isnan(said.skill[0, 1])


def test_only_truths_since_count_as_recent() -> None:
    cell = Targets(np.zeros(50, np.int64), np.arange(50), targets(50).values)
    said = said_of(cell, reach([49, 60, 200], recent=20))
    assert said.recent_targets.tolist() == [[20, 9, 0]]
    assert np.isnan(said.recent_skill[0, 2])


def test_few_targets_have_means_but_neither_errors_nor_counts() -> None:
    said = said_of(targets(STATED - 1), reach([100]))
    assert np.isfinite([said.skill.item(), said.coverage_80.item(), said.wis.item()]).all()
    assert np.isnan([said.skill_se.item(), said.after_hit.item()]).all()
    overlapping = said_of(targets(24), reach([100], overlap=24))
    assert np.isnan(overlapping.skill_se).all()


def test_a_seasonal_naive_that_is_not_always_there_is_no_reference() -> None:
    cell = targets(60)
    cell.values[:, 2] = 1e-9
    assert said_of(cell, reach([100])).seasonal.item() == 1
    assert said_of(cell, reach([100], seasonal=False)).seasonal.item() == 0
    cell.values[30, 2] = np.nan
    assert said_of(cell, reach([100])).seasonal.item() == 0


def test_skill_of_losses_4_beside_5_is_a_fifth() -> None:
    cell = targets(30)
    cell.values[:, 0], cell.values[:, 1], cell.values[:, 2] = 4, 5, np.nan
    said = said_of(cell, reach([100]))
    assert said.skill.item() == pytest.approx(0.2)
    assert said.skill_se.item() == pytest.approx(0, abs=1e-12)


def test_a_reference_without_losses_leaves_skill_unknown() -> None:
    cell = targets(30)
    cell.values[:, 1:3] = 0
    said = said_of(cell, reach([100]))
    assert np.isnan([said.skill.item(), said.skill_se.item(), said.recent_skill.item()]).all()
    assert said.wis_naive.item() == 0


@pytest.mark.parametrize(("sigma", "bias", "expected"), [(0.5, 0.0, 0.10242), (2.0, 0.0, 0.10242), (1.0, 0.5, 0.13816)])
def test_pit_distances_of_wrong_normals_are_known(sigma: float, bias: float, expected: float) -> None:
    truth = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert pit_distance(norm.cdf((truth + bias) / sigma)) == pytest.approx(expected, abs=2e-5)


def test_no_pit_has_no_distance() -> None:
    assert np.isnan(pit_distance(np.array([np.nan])))
