"""Comparisons of two samples: known answers, a slow obvious reference, properties, and what says nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pulse_assets.trust.detection import distributions
from pulse_assets.trust.detection.distributions import compare_panel, ks_panel
from pulse_assets.trust.detection.distributions_kernels import (
    autocorrelation,
    effective_sizes,
    quantile_counts,
    stability_index,
)
from pulse_assets.trust.detection.distributions_significance import distance_p_values, one_sided, stirling_remainder

NAN, INF = np.nan, np.inf
VALUES = st.one_of(st.integers(-4, 4).map(float), st.floats(-1e6, 1e6, width=32))
SAMPLES = npst.arrays(np.float64, st.integers(1, 25), elements=VALUES)
FIELDS = ("statistic", "p_value", "q_value", "wasserstein", "psi", "reference_effective", "recent_effective")


def plain_distances(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return both distances from the two distribution functions at every value of either sample."""
    points = np.unique(np.concatenate([x, y]))
    apart = [abs((x <= point).mean() - (y <= point).mean()) for point in points]
    return max(apart), sum(high * gap for high, gap in zip(apart, np.diff(points), strict=False))


def plain_index(x: np.ndarray, y: np.ndarray, bins: int) -> tuple[float, int]:
    """Return the stability index and how many bins count, bin by bin."""
    ordered = sorted(x)
    edges = sorted({ordered[-(-len(x) * k // bins) - 1] for k in range(1, bins)})
    total, used = 0.0, 0
    for low, high in zip([-INF, *edges], [*edges, INF], strict=True):
        a, b = (int(((sample > low) & (sample <= high)).sum()) for sample in (x, y))
        if a or b:
            p, q = max(a, 0.5) / len(x), max(b, 0.5) / len(y)
            total, used = total + (q - p) * np.log(q / p), used + 1
    return total, used


def test_known_distances() -> None:
    found = compare_panel([np.array([1.0, 2, 3, 4]), np.array([0.0, 1, 3])], [np.arange(3.0, 7), np.array([5.0, 6, 8])])
    assert found.statistic.tolist() == [0.5, 1.0]
    assert found.wasserstein.tolist() == [2.0, 5.0]


def test_known_stability_indices() -> None:
    assert stability_index(np.array([50, 50]), np.array([40, 60])) == pytest.approx(0.0405465108, abs=1e-10)
    even, tilted = np.full(10, 900), np.array([1800, *[800] * 9])
    assert stability_index(even, tilted) == pytest.approx(0.0810930, abs=1e-7)
    assert stability_index(even, even) == 0.0


def test_an_empty_bin_counts_as_half_an_observation() -> None:
    assert stability_index(np.array([10, 0, 0]), np.array([9, 1, 0])) == pytest.approx(
        -0.1 * np.log(0.9) + 0.05 * np.log(2)
    )


def test_an_index_of_nothing_is_unknown() -> None:
    assert np.isnan(stability_index(np.array([0, 0]), np.array([4, 6])))
    assert np.isnan(stability_index(np.array([4, 6]), np.array([0, 0])))


def test_the_index_has_no_mean_where_nothing_changed() -> None:
    rng = np.random.default_rng(1)
    for n, m in ((365, 90), (1000, 200), (365, 30)):
        psi = compare_panel(rng.normal(size=(4000, n)), rng.normal(size=(4000, m))).psi
        assert abs(psi.mean()) < 0.15 * 9 * (1 / n + 1 / m), "an index that took no account of chance has .75 of it"


def test_bins_hold_equal_shares_and_repeated_values_share_one() -> None:
    of_x, of_y = quantile_counts(np.arange(100.0), np.arange(50.0, 150), 4)
    assert of_x.tolist() == [25, 25, 25, 25]
    assert of_y.tolist() == [0, 0, 25, 75]
    of_x, of_y = quantile_counts(np.array([0.0, 0, 0, 0, 0, 0, 1, 2]), np.array([0.0, 5]), 4)
    assert of_x.tolist() == [6, 0, 0, 2]
    assert of_y.tolist() == [1, 0, 0, 1]


@given(SAMPLES, SAMPLES)
def test_one_merge_gives_what_the_distribution_functions_give(x: np.ndarray, y: np.ndarray) -> None:
    found = compare_panel(x[None], y[None])
    largest, area = plain_distances(x, y)
    assert found.statistic[0] == pytest.approx(largest, abs=1e-15)
    assert found.wasserstein[0] == pytest.approx(area, rel=1e-12, abs=1e-12)


@given(SAMPLES, SAMPLES, st.integers(2, 12))
def test_bisection_gives_what_counting_bin_by_bin_gives(x: np.ndarray, y: np.ndarray, bins: int) -> None:
    index, used = plain_index(x, y, bins)
    expected = index - (used - 1) * (1 / len(x) + 1 / len(y))
    assert compare_panel(x[None], y[None], bins=bins).psi[0] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(SAMPLES, SAMPLES, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_sides_only_to_the_index(x: np.ndarray, y: np.ndarray, random: object) -> None:
    one, other = compare_panel(x[None], y[None]), compare_panel(y[None], x[None])
    assert one.statistic == other.statistic
    assert one.wasserstein == pytest.approx(other.wasserstein)
    shuffled = list(x)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = compare_panel(np.array(shuffled)[None], y[None])
    assert all(np.array_equal(getattr(again, name), getattr(one, name), equal_nan=True) for name in FIELDS)


@given(SAMPLES, st.floats(-100, 100))
def test_a_shift_is_its_own_wasserstein_distance(x: np.ndarray, shift: float) -> None:
    found = compare_panel(x[None], x[None] + shift)
    assert found.wasserstein[0] == pytest.approx(abs(shift), rel=1e-6, abs=1e-6)


def test_a_sample_does_not_differ_from_itself() -> None:
    x = np.random.default_rng(2).normal(size=(3, 50))
    found = compare_panel(x, x)
    assert found.statistic.tolist() == found.wasserstein.tolist() == [0.0] * 3
    assert found.p_value.tolist() == found.q_value.tolist() == [1.0] * 3
    assert (found.psi < 0).all()


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=40), rng.normal(size=30)
    dirty = rng.permutation(np.concatenate([x, [NAN, INF, -INF, NAN]]))
    found, clean = compare_panel(dirty[None], y[None]), compare_panel(x[None], y[None])
    assert all(getattr(found, name) == getattr(clean, name) for name in FIELDS)
    assert (found.reference_size[0], found.recent_size[0]) == (40, 30)


@pytest.mark.parametrize("nothing", [[], [NAN, NAN], [INF, -INF, NAN]])
def test_a_column_without_values_is_never_without_drift(nothing: list[float]) -> None:
    sound = np.arange(10.0)
    for samples in (([np.array(nothing), sound], [sound, sound]), ([sound, sound], [np.array(nothing), sound])):
        found = compare_panel(*samples)
        for name in ("statistic", "p_value", "q_value", "wasserstein", "psi"):
            assert np.isnan(getattr(found, name)[0]), name
            assert np.isfinite(getattr(found, name)[1]), name
        assert min(found.reference_size[0], found.recent_size[0]) == 0


def test_an_unknown_column_is_no_test_of_the_panel() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(6, 40)), rng.normal(0.5, 1, size=(6, 40))
    alone = compare_panel(x, y)
    within = compare_panel([*x, np.array([])], [*y, np.array([1.0])])
    assert within.q_value[:6].tolist() == alone.q_value.tolist()
    assert np.isnan(within.q_value[6])


def test_one_value_a_side_is_too_little_to_judge() -> None:
    found = compare_panel(np.array([[1.0]]), np.array([[2.0]]))
    assert found.statistic[0] == 1.0
    assert np.isnan(found.p_value[0])


def test_samples_that_never_vary() -> None:
    found = compare_panel(np.ones((2, 20)), np.stack([np.ones(20), np.full(20, 2.0)]))
    assert found.statistic.tolist() == [0.0, 1.0]
    assert found.wasserstein.tolist() == [0.0, 1.0]
    assert found.p_value[0] == 1.0
    assert found.p_value[1] < 1e-3


def test_no_columns_give_no_rows() -> None:
    for nothing in (np.empty((0, 5)), []):
        found = compare_panel(nothing, nothing)
        assert len(found) == 0
        assert found.q_value.shape == (0,)


def test_ragged_and_padded_and_whole_panels_agree_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    before = [rng.normal(size=rng.integers(1, 60)) for _ in range(30)]
    after = [rng.normal(size=rng.integers(0, 40)) for _ in range(30)]
    padded = np.full((30, 60), NAN)
    for row, values in zip(padded, before, strict=True):
        row[: len(values)] = values
    ragged = compare_panel(before, after, autocorrelated=True)
    monkeypatch.setattr(distributions, "AT_ONCE", 150)
    for reference in (before, padded):
        again = compare_panel(reference, after, autocorrelated=True)
        assert all(np.array_equal(getattr(again, name), getattr(ragged, name), equal_nan=True) for name in FIELDS)
    for place in (0, 13, 29):
        alone = compare_panel([before[place]], [after[place]], autocorrelated=True)
        assert np.array_equal(alone.p_value, ragged.p_value[place : place + 1], equal_nan=True)


def test_samples_are_not_changed() -> None:
    x, y = np.random.default_rng(6).normal(size=(2, 3, 40))
    kept = x.copy(), y.copy()
    compare_panel(x, y, autocorrelated=True)
    assert np.array_equal(x, kept[0])
    assert np.array_equal(y, kept[1])


def test_the_short_call_says_the_same() -> None:
    x, y = np.random.default_rng(7).normal(size=(2, 20, 80))
    statistic, p_value = ks_panel(x, y[:, :50])
    found = compare_panel(x, y[:, :50])
    assert np.array_equal(statistic, found.statistic)
    assert np.array_equal(p_value, found.p_value)


def test_autocorrelation_is_that_of_neighbours() -> None:
    values = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    apart = values - 3
    assert autocorrelation(values) == pytest.approx((apart[1:] * apart[:-1]).sum() / (apart**2).sum())
    assert autocorrelation(np.array([2.0, NAN, 4.0])) == 0.0, "a gap parts neighbours"
    assert autocorrelation(np.ones(9)) == autocorrelation(np.array([])) == autocorrelation(np.array([NAN])) == 0.0


def test_effective_sizes_never_exceed_what_was_seen() -> None:
    rng = np.random.default_rng(8)
    alternating = np.tile([1.0, -1.0], 50)
    assert effective_sizes(alternating[None], np.array([100])).tolist() == [100.0]
    walk = rng.normal(size=1000).cumsum()
    assert effective_sizes(walk[None], np.array([1000]))[0] < 20


def test_autocorrelated_samples_are_not_taken_for_changed() -> None:
    rng = np.random.default_rng(9)
    noise = rng.normal(size=(1500, 555))
    values = np.zeros_like(noise)
    for step in range(1, 555):
        values[:, step] = 0.6 * values[:, step - 1] + noise[:, step]
    reference, recent = values[:, 100:465], values[:, 465:]
    naive = compare_panel(reference, recent)
    fair = compare_panel(reference, recent, autocorrelated=True)
    assert (naive.p_value < 0.05).mean() > 0.2
    assert (fair.p_value < 0.05).mean() < 0.05
    assert (fair.q_value < 0.05).sum() == 0
    assert (compare_panel(reference, recent + 2.0, autocorrelated=True).q_value < 0.05).mean() > 0.9


def test_false_discoveries_stay_below_the_level_where_some_columns_change() -> None:
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(600, 365)), rng.normal(size=(600, 90))
    y[:60] += 1.0
    told = compare_panel(x, y).q_value <= 0.05
    assert told[:60].mean() > 0.95
    assert told[60:].sum() / told.sum() < 0.12


def test_probabilities_fall_with_distance_and_stay_probabilities() -> None:
    distance = np.linspace(0, 1, 401)
    for size in (3.0, 60.0, 280.0, 282.0, 2000.0):
        p = distance_p_values(distance, np.full(401, size), np.full(401, size))
        assert p[0] == 1.0
        assert p[-1] < 0.8 if size == 3 else p[-1] == 0.0
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(p) <= 1e-12).all()


def test_small_one_sided_probabilities_are_those_of_counting() -> None:
    assert one_sided(0.3, 1) == pytest.approx(0.7)
    assert one_sided(0.5, 2) == pytest.approx(0.25)
    assert one_sided(0.25, 2) == pytest.approx(0.75**2 + 2 * 0.25 * 0.25)
    assert one_sided(1.0, 5) == 0.0
    assert stirling_remainder(1.0) == pytest.approx(1 - 0.5 * np.log(2 * np.pi))
    assert stirling_remainder(16.0) == pytest.approx(stirling_remainder(15.999999), rel=1e-6)


def test_bad_shapes_are_told() -> None:
    with pytest.raises(ValueError, match=r"one row a column of the panel; came shape \(5,\)"):
        compare_panel(np.ones(5), np.ones((1, 5)))
    with pytest.raises(ValueError, match="same columns; came 2 and 1"):
        compare_panel(np.ones((2, 5)), np.ones((1, 5)))
    with pytest.raises(ValueError, match=r"each sample is 1-d; came shape \(2, 2\)"):
        compare_panel([np.ones((2, 2))], [np.ones(3)])
    with pytest.raises(ValueError, match="at least 2 bins; came 1"):
        compare_panel(np.ones((1, 5)), np.ones((1, 5)), bins=1)
