"""A truth turns the rates by the threshold that was issued for it, once, and by nothing else."""

import numpy as np
import pytest

from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import LEVELS
from pulse_assets.trust.conformal.learning import (
    CENTRE,
    SLACK,
    WINDOW,
    Arrived,
    State,
    await_truths,
    fresh_state,
    learn,
    with_rows,
)

ISSUED = KNOTS[None, :].astype(np.float32)


def at(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def waiting(ds: int = 10, until: int = 20, *, rows: int = 1) -> State:
    return await_truths(fresh_state(rows), at(0), at(ds), ISSUED, at(5), at(until))


def told(z: float, ds: int = 10, day: int = 11) -> Arrived:
    return Arrived(at(0), at(ds), at(day), np.array([z]))


def test_the_known_answer_of_a_miss_and_a_hit() -> None:
    """TRUST.md 3.7: of an interval with alpha .1 and step .05 a miss makes alpha .055, a hit .105."""
    for z, alpha in ((5.0, 0.055), (0.0, 0.105)):
        state = waiting()
        learn(state, told(z), np.array([0.05]))
        low, high = state.rates[0, 2], state.rates[0, 20]
        assert 1 - (high - low) == pytest.approx(alpha, abs=1e-12)


def test_a_miss_on_one_side_moves_the_interval_to_that_side() -> None:
    state = waiting()
    learn(state, told(5.0), np.array([0.05]))
    assert state.rates[0, 2] + state.rates[0, 20] - 1 == pytest.approx(CENTRE * 0.05)


def test_a_truth_counts_once() -> None:
    state = waiting()
    learn(state, told(5.0), np.array([0.02]))
    once = state.rates.copy()
    learn(state, told(5.0, day=12), np.array([0.02]))
    assert np.array_equal(state.rates, once)


@pytest.mark.parametrize("arrived", [told(5.0, ds=9), told(5.0, day=21)])
def test_a_truth_that_nothing_was_issued_for_or_that_comes_too_late_only_enters_the_window(arrived: Arrived) -> None:
    state = waiting()
    learn(state, arrived, np.array([0.02]))
    assert np.array_equal(state.rates[0], LEVELS)
    assert state.seen.tolist() == [1]


def test_an_unknown_truth_teaches_nothing() -> None:
    state = waiting()
    learn(state, told(np.nan), np.array([0.02]))
    assert state.seen.tolist() == [0]
    assert np.array_equal(state.rates[0], LEVELS)


def test_scores_that_were_judged_before_only_fill_the_window() -> None:
    state = waiting()
    learn(state, told(5.0), np.array([0.02]), judged=False)
    assert np.array_equal(state.rates[0], LEVELS)
    assert state.window[0, 0] == 5.0


def test_of_several_origins_of_one_truth_the_newest_counts() -> None:
    state = await_truths(waiting(), at(0), at(10), ISSUED + 9, at(6), at(20))
    learn(state, told(5.0), np.array([0.02]))
    assert state.rates[0, 11] < LEVELS[11]


def test_any_number_of_truths_is_waited_for() -> None:
    state = fresh_state(1)
    for event in range(40):
        state = await_truths(state, at(0), at(event), ISSUED + event, at(0), at(99))
    assert sorted(state.awaited[0][state.until[0] >= 0].tolist()) == list(range(40))
    for event in range(40):
        place = int(np.flatnonzero((state.awaited[0] == event) & (state.until[0] >= 0))[0])
        assert state.issued[0, place, 11] == event


def test_slots_are_used_again() -> None:
    state = fresh_state(1)
    for event in range(200):
        state = await_truths(state, at(0), at(event), ISSUED, at(event), at(event + 2))
    assert state.until.shape == fresh_state(1).until.shape


def test_rates_are_held_within_their_slack_and_stay_in_order() -> None:
    state = fresh_state(1)
    for event in range(2_000):
        state = await_truths(state, at(0), at(event), ISSUED, at(event), at(event + 1))
        learn(state, Arrived(at(0), at(event), at(event + 1), np.array([50.0])), np.array([0.2]))
        assert (np.diff(state.rates) >= 0).all()
    assert state.rates.max() == 1 + SLACK


def test_the_window_holds_the_newest_scores() -> None:
    state, count = fresh_state(1), WINDOW + 7
    zero = np.zeros(count, np.int64)
    learn(state, Arrived(zero, np.arange(count), np.arange(count), np.arange(float(count))), np.zeros(count))
    assert sorted(state.window[0].tolist()) == list(range(7, count))


def test_new_rows_leave_the_old_as_they_were() -> None:
    state = waiting()
    learn(state, told(5.0), np.array([0.02]))
    more = with_rows(state, 2)
    assert np.array_equal(more.rates[0], state.rates[0])
    assert np.array_equal(more.rates[1:], fresh_state(2).rates)
