"""What a walk is made of: the members of the pool, the sizes of a walk, and its state. Arrays only, no step of it."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.bank import DEMANDS, HOLTS, LEVELS, SEASONS, SHARES, TRENDS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FAMILIES = ("level", "theta", "level_drift", "trend")
SEASONAL_FAMILIES = ("season_level", "season_theta", "season_trend")
_CHANNEL = (*FAMILIES, *SEASONAL_FAMILIES, *(f"{name}_2" for name in SEASONAL_FAMILIES))
OF_A_CHANNEL = len(_CHANNEL)
MEMBERS: tuple[str, ...] = (
    *_CHANNEL,
    *(f"log_{name}" for name in _CHANNEL),
    "naive",
    "drift",
    "seasonal_naive",
    "seasonal_naive_2",
    "ar_values",
    "ar_differences",
    "ar_seasonal",
    "demand",
)
"""Members of the pool that the walk makes, in the order of its arrays; ``_2`` is the second season."""
COUNT = len(MEMBERS)
REFERENCE = COUNT
"""Row behind the members: their mean by inverse cubed loss, whose errors tell the spread."""
NAIVE, DRIFT, REPEAT, REPEAT_2, AUTOREGRESSION, DEMAND = (
    MEMBERS.index(name) for name in ("naive", "drift", "seasonal_naive", "seasonal_naive_2", "ar_values", "demand")
)
SHORTEST = 4
"""Observations from which on the filters speak; before that only the naive members do."""
SIGHTED = 8
"""Observations after which it is settled whether autoregressions see logarithms."""
FORGET, FORGET_SPREAD = 0.98, 0.9
"""Weight of a loss against the one that arrives after it."""
FAST, MIDDLE, SLOW, PHASE = 0.25, 0.07, 0.01, 0.1
"""Gains of the means of absolute one-step errors: a week, three weeks and five months of weekdays; and by place in the
season, ten seasons."""
POSITIVE, LOGS, FAMILY, FILTER, SHARE, ZEROS, FLAGS = range(7)
STATISTICS = ("fast", "middle", "slow", "scale", "count", "lowest", "highest")
"""What the walk says of a series at an origin beside its members: see :func:`~pulse_assets.forecasting.walk.walk`."""


class Spec(NamedTuple):
    """What the walks over series of one frequency share; see :func:`spec`."""

    season: int
    season_2: int
    horizon: int
    order: int
    stride: int
    ring: int
    pending: int
    anchors: int


def anchors_of(horizon: int, count: int = 6) -> Ints:
    """Return the steps ahead at which losses are taken, counted from 0, spaced evenly in their logarithm.

    Examples
    --------
    >>> anchors_of(18).tolist()
    [0, 1, 2, 5, 9, 17]
    """
    if horizon <= count:
        return np.arange(horizon)
    return np.unique(np.round(np.geomspace(1, horizon, count)).astype(np.int64)) - 1


def spec(season: int, season_2: int, horizon: int, memory: int = 0) -> Spec:
    """Return the sizes of a walk.

    Parameters
    ----------
    season, season_2
        Steps of the first and second season; below 2 for none.
    horizon
        Steps ahead.
    memory
        Newest observations that must stay at hand for others, for example a ridge on lags.
    """
    stride = max(1, horizon // 2 if horizon <= 6 else -(-horizon // 4))
    while season > 1 and math.gcd(stride, season) > 1:  # else losses would see some places in the season only
        stride += 1
    order, longest = min(max(season + 1, 6), 26), max(season, season_2, 1)
    ring = 16
    while ring < max(2 * longest, longest + horizon + 2, order + 3, memory):
        ring *= 2
    pending = -(-horizon // stride) + 1
    return Spec(season, season_2, horizon, order, stride, ring, pending, len(anchors_of(horizon)))


class State(NamedTuple):
    """Everything a walk over S series needs to go on; C = 2 channels, J = 2 seasons, m the longest season."""

    seen: Ints  # (S,) observations taken in
    flags: Ints  # (S, FLAGS)
    values: Floats  # (S, C, ring) newest values and logarithms
    trend: Floats  # (S, C, 2) sums of x and t·x
    ends: Floats  # (S, 4) first value, origin of the autoregressions, lowest and highest value
    level: Floats  # (S, C, LEVELS)
    level_loss: Floats  # (S, C, SHARES, LEVELS)
    level_lag: Floats  # (S, C, LEVELS)
    trend_level: Floats  # (S, C, TRENDS)
    trend_slope: Floats
    trend_loss: Floats
    season_level: Floats  # (S, C, J, SEASONS)
    season: Floats  # (S, C, J, m, SEASONS)
    season_loss: Floats  # (S, C, J, 2, SEASONS)
    season_lag: Floats  # (S, C, J, SEASONS)
    holt_level: Floats  # (S, C, J, HOLTS)
    holt_slope: Floats
    holt_season: Floats  # (S, C, J, m, HOLTS)
    holt_loss: Floats
    demand: Floats  # (S, 3, DEMANDS) size, chance, loss
    versions: Floats  # (S, 3, ring) values, differences, seasonal differences
    products: Floats  # (S, 3, order + 1)
    total: Floats  # (S, 3)
    head: Floats  # (S, 3, order + 1)
    pending: Floats  # (S, pending, anchors, COUNT + 1) forecasts that wait for their truth
    made_at: Ints  # (S, pending) observations seen when they were made; -1 for none
    loss: Floats  # (S, COUNT) discounted sums of absolute errors
    weight: Floats  # (S, COUNT) and of their weights
    spread: Floats  # (S, 2, anchors) the same two of the reference, by step ahead
    scale: Floats  # (S, 5) fast, middle, slow errors; sum and number of seasonal differences
    phase: Floats  # (S, season) one-step errors by place in the season


def new_state(series: int, sizes: Spec) -> State:
    """Return the state before the first observation."""

    def zeros(*shape: int) -> Floats:
        return np.zeros((series, *shape))

    c, longest, ring, order = 2, max(sizes.season, sizes.season_2, 1), sizes.ring, sizes.order
    flags = np.zeros((series, FLAGS), np.int64)
    flags[:, POSITIVE] = 1
    return State(
        np.zeros(series, np.int64),
        flags,
        zeros(c, ring),
        zeros(c, 2),
        zeros(4),
        zeros(c, LEVELS),
        zeros(c, SHARES, LEVELS),
        zeros(c, LEVELS),
        zeros(c, TRENDS),
        zeros(c, TRENDS),
        zeros(c, TRENDS),
        zeros(c, 2, SEASONS),
        zeros(c, 2, longest, SEASONS),
        zeros(c, 2, 2, SEASONS),
        zeros(c, 2, SEASONS),
        zeros(c, 2, HOLTS),
        zeros(c, 2, HOLTS),
        zeros(c, 2, longest, HOLTS),
        zeros(c, 2, HOLTS),
        zeros(3, DEMANDS),
        zeros(3, ring),
        zeros(3, order + 1),
        zeros(3),
        zeros(3, order + 1),
        zeros(sizes.pending, sizes.anchors, COUNT + 1),
        np.full((series, sizes.pending), -1, np.int64),
        zeros(COUNT),
        zeros(COUNT),
        zeros(2, sizes.anchors),
        zeros(5),
        zeros(max(sizes.season, 1)),
    )


class Row(NamedTuple):
    """The state of one series: views into :class:`State`."""

    flags: Ints
    values: Floats
    trend: Floats
    ends: Floats
    level: Floats
    level_loss: Floats
    level_lag: Floats
    trend_level: Floats
    trend_slope: Floats
    trend_loss: Floats
    season_level: Floats
    season: Floats
    season_loss: Floats
    season_lag: Floats
    holt_level: Floats
    holt_slope: Floats
    holt_season: Floats
    holt_loss: Floats
    demand: Floats
    versions: Floats
    products: Floats
    total: Floats
    head: Floats
