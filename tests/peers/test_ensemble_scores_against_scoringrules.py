"""Our scores of ensembles against scoringrules, which is written by others."""

import numpy as np
import pytest
import scoringrules

from pulse_assets.numerics.ensemble import crps_ensemble, energy_score, variogram_score


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_t(4, shape) * 3 + 100


@pytest.mark.parametrize("count", [2, 50, 1000, 10_000])
def test_crps_is_theirs(count: int) -> None:
    members, y = drawn(20, count), drawn(20)
    theirs = scoringrules.crps_ensemble(y, members, estimator="qd", backend="numba")
    np.testing.assert_allclose(crps_ensemble(members, y, fair=False), theirs, rtol=1e-8)
    theirs = scoringrules.crps_ensemble(y, members, estimator="pwm", backend="numba")
    np.testing.assert_allclose(crps_ensemble(members, y), theirs, rtol=1e-8, atol=1e-12)


def test_fair_crps_is_their_fair_one() -> None:
    members, y = drawn(20, 300), drawn(20)
    theirs = scoringrules.crps_ensemble(y, members, estimator="fair", backend="numpy")
    np.testing.assert_allclose(crps_ensemble(members, y), theirs, rtol=1e-10)


def test_crps_of_single_precision_members_is_theirs_of_the_same_in_double() -> None:
    members, y = drawn(20, 1000).astype(np.float32), drawn(20)
    theirs = scoringrules.crps_ensemble(y, members.astype(float), estimator="qd", backend="numba")
    np.testing.assert_allclose(crps_ensemble(members, y, fair=False), theirs, rtol=1e-10)


@pytest.mark.parametrize(("count", "variables"), [(2, 1), (100, 3), (1000, 64)])
@pytest.mark.parametrize(("estimator", "fair"), [("nrg", False), ("fair", True)])
def test_energy_score_is_theirs(count: int, variables: int, estimator: str, fair: bool) -> None:
    members, y = drawn(3, count, variables), drawn(3, variables)
    theirs = scoringrules.es_ensemble(y, members, estimator=estimator, backend="numba")
    np.testing.assert_allclose(energy_score(members, y, fair=fair), theirs, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("count", "variables"), [(2, 2), (100, 10)])
def test_variogram_score_is_theirs(count: int, variables: int) -> None:
    members, y = drawn(3, count, variables), drawn(3, variables)
    weights = np.abs(drawn(variables, variables))
    theirs = scoringrules.vs_ensemble(y, members, p=0.5, backend="numba")
    np.testing.assert_allclose(variogram_score(members, y), theirs, rtol=1e-9)
    theirs = scoringrules.vs_ensemble(y, members, np.broadcast_to(weights, (3, *weights.shape)), p=0.5, backend="numba")
    np.testing.assert_allclose(variogram_score(members, y, weights), theirs, rtol=1e-9)
