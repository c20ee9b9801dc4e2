"""Limits were simulated by the pipeline that they judge; p-values fall as sums grow and hold at every look."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.trust.detection import thresholds
from pulse_assets.trust.detection.cusum import fresh_streams, watch
from pulse_assets.trust.detection.thresholds import (
    ALARMS,
    ALLOWANCES,
    EDGES,
    TAILS,
    null_table,
    p_values,
    simulate_null,
    threshold,
)

Floats = npt.NDArray[np.float64]
PHI = st.floats(0, 0.97)


@pytest.mark.parametrize("allowance", ALLOWANCES)
def test_limits_grow_with_autocorrelation_and_with_rarity(allowance: float) -> None:
    table = null_table(allowance)
    assert table.shape == (len(EDGES) + 1, len(TAILS))
    assert (np.diff(table, axis=0) >= 0).all()
    assert (np.diff(table, axis=1) > 0).all()


@pytest.mark.parametrize("allowance", ALLOWANCES)
@given(phi=PHI, low=st.floats(0, 500), more=st.floats(0, 500))
def test_p_values_fall_as_sums_grow(allowance: float, phi: float, low: float, more: float) -> None:
    small, large = p_values(np.array([low, low + more]), np.full(2, phi), allowance)
    assert 0 < large <= small <= 1


@pytest.mark.parametrize("allowance", ALLOWANCES)
@given(phi=PHI, tail=st.sampled_from(TAILS))
def test_the_p_value_of_a_limit_is_its_tail(allowance: float, phi: float, tail: float) -> None:
    limit = threshold(np.array([phi]), tail, allowance)
    assert p_values(limit, np.array([phi]), allowance)[0] == pytest.approx(tail)


def test_no_evidence_has_no_p_value_and_no_streams_none() -> None:
    assert np.isnan(p_values(np.array([np.nan]), np.array([0.1]))[0])
    assert len(p_values(np.empty(0), np.empty(0))) == 0


def test_an_allowance_that_was_not_simulated_is_refused() -> None:
    with pytest.raises(ValueError, match=r"came 0\.3"):
        p_values(np.zeros(1), np.zeros(1), 0.3)


def test_the_shipped_table_is_what_the_simulation_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "TAILS", (0.1,))
    made = simulate_null(0.4, streams=250, seed=3)
    shipped = null_table(0.4)[:, TAILS.index(0.1)]
    np.testing.assert_allclose(made[:8, 0], shipped[:8], rtol=0.2)


@pytest.mark.parametrize(("phi", "most"), [(0.0, 0.01), (0.5, 0.01), (0.8, 0.02)])
def test_false_alarms_in_1000_stable_values_are_rare_whatever_the_autocorrelation(phi: float, most: float) -> None:
    random, count = np.random.default_rng(11), 1_500
    streams, rows, alarmed = fresh_streams(count), np.arange(count), np.zeros(count, bool)
    value = random.standard_normal(count) / np.sqrt(1 - phi**2)
    for _ in range(1_100):
        watch(streams, rows, value)
        alarmed |= streams.largest >= threshold(streams.phi, ALARMS)
        value = phi * value + random.standard_normal(count)
    assert alarmed.mean() <= most + 2.5 * np.sqrt(most / count)


def test_a_rise_by_one_standard_deviation_is_found_within_30_values() -> None:
    random, count = np.random.default_rng(12), 600
    streams, rows, found = fresh_streams(count), np.arange(count), np.full(count, 10_000)
    for step in range(600):
        watch(streams, rows, random.standard_normal(count) + (step >= 225))
        alarm = (streams.largest >= threshold(streams.phi, ALARMS)) & (found == 10_000)
        found[alarm] = step - 225 + 1
    late = found[found > 0]
    assert np.median(late) <= 30
    assert np.mean(late) <= 31
    assert (late <= 375).all()
