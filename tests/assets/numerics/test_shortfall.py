"""Tests of expected shortfall: known answers, properties, and how often they cry wolf."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.numerics.shortfall import acerbi_szekely, histories_of_ensemble

VAR, ES = 1.9599639845401, 2.3378027922014
"""Of a standard normal at 97.5 %."""


def philox(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def judged(pnl: np.ndarray, seed: int = 0, histories: int = 199) -> tuple[float, ...]:
    n = len(pnl)
    found = acerbi_szekely(pnl, np.full(n, VAR), np.full(n, ES), 0.025, philox(seed).normal(size=(histories, n)))
    return (*found.z1, *found.z2)


def test_the_statistics_are_those_of_the_paper() -> None:
    """Two of four days exceed: losses 3 and 6 said to be 2 and 4, at 25 %: Z1 = 1 - 1.5, Z2 = 1 - 3 / (4 x 25 %)."""
    pnl, var, es = np.array([1.0, -3.0, -6.0, -0.5]), np.array([1.0, 1.0, 2.0, 1.0]), np.array([2.0, 2.0, 4.0, 2.0])
    found = acerbi_szekely(pnl, var, es, 0.25, np.tile(np.array([[-1.5, 0, 0, 0], [-9, -9, -9, -9.0]]), (2, 1)))
    assert found.z1.statistic == pytest.approx(-0.5)
    assert found.z2.statistic == pytest.approx(-2.0)
    assert found.z1.p_value == found.z2.p_value == pytest.approx(3 / 5)


def test_losses_larger_than_said_are_found_out_and_smaller_ones_are_not() -> None:
    z1, first, z2, second = judged(2 * philox(1).normal(size=500))
    assert (z1 < 0, first, z2 < 0, second) == (True, 1 / 200, True, 1 / 200)
    assert judged(0.5 * philox(1).normal(size=500))[3] > 0.5


def test_correct_models_are_rejected_as_often_as_promised() -> None:
    p_values = np.array([judged(philox(seed + 10_000).normal(size=250), seed)[1::2] for seed in range(2_000)])
    assert np.nanmean(p_values <= 0.05, axis=0) == pytest.approx([0.05, 0.05], abs=0.015)


@given(st.integers(0, 1_000), st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_unit_changes_nothing(seed: int, unit: float) -> None:
    rng = philox(seed)
    pnl, var, es, histories = rng.normal(size=40), rng.random(40), 1 + rng.random(40), rng.normal(size=(20, 40))
    one = acerbi_szekely(pnl, var, es, 0.1, histories)
    np.testing.assert_array_equal(one, acerbi_szekely(unit * pnl, unit * var, unit * es, 0.1, unit * histories))


def test_without_an_exceedance_the_size_of_losses_is_unknown_and_their_number_is_no_reason_to_reject() -> None:
    z1, first, z2, second = judged(np.ones(50))
    assert np.isnan([z1, first]).all()
    assert (z2, second) == (1.0, 1.0)


def test_what_is_not_known_gives_nan() -> None:
    for pnl in (np.full(5, np.nan), np.array([1.0, np.nan, -9.0]), np.empty(0)):
        assert np.isnan(judged(pnl)).all()


def test_forecasts_that_do_not_match_or_are_no_loss_are_refused() -> None:
    one = np.ones(3)
    with pytest.raises(ValueError, match=r"histories \(k, n\); came \(3,\), \(3,\), \(3,\) and \(2, 4\)"):
        acerbi_szekely(one, one, one, 0.1, np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"positive loss; came \[0.0\]"):
        acerbi_szekely(one, one, np.array([1.0, 0.0, 2.0]), 0.1, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"inside \(0, 1\); came 1.5"):
        acerbi_szekely(one, one, one, 1.5, np.ones((2, 3)))


def test_histories_take_each_day_from_its_own_members() -> None:
    members = np.arange(20, dtype=np.float32).reshape(4, 5)
    histories = histories_of_ensemble(members, 500, philox(2))
    assert histories.dtype == np.float64
    for day in range(4):
        assert sorted(set(histories[:, day])) == members[day].tolist()
    np.testing.assert_array_equal(histories, histories_of_ensemble(members, 500, philox(2)))


def test_histories_need_members() -> None:
    with pytest.raises(ValueError, match=r"m at least 1; came \(3, 0\)"):
        histories_of_ensemble(np.empty((3, 0)), 2, philox(0))
