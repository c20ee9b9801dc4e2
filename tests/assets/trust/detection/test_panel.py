"""The panel monitor: a tenth of the series is seen within a week, a wild day of all is no drift."""

import numpy as np
import pytest

from pulse_assets.trust.detection.panel import ALARMS, BASELINE, DAYS, panel_statistic

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


def test_what_all_series_share_is_no_drift_of_any_however_differently_they_show_it() -> None:
    rng = np.random.default_rng(2)
    loading = rng.uniform(0.1, 0.9, 400)
    factor = rng.standard_normal((WINDOW, 1))
    factor[-DAYS:] += 2
    z = factor * loading + rng.standard_normal((WINDOW, 400)) * np.sqrt(1 - loading**2)
    assert panel_statistic(z)[1] <= ALARMS


@pytest.mark.parametrize("unit", [0.2, 5.0])
def test_series_that_spread_more_or_less_are_judged_by_their_own_spread(unit: float) -> None:
    z = np.random.default_rng(4).standard_normal((WINDOW, 300))
    z[:, :150] *= unit
    share, distance = panel_statistic(z)
    assert share < 0.04
    assert distance <= ALARMS


def test_scores_must_be_days_by_series() -> None:
    with pytest.raises(ValueError, match="days, series"):
        panel_statistic(np.zeros(5))


def test_few_series_and_few_days_say_nothing() -> None:
    rng = np.random.default_rng(3)
    assert np.isnan(panel_statistic(rng.standard_normal((WINDOW, 5)))).all()
    assert np.isnan(panel_statistic(rng.standard_normal((20, 50)))[1])
    assert np.isnan(panel_statistic(np.empty((0, 5)))).all()
    assert np.isnan(panel_statistic(np.full((WINDOW, 50), np.nan))).all()
