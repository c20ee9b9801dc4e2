"""Correlations: shrunk as sklearn does, repaired as Higham does, factored with the same bits everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf

from pulse_assets.simulation.calibration.correlation import check_correlation, cholesky_of, nearest_correlation
from pulse_assets.simulation.calibration.driver_correlation import driver_correlation
from pulse_assets.simulation.calibration.shrinkage import (
    pairwise_moments,
    shrinkage_of,
    shrunk_correlation,
    standardised,
)


def common_shocks(days: int, series: int, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_t(5, size=(days, 1)) + random.standard_t(5, size=(days, series))


def symmetric(seed: int, count: int) -> np.ndarray:
    """Return a symmetric matrix with unit diagonal that is mostly no correlation."""
    drawn = np.random.default_rng(seed).uniform(-1, 1, size=(count, count))
    matrix = (drawn + drawn.T) / 2
    np.fill_diagonal(matrix, 1.0)
    return matrix


@pytest.mark.parametrize(("days", "series"), [(60, 40), (500, 20)])
def test_shrinkage_is_that_of_sklearn(days: int, series: int) -> None:
    values = standardised(common_shocks(days, series))
    covariance, share = ledoit_wolf(values, assume_centered=True)
    assert shrinkage_of(pairwise_moments(values)) == pytest.approx(share, rel=1e-9)
    np.testing.assert_allclose(shrunk_correlation(values), covariance, atol=1e-9)


def test_noise_shrinks_to_the_identity() -> None:
    values = np.random.default_rng(3).normal(size=(60, 50))
    assert np.abs(shrunk_correlation(values) - np.eye(50)).max() < 0.1


def test_missing_days_use_what_pairs_have_in_common() -> None:
    values = common_shocks(1000, 3)
    values[:800, 2] = np.nan
    found = shrunk_correlation(values)
    assert np.linalg.eigvalsh(found)[0] > 0
    assert found[0, 1] == pytest.approx(np.corrcoef(values[:, 0], values[:, 1])[0, 1], abs=0.02)
    assert found[0, 2] == pytest.approx(np.corrcoef(values[800:, 0], values[800:, 2])[0, 1], abs=0.05)


def test_too_few_common_days_count_as_no_correlation() -> None:
    values = common_shocks(100, 2)
    values[:60, 0] = values[70:, 1] = np.nan
    assert shrunk_correlation(values)[0, 1] == 0


def test_a_series_that_does_not_move_is_refused() -> None:
    values = common_shocks(100, 3)
    values[:, 1] = 2.0
    with pytest.raises(ValueError, match="column 1 has no two different values"):
        shrunk_correlation(values)


def test_nearest_correlation_is_that_of_higham() -> None:
    """Higham (2002), page 334: the tridiagonal matrix of ones."""
    found = nearest_correlation(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    expected = [[1, 0.7607, 0.1573], [0.7607, 1, 0.7607], [0.1573, 0.7607, 1]]
    np.testing.assert_allclose(found, expected, atol=5e-5)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 8))
def test_a_repaired_matrix_is_a_correlation_and_stays_as_it_is(seed: int, count: int) -> None:
    found = nearest_correlation(symmetric(seed, count))
    check_correlation(found, [f"v{i}" for i in range(count)])
    assert np.linalg.eigvalsh(found)[0] > 1e-7
    np.testing.assert_allclose(nearest_correlation(found), found, atol=1e-6)


@given(seed=st.integers(0, 10_000))
def test_repair_is_nearer_than_clipping(seed: int) -> None:
    matrix = symmetric(seed, 5)
    values, vectors = np.linalg.eigh(matrix)
    clipped = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(clipped))
    rival = clipped / np.outer(scale, scale)
    assert np.linalg.norm(nearest_correlation(matrix) - matrix) <= np.linalg.norm(rival - matrix) + 1e-5


@given(seed=st.integers(0, 10_000), count=st.integers(1, 8), rank=st.integers(1, 8))
def test_the_factor_gives_the_matrix_also_if_it_is_singular(seed: int, count: int, rank: int) -> None:
    loads = np.random.default_rng(seed).normal(size=(count, rank))
    loads /= np.linalg.norm(loads, axis=1, keepdims=True)
    matrix = loads @ loads.T
    np.fill_diagonal(matrix, 1.0)
    lower = cholesky_of(matrix)
    assert np.array_equal(lower, np.tril(lower))
    np.testing.assert_allclose(lower @ lower.T, matrix, atol=1e-4)


def test_the_factor_is_lapacks_for_a_regular_matrix() -> None:
    matrix = shrunk_correlation(common_shocks(500, 30))
    np.testing.assert_allclose(cholesky_of(matrix), np.linalg.cholesky(matrix), atol=1e-12)


def test_no_correlation_matrix_is_refused_with_its_eigenvalue() -> None:
    with pytest.raises(ValueError, match=r"expected no eigenvalue below 0, got -0.8, mostly of 0 and 1"):
        cholesky_of(np.array([[1.0, 1.8], [1.8, 1.0]]))
    with pytest.raises(ValueError, match="expected a finite square matrix"):
        nearest_correlation(np.array([[1.0, np.nan], [np.nan, 1.0]]))


def test_monthly_series_are_paired_with_sums_of_days() -> None:
    """A monthly driver that is the sum of the month's daily shocks, dated on its first day."""
    days = np.arange("1990-01-01", "2020-01-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)]
    random = np.random.default_rng(5)
    daily = random.normal(size=len(days))
    months = days.astype("datetime64[M]")
    starts, position = np.unique(months, return_inverse=True)
    sums = np.bincount(position, daily) / np.sqrt(np.bincount(position))
    monthly = 0.8 * sums + 0.6 * random.normal(size=len(sums))
    other = random.normal(size=len(days))
    found = driver_correlation(
        [(days, daily), (starts.astype("datetime64[D]"), monthly), (days, other)], [1.0, 21.0, 1.0]
    )
    assert found[0, 1] == pytest.approx(0.8, abs=0.05)
    assert abs(found[1, 2]) < 0.15
    assert abs(found[0, 2]) < 0.05
