"""Histograms and exact quantiles: equal to sorting, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pulse_assets.simulation.risk.exact_quantiles import (
    bins_of,
    coarse_counts,
    exact_quantiles,
    from_ordered_bits,
    ordered_bits,
    refine,
)
from pulse_assets.simulation.risk.histograms import (
    BINS,
    count_in_bins,
    expected_positive_part,
    mean_from_sums,
    merge,
    quantiles,
    ranks_of,
    share_outside,
)

SINGLES = arrays.arrays(np.float32, st.integers(1, 200), elements=st.floats(width=32, allow_nan=False))
LEVELS = [0.001, 0.05, 0.5, 0.95, 0.99, 0.999]


def slow_quantiles(values: np.ndarray, levels: list[float]) -> np.ndarray:
    ranks = [next(r for r in range(1, len(values) + 1) if r >= len(values) * level - 1e-9) for level in levels]
    return np.partition(values + np.float32(0), [rank - 1 for rank in ranks])[[rank - 1 for rank in ranks]]


@given(SINGLES, st.integers(1, 5))
def test_exact_quantiles_are_those_of_the_sorted_values_bit_for_bit(values: np.ndarray, parts: int) -> None:
    found = exact_quantiles(lambda: np.array_split(values, parts), LEVELS)
    np.testing.assert_array_equal(found.view(np.uint32), slow_quantiles(values, LEVELS).view(np.uint32))


def test_exact_quantiles_of_many_values_are_bit_for_bit_too() -> None:
    values = np.random.default_rng(1).standard_t(3, 300_000).astype(np.float32)
    found = exact_quantiles(lambda: np.array_split(values, 7)[::-1], LEVELS)
    np.testing.assert_array_equal(found.view(np.uint32), slow_quantiles(values, LEVELS).view(np.uint32))


@given(SINGLES)
def test_bits_are_in_the_order_of_the_values_and_come_back(values: np.ndarray) -> None:
    bits = ordered_bits(values)
    np.testing.assert_array_equal(np.sort(values), from_ordered_bits(np.sort(bits)))
    np.testing.assert_array_equal(from_ordered_bits(bits), values)


def test_counts_of_blocks_add_up_to_those_of_all() -> None:
    values = np.random.default_rng(2).standard_normal(10_000).astype(np.float32)
    blocks = np.array_split(values, 9)
    np.testing.assert_array_equal(merge(coarse_counts(block) for block in blocks), coarse_counts(values))
    bins, within = bins_of(coarse_counts(values), np.array([1, 5000, 10_000]))
    np.testing.assert_array_equal(merge(refine(block, bins) for block in blocks), refine(values, bins))
    assert (within >= 1).all()


def test_no_values_have_no_quantile() -> None:
    assert np.isnan(exact_quantiles(list, [0.5])).all()


def test_what_has_no_place_in_the_order_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 values are NaN, the first at position 1"):
        coarse_counts(np.array([1, np.nan], np.float32))
    with pytest.raises(ValueError, match="of float32; came float64"):
        coarse_counts(np.ones(3))
    with pytest.raises(ValueError, match="ranks run from 1 to 3"):
        bins_of(coarse_counts(np.ones(3, np.float32)), np.array([4]))


@given(arrays.arrays(float, st.integers(1, 300), elements=st.floats(-4, 4)), st.sampled_from(LEVELS))
def test_quantiles_of_counts_are_within_a_bin_of_those_of_the_values(values: np.ndarray, level: float) -> None:
    low, width = -5.0, 10.0 / BINS
    found = quantiles(count_in_bins(values, low, width), low, width, [level])[0]
    assert abs(found - np.sort(values)[ranks_of(len(values), [level])[0] - 1]) <= width


def test_quantiles_of_many_histograms_are_those_of_each() -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 5, (4, 3, 16))
    counts[2, 1] = 0
    low, width = rng.standard_normal((4, 3)), rng.uniform(0.1, 2, (4, 3))
    found = quantiles(counts, low, width, LEVELS)
    for i, j in np.ndindex(4, 3):
        np.testing.assert_array_equal(found[i, j], quantiles(counts[i, j], low[i, j], width[i, j], LEVELS))
    assert np.isnan(found[2, 1]).all()
    assert (np.diff(found, axis=-1)[~np.isnan(found[..., 0])] >= 0).all()


def test_what_lies_outside_counts_in_the_end_bins() -> None:
    counts = count_in_bins(np.array([-np.inf, -1.0, 0.5, 2.0, np.inf]), 0.0, 0.25, bins=4)
    assert counts.tolist() == [2, 0, 1, 2]
    assert [float(share) for share in share_outside(counts)] == [0.4, 0.4]


def test_merging_refuses_what_would_not_be_exact() -> None:
    with pytest.raises(ValueError, match="at least one"):
        merge([])
    with pytest.raises(ValueError, match="came float64"):
        merge([np.ones(3)])
    with pytest.raises(ValueError, match=r"shape \(3,\) to add; came int64 of shape \(4,\)"):
        merge([np.ones(3, np.int64), np.ones(4, np.int64)])


@given(st.permutations(range(6)))
def test_merging_does_not_depend_on_the_order(order: list[int]) -> None:
    parts = np.random.default_rng(4).integers(0, 100, (6, 5))
    np.testing.assert_array_equal(merge(parts[i] for i in order), parts.sum(axis=0))


def test_fixed_point_sums_give_means_and_nothing_gives_nan() -> None:
    values = np.random.default_rng(5).standard_normal((1000, 2))
    sums = np.rint(values * 2**20).astype(np.int64).sum(axis=0)
    np.testing.assert_allclose(mean_from_sums(sums, 1000), values.mean(axis=0), atol=2**-21)
    assert np.isnan(mean_from_sums(np.array(0), 0))


def test_expected_exposure_is_that_of_the_values_to_half_a_bin() -> None:
    values, width = np.random.default_rng(6).standard_normal(20_000), 12 / BINS
    found = expected_positive_part(count_in_bins(values, -6.0, width), -6.0, width)
    assert abs(found - np.maximum(values, 0).mean()) <= width / 2
    assert np.isnan(expected_positive_part(np.zeros(4, np.int64), 0.0, 1.0))


def test_levels_outside_zero_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match="levels lie between 0 and 1"):
        ranks_of(10, [1.0])
