"""A watched stream alarms, rests and learns anew; what is kept of it is enough to go on."""

import numpy as np
import numpy.typing as npt

from pulse_assets.trust.detection.cusum import KEPT, REFERENCE
from pulse_assets.trust.detection.thresholds import ALARMS, HORIZON
from pulse_assets.trust.detection.watcher import NEVER, STATES, Watcher


def streams(kind: float | str, count: int, steps: int, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    if kind == "t3":
        return np.asarray(rng.standard_t(3, (steps, count)))
    noise, phi = rng.standard_normal((steps, count)), float(kind)
    values = np.empty_like(noise)
    values[0] = noise[0]
    for step in range(1, steps):
        values[step] = phi * values[step - 1] + np.sqrt(1 - phi**2) * noise[step]
    return values


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
        other.restore(rows, whole.kept(rows))
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


def test_a_stream_that_was_watched_for_long_goes_on_with_its_reference() -> None:
    values = streams(0.0, 4, REFERENCE + HORIZON + 40, 8)
    watcher, rows = Watcher(4), np.arange(4)
    for day in range(REFERENCE + HORIZON):
        watcher.take(rows, values[day], day)
    quiet = np.flatnonzero(watcher.alarm_on == NEVER)
    phi = watcher.streams.phi[quiet].copy()
    watcher.take(rows, values[REFERENCE + HORIZON], REFERENCE + HORIZON)
    assert len(quiet) == 4
    assert watcher.streams.watched[quiet].tolist() == [1] * 4
    assert (watcher.streams.phi[quiet] == phi).all()
    assert (watcher.reference_on[quiet] == KEPT - 1).all()
    assert (watcher.verdicts(quiet).p_value > 0.5).all()


def test_no_day_later_changes_what_was_said() -> None:
    values = streams(0.2, 3, 320, 9)
    other, rows = values.copy(), np.arange(3)
    other[260:] = np.random.default_rng(1).standard_normal((60, 3)) * 9
    said = []
    for part in (values, other):
        watcher = Watcher(3)
        for day in range(260):
            watcher.take(rows, part[day], day)
        said.append(watcher.verdicts(rows))
    for one, twin in zip(*said, strict=True):
        assert np.array_equal(one, twin, equal_nan=True)


def test_an_alarm_is_where_the_p_value_says_so() -> None:
    values = streams(0.0, 200, 300, 6)
    values[250:, :100] += 2
    watcher, rows = Watcher(200), np.arange(200)
    for day in range(275):
        before = watcher.alarm_on.copy()
        watcher.take(rows, values[day], day)
        said = watcher.verdicts(rows)
        fresh = (watcher.alarm_on == day) & (before == NEVER)
        assert (said.p_value[fresh] <= ALARMS * (1 + 1e-9)).all()
        assert (said.p_value[said.state == STATES.index("warn")] > ALARMS * (1 - 1e-9)).all()
    assert (watcher.alarm_on[:100] != NEVER).mean() > 0.9
    assert said.rises[:100][watcher.alarm_on[:100] != NEVER].all()
