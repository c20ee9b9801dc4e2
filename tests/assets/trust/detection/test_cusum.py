"""The sequential test: few false alarms whatever the stream is like, quick where it shifts, the same however cut."""

import numpy as np
import pytest

from pulse_assets.trust.detection.cusum import REFERENCE, fresh_streams, restart, watch
from pulse_assets.trust.detection.thresholds import HORIZON, TAILS, null_table, p_values, threshold
from pulse_assets.trust.detection.watcher import NEVER, STATES, Watcher


def streams(kind: float | str, count: int, steps: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "t3":
        return np.asarray(rng.standard_t(3, (steps, count)))
    noise, phi = rng.standard_normal((steps, count)), float(kind)
    values = np.empty_like(noise)
    values[0] = noise[0]
    for step in range(1, steps):
        values[step] = phi * values[step - 1] + np.sqrt(1 - phi**2) * noise[step]
    return values


def run(values: np.ndarray):  # noqa: ANN201
    state, rows = fresh_streams(values.shape[1]), np.arange(values.shape[1])
    largest = np.zeros(values.shape)
    for step, row in enumerate(values):
        watch(state, rows, row)
        largest[step] = state.largest
    return state, largest


@pytest.mark.parametrize(("kind", "most"), [(0.0, 0.01), (0.3, 0.01), (0.5, 0.01), (0.8, 0.02), ("t3", 0.01)])
def test_false_alarms_over_a_thousand_steps_are_as_rare_as_promised(kind: float | str, most: float) -> None:
    count = 2_000
    state, largest = run(streams(kind, count, REFERENCE + HORIZON, 11))
    share = (largest[-1] > threshold(state.phi)).mean()
    assert share <= most + 2.6 * np.sqrt(most * (1 - most) / count)


def test_a_shift_of_one_deviation_is_found_soon() -> None:
    values = streams(0.0, 400, 500, 5)
    values[200:] += 1
    state, largest = run(values)
    hit = largest > threshold(state.phi)
    delay = hit.argmax(axis=0)[hit.any(axis=0)] - 200
    assert hit.any(axis=0).mean() > 0.99
    assert np.median(delay) <= 34


def test_the_p_value_falls_with_the_sum_and_is_never_zero() -> None:
    sums = np.linspace(0, 500, 200)
    for phi in (0.0, 0.5, 0.95):
        p = p_values(sums, np.full(200, phi))
        assert (np.diff(p) <= 0).all()
        assert 0 < p[-1] < 0.01
        assert p[0] == 1


def test_the_table_rises_with_autocorrelation_and_rarity() -> None:
    table = null_table()
    assert (np.diff(table, axis=0) >= 0).all()
    assert (np.diff(table, axis=1) > 0).all()
    assert p_values(table[0], np.zeros(len(TAILS))) == pytest.approx(TAILS)


def test_scale_and_place_of_a_stream_change_nothing() -> None:
    values = streams(0.3, 20, 300, 3)
    one, other = run(values)[1], run(1_000 + 5 * values)[1]
    assert np.allclose(one, other)


def test_a_stream_without_spread_never_alarms() -> None:
    assert run(np.full((600, 3), 7.0))[1].max() == 0


def test_unknown_values_are_left_out() -> None:
    values = streams(0.0, 5, 300, 2)
    holes = np.insert(values, 150, np.nan, axis=0)
    assert np.array_equal(run(values)[1][-1], run(holes)[1][-1])


def test_a_restarted_stream_learns_anew() -> None:
    state, _ = run(streams(0.0, 2, 200, 1))
    restart(state, np.array([0]))
    assert state.held.tolist() == [0, REFERENCE]
    assert state.largest[0] == 0


def test_an_alarm_stays_for_thirty_values_and_then_the_stream_learns() -> None:
    rng = np.random.default_rng(0)
    watcher, row = Watcher(1), np.zeros(1, np.int64)
    states = []
    for day in range(350):
        value = rng.normal() + (5 if day >= 150 else 0)
        watcher.take(row, np.array([value]), day)
        states.append(STATES[watcher.verdicts(row).state[0]])
    began = states.index("alarm")
    assert states[: REFERENCE - 1] == ["learning"] * (REFERENCE - 1)
    assert 150 <= began < 165
    assert states[began : began + 31] == ["alarm"] * 31
    assert states[began + 31 : began + 130] == ["learning"] * 99
    assert states[began + 131] in ("none", "warn")


def test_what_is_kept_of_a_stream_is_enough_to_go_on() -> None:
    values = streams(0.2, 3, 420, 9)
    values[250:, 1] += 2
    whole, rows = Watcher(3), np.arange(3)
    for cut in (50, 180, 262, 300):
        whole = Watcher(3)
        for day in range(cut):
            whole.take(rows, values[day], day)
        other = Watcher(3)
        for row in range(3):
            other.restore(row, whole.kept(row))
        for day in range(cut, 420):
            whole.take(rows, values[day], day)
            other.take(rows, values[day], day)
            for one, twin in zip(whole.verdicts(rows), other.verdicts(rows), strict=True):
                assert np.array_equal(one, twin, equal_nan=True)


def test_streams_that_join_later_do_not_disturb_the_others() -> None:
    watcher = Watcher(1)
    watcher.take(np.array([0]), np.array([1.0]), 0)
    watcher.grow(3)
    assert len(watcher) == 3
    assert watcher.alarm_on.tolist() == [NEVER] * 3
    assert watcher.streams.held.tolist() == [1, 0, 0]
