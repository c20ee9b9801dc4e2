"""Comparison tests: known answers, identities, slow references, and how often they cry wolf."""

from math import isnan

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from pulse_assets.numerics.comparison import benjamini_hochberg, diebold_mariano

LOSSES = arrays.arrays(float, 12, elements=st.floats(0, 1e3).map(lambda x: round(x, 3)))
P_VALUES = st.lists(st.floats(0, 1) | st.just(np.nan), max_size=20).map(lambda p: np.array(p, float))


def slow_diebold_mariano(a: list[float], b: list[float], h: int) -> tuple[float, float]:
    n = len(a)
    d = [x - y for x, y in zip(a, b, strict=True)]
    mean = sum(d) / n
    variance = 0.0
    for lag in range(-(h - 1), h):
        pairs = [(d[t] - mean) * (d[t - abs(lag)] - mean) for t in range(abs(lag), n)]
        variance += (1 - abs(lag) / h) * sum(pairs) / n
    correction = ((n + 1 - 2 * h + h * (h - 1) / n) / n) ** 0.5
    statistic = correction * mean / (variance / n) ** 0.5
    return statistic, 2 * stats.t.sf(abs(statistic), n - 1)


def slow_benjamini_hochberg(p: list[float]) -> list[float]:
    """Adjust as the definition says: the lowest false discovery rate at which each one would still be rejected."""
    ranked = sorted(x for x in p if not isnan(x))
    rates = [(x, min(1.0, x * len(ranked) / rank)) for rank, x in enumerate(ranked, start=1)]
    return [np.nan if isnan(x) else min(rate for y, rate in rates if y >= x) for x in p]


@pytest.mark.parametrize("h", [1, 2, 5, 11])
def test_diebold_mariano_is_the_textbook_one(h: int) -> None:
    a, b = np.random.default_rng(h).gamma(2, size=(2, 40))
    np.testing.assert_allclose(diebold_mariano(a, b, h), slow_diebold_mariano(a.tolist(), b.tolist(), h), rtol=1e-10)


@given(LOSSES, LOSSES)
def test_one_step_ahead_it_is_the_paired_t_test(a: np.ndarray, b: np.ndarray) -> None:
    assume((a - b).std() > 1e-3)
    expected = stats.ttest_rel(a, b)
    np.testing.assert_allclose(diebold_mariano(a, b, 1), (expected.statistic, expected.pvalue), rtol=1e-7, atol=1e-12)


@given(LOSSES, LOSSES, st.integers(1, 11))
def test_changing_sides_changes_the_sign_and_the_unit_changes_nothing(a: np.ndarray, b: np.ndarray, h: int) -> None:
    one, other = diebold_mariano(a, b, h), diebold_mariano(b, a, h)
    np.testing.assert_array_equal(other, (-one.statistic, one.p_value))
    np.testing.assert_array_equal(diebold_mariano(4 * a, 4 * b, h), one)
    assert isnan(one.p_value) or 0 <= one.p_value <= 1


def test_the_sign_is_negative_where_the_first_loses_less() -> None:
    a, b = np.random.default_rng(0).gamma(2, size=(2, 50))
    found = diebold_mariano(a, b + 2, 3)
    assert found.statistic < -3
    assert found.p_value < 0.01


@pytest.mark.parametrize("h", [1, 4])
def test_equal_models_differ_significantly_about_as_rarely_as_promised(h: int) -> None:
    """Errors of h-step forecasts overlap, so they are moving sums of h shocks; a test that ignored it rejects 22 %."""
    rng = np.random.default_rng(5)
    kernel = np.ones(h)
    p_values = []
    for _ in range(600):
        a, b = (np.convolve(rng.normal(size=150), kernel, "valid") ** 2 for _ in range(2))
        p_values.append(diebold_mariano(a, b, h).p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.06, abs=0.03)


@pytest.mark.parametrize(
    ("a", "b", "h"),
    [
        ([], [], 1),
        ([1.0], [2.0], 1),
        ([1.0, 2.0, 4.0], [1.0, 3.0, 3.0], 3),  # as many steps as origins
        ([0.3, 0.1, 0.7], [0.3, 0.1, 0.7], 1),  # never differ
        ([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], 2),  # always differ by as much
        ([0.1, 0.1, 0.1], [0.0, 0.0, 0.0], 1),  # though the mean of three tenths rounds to something else
        ([1.0, np.nan, 3.0], [1.0, 2.0, 9.0], 1),
    ],
)
def test_a_difference_that_cannot_be_judged_is_unknown(a: list[float], b: list[float], h: int) -> None:
    assert np.isnan(diebold_mariano(np.array(a), np.array(b), h)).all()


def test_losses_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1-d and equally long; came shapes \(3,\) and \(4,\)"):
        diebold_mariano(np.ones(3), np.ones(4), 1)
    with pytest.raises(ValueError, match=r"came shapes \(2, 2\)"):
        diebold_mariano(np.ones((2, 2)), np.ones((2, 2)), 1)
    with pytest.raises(ValueError, match="at least 1 step; came 0"):
        diebold_mariano(np.ones(3), np.ones(3), 0)


def test_benjamini_and_hochbergs_own_example_rejects_four() -> None:
    """The 15 p-values of their paper, section 3.2: four are significant at 5 %, where Bonferroni finds three."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert (benjamini_hochberg(np.array(p)) <= 0.05).sum() == 4


@given(P_VALUES)
def test_the_adjusted_is_the_lowest_rate_that_still_rejects(p: np.ndarray) -> None:
    np.testing.assert_allclose(benjamini_hochberg(p), slow_benjamini_hochberg(p.tolist()), rtol=1e-12)


@given(P_VALUES)
def test_adjusting_never_lowers_keeps_the_order_and_leaves_nan_out(p: np.ndarray) -> None:
    adjusted = benjamini_hochberg(p)
    tested = ~np.isnan(p)
    assert (np.isnan(adjusted) == ~tested).all()
    assert ((adjusted >= p) & (adjusted <= 1) | ~tested).all()
    assert (np.diff(adjusted[tested][np.argsort(p[tested])]) >= 0).all()
    np.testing.assert_array_equal(adjusted[tested], benjamini_hochberg(p[tested]))
    np.testing.assert_array_equal(adjusted[::-1], benjamini_hochberg(p[::-1]))


def test_adjusting_is_scipys_false_discovery_control() -> None:
    p = np.random.default_rng(6).beta(0.3, 1, 500)
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), rtol=1e-12)


def test_one_test_alone_is_not_adjusted() -> None:
    assert benjamini_hochberg(np.array([np.nan, 0.03])).tolist()[1] == 0.03


@pytest.mark.parametrize("wrong", [-0.01, 1.01])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=rf"p-values lie in \[0, 1\]; came \[{wrong}\]"):
        benjamini_hochberg(np.array([0.5, wrong, np.nan]))
