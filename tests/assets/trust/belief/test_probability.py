"""The map makes probabilities mean what they say, never certain, and leaves them alone when it knows too little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from pulse_assets.trust.belief.probability import (
    LEAST_OUTCOMES,
    SURE,
    UNFITTED,
    area_under_curve,
    expected_calibration_error,
    fit_map,
)

MANY = 1_000_000_000


def overconfident(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(count)
    stated = np.clip(0.5 + 1.8 * (truth - 0.5), 0, 1)
    return stated, (rng.random(count) < truth).astype(float)


def test_overconfidence_is_taken_back() -> None:
    learned = fit_map(*overconfident(5_000), MANY)
    stated, happened = overconfident(5_000, seed=1)
    assert expected_calibration_error(stated, happened) > 0.1
    assert expected_calibration_error(learned(stated), happened) < 0.03
    assert learned.outcomes == 5_000


def test_the_map_agrees_with_scikit_learn_at_the_stated_probabilities() -> None:
    stated, happened = overconfident(2_000)
    stated = stated.round(2)
    peer = IsotonicRegression(y_min=0, y_max=1).fit(stated, happened)
    ours = fit_map(stated, happened, MANY)
    blocks = np.unique(peer.predict(stated))
    np.testing.assert_allclose(ours.to, blocks, atol=1e-9)


@given(st.integers(0, 99), st.integers(LEAST_OUTCOMES, 600))
@settings(max_examples=30)
def test_the_map_rises_and_is_never_sure(seed: int, count: int) -> None:
    learned = fit_map(*overconfident(count, seed), MANY)
    mapped = learned(np.linspace(0, 1, 201))
    assert (np.diff(mapped) >= 0).all()
    assert mapped.min() >= SURE
    assert mapped.max() <= 1 - SURE


def test_outcomes_of_few_periods_move_probabilities_only_part_of_the_way() -> None:
    stated, happened = overconfident(5_000)
    probability = np.array([0.05, 0.95])
    few, some, many = (fit_map(stated, happened, periods)(probability) for periods in (1, 10, MANY))
    for near, far in ((few, some), (some, many)):
        assert (np.abs(near - probability) < np.abs(far - probability)).all()
    np.testing.assert_allclose(few, (2 * probability + many) / 3)


def test_too_few_outcomes_leave_probabilities_as_they_are() -> None:
    stated, happened = overconfident(LEAST_OUTCOMES)
    happened[0] = np.nan
    learned = fit_map(stated, happened, MANY)
    assert learned is UNFITTED
    assert learned.outcomes == 0
    assert learned(np.array([0.0, 0.3, 1.0])).tolist() == [SURE, 0.3, 1 - SURE]


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_outcomes_that_are_all_alike_give_one_value(outcome: float) -> None:
    learned = fit_map(np.linspace(0, 1, 300), np.full(300, outcome), MANY)
    assert np.unique(learned(np.linspace(0, 1, 11))).tolist() == [SURE if outcome == 0 else 1 - SURE]


def test_unknown_probabilities_stay_unknown() -> None:
    assert np.isnan(fit_map(*overconfident(500), MANY)(np.array([np.nan]))).all()
    assert np.isnan(UNFITTED(np.array([np.nan]))).all()


def test_the_area_is_that_of_scikit_learn() -> None:
    stated, happened = overconfident(500)
    stated = stated.round(1)
    assert area_under_curve(stated, happened) == pytest.approx(roc_auc_score(happened, stated))
    assert np.isnan(area_under_curve(stated, np.ones(500)))


def test_errors_of_calibration_are_known() -> None:
    p = np.repeat([0.2, 0.8], 50)
    y = np.tile([0.0, 1.0], 50)
    assert expected_calibration_error(p, y, bins=2) == pytest.approx(0.3)
    assert np.isnan(expected_calibration_error(np.array([np.nan]), np.array([1.0])))
