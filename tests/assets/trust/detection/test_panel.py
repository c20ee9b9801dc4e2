"""The panel monitor: a tenth of the series is seen within a week, a wild day of all is no drift."""

import numpy as np

from pulse_assets.trust.detection.panel import ALARMS, BASELINE, DAYS, panel_statistic, shares_off

WINDOW = BASELINE + DAYS


def test_a_break_of_a_tenth_of_the_panel_is_found_within_five_days() -> None:
    delays = []
    for seed in range(8):
        z = np.random.default_rng(seed).standard_normal((WINDOW + 8, 1_000))
        z[WINDOW:, :100] += 1
        assert panel_statistic(z[:WINDOW])[1] <= ALARMS
        late = [step for step in range(1, 9) if panel_statistic(z[: WINDOW + step])[1] > ALARMS]
        delays.append(late[0] if late else 99)
    assert np.median(delays) <= 5


def test_a_day_on_which_everything_moves_is_no_drift() -> None:
    z = np.random.default_rng(1).standard_normal((WINDOW, 300))
    z[-1] += 4
    assert panel_statistic(z)[1] <= ALARMS


def test_later_days_change_nothing() -> None:
    z = np.random.default_rng(2).standard_normal((WINDOW + 30, 200))
    assert np.array_equal(shares_off(z)[:WINDOW], shares_off(z[:WINDOW]), equal_nan=True)


def test_few_series_and_few_days_say_nothing() -> None:
    rng = np.random.default_rng(3)
    assert np.isnan(panel_statistic(rng.standard_normal((WINDOW, 5)))).all()
    assert np.isnan(panel_statistic(rng.standard_normal((20, 50)))[1])
    assert np.isnan(panel_statistic(np.empty((0, 5)))).all()
    assert np.isnan(panel_statistic(np.full((WINDOW, 50), np.nan))).all()
