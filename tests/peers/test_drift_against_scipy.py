"""Our panel comparison against scipy, column by column: the same distances, the same p-values, the same verdicts."""

import numpy as np
import pytest
from scipy.special import smirnov
from scipy.stats import false_discovery_control, ks_2samp, kstwo, wasserstein_distance

from pulse_assets.trust.detection.distributions import compare_panel
from pulse_assets.trust.detection.distributions_significance import distance_p_values, one_sided

SIZES = [(4, 4), (30, 7), (365, 90), (365, 60), (700, 500), (3000, 3000)]


def panel(n: int, m: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return twelve columns, of which every other is shifted, some by much."""
    rng = np.random.default_rng(n + m)
    before, after = rng.standard_t(3, (12, n)), rng.standard_t(3, (12, m))
    after[::2] += np.array([0.05, 0.1, 0.2, 0.4, 0.8, 3.0])[:, None]
    return (before, after) if kind == "plain" else (np.round(before), np.round(after))


@pytest.mark.parametrize("kind", ["plain", "tied"])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_distances_and_p_values_are_theirs(n: int, m: int, kind: str) -> None:
    before, after = panel(n, m, kind)
    found = compare_panel(before, after)
    theirs = [ks_2samp(x, y, method="asymp") for x, y in zip(before, after, strict=True)]
    assert found.statistic.tolist() == [one.statistic for one in theirs], "to the last bit"
    p = np.array([one.pvalue for one in theirs])
    np.testing.assert_allclose(found.p_value, p, rtol=1e-11, atol=1e-300)
    assert ((found.p_value < 0.05) == (p < 0.05)).all()
    np.testing.assert_allclose(found.q_value, false_discovery_control(p), rtol=1e-11, atol=1e-300)
    distances = [wasserstein_distance(x, y) for x, y in zip(before, after, strict=True)]
    np.testing.assert_allclose(found.wasserstein, distances, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 72, 140, 141, 455, 5000])
def test_the_tail_is_scipys_one_sided_probability(n: int) -> None:
    distance = np.sqrt(np.random.default_rng(n).uniform(0.01, 100, 40) / n)
    distance = distance[distance < 1]
    ours = [one_sided(value, n) for value in distance]
    np.testing.assert_allclose(ours, smirnov(n, distance), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("n", [2, 50, 139, 140, 141, 142, 1000])
def test_the_tail_and_what_scipy_is_asked_for_meet_without_a_step(n: int) -> None:
    distance = np.unique(np.clip(np.sqrt(np.linspace(0.05, 8, 60) / n), 0, 1))
    p = distance_p_values(distance, np.full(len(distance), 2.0 * n), np.full(len(distance), 2.0 * n))
    np.testing.assert_allclose(p, np.clip(kstwo.sf(distance, n), 0, 1), rtol=1e-10, atol=1e-300)


def test_a_nan_is_left_out_where_theirs_would_say_that_nothing_changed() -> None:
    before, after = np.append(np.arange(40.0), np.nan), np.arange(40.0) + 30
    assert not ks_2samp(before, after).pvalue < 0.05, "NaN, as theirs says: no drift"
    assert compare_panel(before[None], after[None]).p_value[0] < 1e-6
