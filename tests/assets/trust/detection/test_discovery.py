"""Among thousands of series few of those said to have changed did not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from pulse_assets.numerics.comparison import benjamini_hochberg
from pulse_assets.trust.detection.discovery import discoveries, q_values_within

SOME_P = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=30)


@given(SOME_P)
def test_no_evidence_is_no_discovery_and_no_test(values: list[float]) -> None:
    p = np.array(values, float)
    found = discoveries(p)
    assert not found[np.isnan(p)].any()
    np.testing.assert_array_equal(found[~np.isnan(p)], discoveries(p[~np.isnan(p)]))


@given(SOME_P, st.integers(1, 4))
def test_groups_do_not_know_of_each_other(values: list[float], many: int) -> None:
    p, groups = np.array(values, float), np.arange(len(values)) % many
    adjusted = q_values_within(groups, p)
    for group in range(many):
        np.testing.assert_array_equal(adjusted[groups == group], benjamini_hochberg(p[groups == group]))


def test_known_p_values() -> None:
    np.testing.assert_allclose(q_values_within(np.zeros(5, int), np.arange(1, 6) / 100), 0.05)


def test_false_discoveries_among_5000_series_stay_at_a_twentieth() -> None:
    shares, powers = [], []
    for seed in range(20):
        z = np.random.default_rng(seed).standard_normal(5_000)
        z[:250] += 6
        found = discoveries(2 * ndtr(-np.abs(z)))
        shares.append(found[250:].sum() / found.sum())
        powers.append(found[:250].mean())
    assert np.mean(shares) <= 0.05 + 2 * np.std(shares) / np.sqrt(20)
    assert np.mean(powers) >= 0.95


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, float("nan")])
def test_a_rate_must_be_a_share(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        discoveries(np.array([0.5]), rate)
