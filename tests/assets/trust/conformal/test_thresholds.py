"""What is issued rests on own scores where there are many, on comparable rows where there are few, else on nothing."""

import numpy as np
import pytest

from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.trust.conformal.learning import Arrived, State, fresh_state, learn
from pulse_assets.trust.conformal.thresholds import ACI, LEAST, METHODS, OWN, POOLED, RAW, TRACKING, Issued, issue

NEVER = -(10**6)


def told(state: State, row: int, z: np.ndarray, day: int = 0) -> None:
    zeros = np.zeros(len(z), np.int64)
    learn(state, Arrived(zeros + row, np.arange(len(z)), zeros + day, z), np.zeros(len(z)), judged=False)


def issued(state: State, groups: list[int], since: int = NEVER, overlap: int = 1) -> Issued:
    count = len(groups)
    return issue(state, np.arange(count), np.array(groups), np.full(count, overlap), np.full(count, since))


def test_without_scores_nothing_is_moved() -> None:
    found = issued(fresh_state(2), [0, 0])
    assert np.allclose(found.thresholds, KNOTS)
    assert [METHODS[place] for place in found.method] == ["raw", "raw"]
    assert found.held.tolist() == [0, 0]


def test_a_new_row_takes_shape_and_spread_of_comparable_ones_and_of_no_others() -> None:
    state = fresh_state(3)
    told(state, 0, 2 * np.random.default_rng(0).standard_normal(60))
    found = issued(state, [0, 0, 1])
    assert found.method.tolist() == [ACI, POOLED, RAW]
    assert found.thresholds[1, 20] == pytest.approx(2 * KNOTS[20], rel=0.25)
    assert np.allclose(found.thresholds[2], KNOTS)


def test_seven_scores_are_too_few_to_learn_from() -> None:
    state = fresh_state(1)
    told(state, 0, np.linspace(3, 4, LEAST - 1))
    assert issued(state, [0]).method.tolist() == [RAW]
    told(state, 0, np.array([3.5]))
    assert issued(state, [0]).method.tolist() == [POOLED]


def test_scores_known_long_ago_are_forgotten() -> None:
    state = fresh_state(1)
    told(state, 0, np.full(OWN, 5.0), day=7)
    assert issued(state, [0], since=6).held.tolist() == [OWN]
    assert issued(state, [0], since=7).held.tolist() == [0]
    assert issued(state, [0], since=7).method.tolist() == [RAW]


def test_a_rate_that_left_its_range_is_said() -> None:
    state = fresh_state(1)
    told(state, 0, np.random.default_rng(0).standard_normal(60))
    assert issued(state, [0]).method.tolist() == [ACI]
    state.rates[0, 19:] = 1.1
    assert issued(state, [0]).method.tolist() == [TRACKING]


def test_a_higher_rate_is_never_a_lower_threshold() -> None:
    state = fresh_state(1)
    told(state, 0, np.random.default_rng(0).standard_t(3, 60))
    last = np.full(23, -np.inf)
    for rate in np.linspace(-0.25, 1.25, 200):
        state.rates[0] = rate
        found = issued(state, [0]).thresholds[0]
        assert (found >= last).all()
        last = found


def test_the_order_of_rows_and_where_a_ring_begins_do_not_show() -> None:
    rng = np.random.default_rng(4)
    z = rng.standard_t(4, (5, 60))
    state, turned = fresh_state(5), fresh_state(5)
    for row in range(5):
        told(state, row, z[row])
        told(turned, 4 - row, np.concatenate((rng.normal(size=13 * row), z[row])))
    assert np.array_equal(issued(state, [0] * 5).thresholds, issued(turned, [0] * 5).thresholds[::-1])


def test_no_rows_give_nothing() -> None:
    none = np.empty(0, np.int64)
    assert issue(fresh_state(0), none, none, none, none).thresholds.shape == (0, 23)
