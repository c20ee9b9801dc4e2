"""Members of the walk against statsforecast: equal where the rule is the same, near where only the start differs."""

import numpy as np
import pytest
from statsforecast.models import (
    TSB,
    Holt,
    Naive,
    RandomWalkWithDrift,
    SeasonalNaive,
    SimpleExponentialSmoothing,
    Theta,
)

from pulse_assets.forecasting import bank
from pulse_assets.forecasting.pool import Batch, listen
from pulse_assets.forecasting.walk_state import MEMBERS, spec

HORIZON, SEASON, LENGTH = 8, 7, 400


def said(y: np.ndarray) -> dict[str, np.ndarray]:
    """What each member of the walk says after the whole of a series."""
    ends, none = np.array([0, len(y)]), np.zeros(1, np.int64)
    batch = Batch(y, ends, np.array([False]), none, spec(SEASON, 0, HORIZON), relative=True)
    spoken = listen(batch, np.array([0, 1]), ends[1:])
    return {name: spoken.made[0, :, member] for member, name in enumerate(MEMBERS)}


def peer(model: object, y: np.ndarray) -> np.ndarray:
    return np.asarray(model.forecast(y=y, h=HORIZON)["mean"])  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def smooth() -> np.ndarray:
    """A slow trend with a little noise."""
    rng = np.random.default_rng(1)
    return 50 + 0.05 * np.arange(LENGTH) + rng.normal(0, 0.3, LENGTH).cumsum() * 0.3 + rng.normal(0, 0.5, LENGTH)


@pytest.mark.parametrize("n", [10, 23, LENGTH])
def test_naive_members_are_the_same_to_the_last_digit(smooth: np.ndarray, n: int) -> None:
    ours, y = said(smooth[:n]), smooth[:n]
    np.testing.assert_array_equal(ours["naive"], peer(Naive(), y))
    np.testing.assert_array_equal(ours["seasonal_naive"], peer(SeasonalNaive(SEASON), y))
    np.testing.assert_allclose(ours["drift"], peer(RandomWalkWithDrift(), y), rtol=1e-12)


@pytest.mark.parametrize("gain", bank.LEVEL_GAIN[bank.LEVEL_GAIN > 0.05])
def test_levels_are_simple_smoothing_once_the_start_has_worn_off(smooth: np.ndarray, gain: float) -> None:
    level, lag, loss = np.zeros((1, bank.LEVELS)), np.zeros((1, bank.LEVELS)), np.zeros((1, bank.SHARES, bank.LEVELS))
    for t, x in enumerate(smooth):
        bank.step_levels(x, t, 0, level, loss, lag, 0.0)
    ours = level[0, np.flatnonzero(gain == bank.LEVEL_GAIN)[0]]
    assert ours == pytest.approx(peer(SimpleExponentialSmoothing(alpha=gain), smooth)[0], abs=1e-6)


def test_demand_is_tsb_once_the_start_has_worn_off() -> None:
    rng = np.random.default_rng(2)
    y = np.where(rng.random(LENGTH) < 0.6, 0.0, rng.gamma(4, 2, LENGTH))
    size, chance, loss = (np.zeros(bank.DEMANDS) for _ in range(3))
    for t, x in enumerate(y):
        bank.step_demand(x, t, size, chance, loss)
    for g in np.flatnonzero((bank.SIZE_GAIN >= 0.2) & (bank.DEMAND_GAIN >= 0.1)):
        theirs = peer(TSB(alpha_d=bank.SIZE_GAIN[g], alpha_p=bank.DEMAND_GAIN[g]), y)[0]
        assert size[g] * chance[g] == pytest.approx(theirs, rel=1e-4)


def test_theta_and_trend_lie_near_their_fitted_peers(smooth: np.ndarray) -> None:
    """Theirs optimise their gains on the series, ours choose from a grid by losses of the past."""
    ours = said(smooth)
    noise = np.abs(np.diff(smooth)).mean()
    for name, model in (("level", SimpleExponentialSmoothing(alpha=0.36)), ("theta", Theta()), ("trend", Holt())):
        away = np.abs(ours[name] - peer(model, smooth)).max() / noise
        assert away < 1.0, f"{name}: {ours[name]}"


def test_seasonal_members_find_the_season_that_their_peers_find(smooth: np.ndarray) -> None:
    season = 4 * np.sin(np.arange(LENGTH) * 2 * np.pi / SEASON)
    ours, y = said(smooth + season), smooth + season
    fitted = peer(Theta(season_length=SEASON, decomposition_type="additive"), y)
    noise = np.abs(np.diff(smooth)).mean()
    for name in ("season_level", "season_theta", "season_trend"):
        assert np.abs(ours[name] - fitted).max() / noise < 1.0, name
