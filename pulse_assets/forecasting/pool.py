"""The pool over a panel: what its members say of each series at any origins, and what is made of that.

Two passes share this. :mod:`.learning` visits origins spread over the past of a sample of series and learns from what
was known at a *refit*; :mod:`.speaking` visits the origins asked for and applies it. Nothing here knows calendars,
tables or kinds of series.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.calibrate import WIDTH, spread_inputs
from pulse_assets.forecasting.gate import INPUTS, blend, look
from pulse_assets.forecasting.lag_forecasts import apply_lags
from pulse_assets.forecasting.lags import LagMap
from pulse_assets.forecasting.volatility import Volatility
from pulse_assets.forecasting.walk import walk
from pulse_assets.forecasting.walk_state import COUNT, NAIVE, STATISTICS, Spec, State, anchors_of, new_state

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Rows = TypeVar("Rows")

LAGS = COUNT + 1
"""Column of the map on lags, behind the walk's members and their reference."""
POOL = COUNT + 2
"""Columns of the pool."""
NEWEST, ZERO = range(2)
SERIES_A_BLOCK, STEPS_A_BLOCK = 64, 40_000


@dataclass(frozen=True)
class Batch:
    """S series of one frequency and kind, on the scale on which they are forecast.

    Parameters
    ----------
    values, offsets
        Observations, shape ``(N,)``, finite; series s owns ``offsets[s]:offsets[s + 1]``, shape ``(S + 1,)``.
    may_log
        Whether logarithms may be taken where a series is positive, shape ``(S,)``.
    code
        A hash of each id, shape ``(S,)``: it decides folds and samples, so that they do not depend on the company.
    sizes
        Season, horizon and what follows from them.
    relative
        Whether relative errors make sense; where they do not, these are market series with a conditional volatility.
    anchor
        What a forecast is pulled to as far as its members have not earned their distance: ``NEWEST`` value or ``ZERO``.
    """

    values: Floats
    offsets: Ints
    may_log: Bools
    code: Ints
    sizes: Spec
    relative: bool
    anchor: int = 0

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.code)

    def select(self, series: Ints) -> "Batch":
        """Return some of the series, in the given order."""
        lengths, begins = np.diff(self.offsets)[series], self.offsets[:-1][series]
        ends = np.cumsum(lengths)
        rows = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - lengths), lengths)
        offsets = np.concatenate(([0], ends)).astype(np.int64)
        return replace(
            self, values=self.values[rows], offsets=offsets, may_log=self.may_log[series], code=self.code[series]
        )


PARTS = ("made", "loss", "spread", "statistics", "phases")
"""Arrays of :class:`Spoken`, one row an origin."""


@dataclass(frozen=True)
class Spoken:
    """What the walk and the map on lags say at P origins; see :func:`~pulse_assets.forecasting.walk.walk`."""

    made: Floats
    loss: Floats
    spread: Floats
    statistics: Floats
    phases: Floats

    @staticmethod
    def empty(origins: int, sizes: Spec) -> "Spoken":
        """Return room for some origins."""
        return Spoken(
            np.full((origins, sizes.horizon, POOL), np.nan),
            np.full((origins, POOL), np.nan),
            np.empty((origins, sizes.anchors)),
            np.empty((origins, len(STATISTICS))),
            np.empty((origins, sizes.horizon)),
        )

    def take(self, rows: Ints) -> "Spoken":
        """Return a copy of some origins."""
        return Spoken(*(getattr(self, name)[rows] for name in PARTS))


def joined(parts: Sequence[Rows]) -> Rows:
    """Return values of one dataclass of arrays, at least one, as one: each array behind the other."""
    kind = type(parts[0])
    return kind(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(kind)))  # type: ignore[arg-type]


def listen(batch: Batch, starts: Ints, origins: Ints, state: State | None = None) -> Spoken:
    """Walk over a batch and return what is said at each origin; the state is advanced in place."""
    spoken = Spoken.empty(len(origins), batch.sizes)
    walk(
        batch.values,
        batch.offsets,
        batch.may_log,
        starts,
        origins,
        state or new_state(len(batch), batch.sizes),
        batch.sizes,
        anchors_of(batch.sizes.horizon),
        spoken.made,
        spoken.loss,
        spoken.spread,
        spoken.statistics,
        spoken.phases,
    )
    return spoken


def hear_lags(
    batch: Batch,
    starts: Ints,
    origins: Ints,
    fitted_on: Ints,
    lag_map: LagMap | None,
    spoken: Spoken,
    before: tuple[Ints, Floats] | None = None,
) -> None:
    """Add what the map on lags says; origins of at most ``fitted_on`` observations get the other fold's map."""
    if lag_map is None:
        return
    apply_lags(
        batch.values,
        batch.offsets,
        batch.may_log,
        batch.code & 1,
        starts,
        origins,
        fitted_on,
        *(before or (np.zeros(len(batch), np.int64), np.zeros((len(batch), 2)))),
        lag_map.coefficients,
        max(batch.sizes.season, 1),
        batch.sizes.stride,
        anchors_of(batch.sizes.horizon),
        LAGS,
        spoken.made,
        spoken.loss,
    )


def blocks_of(series: int, starts: Ints, horizon: int) -> list[tuple[int, int]]:
    """Cut series into blocks of bounded size: so many series, so many steps said at all their origins."""
    cuts, low, most = [], 0, STEPS_A_BLOCK // horizon
    while low < series:
        high = low + 1
        while high < min(series, low + SERIES_A_BLOCK) and starts[high + 1] - starts[low] <= most:
            high += 1
        cuts.append((low, high))
        low = high
    return cuts


def looked(spoken: Spoken) -> tuple[Bools, Floats, Floats]:
    """Return what the gate sees; see :func:`~pulse_assets.forecasting.gate.look`."""
    count = len(spoken.loss)
    usable, closeness, features = np.zeros((count, POOL), bool), np.empty((count, POOL)), np.empty((count, INPUTS))
    look(spoken.made, spoken.loss, spoken.statistics, usable, closeness, features)
    return usable, closeness, features


def blended(gate: Floats, spoken: Spoken) -> tuple[Floats, Floats, Floats]:
    """Return center and distance of the members, shape ``(P, H)``, and their weights, shape ``(P, 2, POOL)``."""
    usable, closeness, features = looked(spoken)
    center, apart = (np.empty(spoken.made.shape[:2]) for _ in range(2))
    weights = np.zeros((len(center), 2, POOL))
    blend(gate, spoken.made, usable, closeness, features, weights, center, apart)
    return center, apart, weights


def spread_parts(spoken: Spoken, apart: Floats, expected: Floats, sizes: Spec) -> tuple[Floats, Floats]:
    """Return base and inputs of the spread; see :func:`~pulse_assets.forecasting.calibrate.spread_inputs`."""
    base, inputs = np.empty_like(apart), np.empty((*apart.shape, WIDTH))
    anchors = anchors_of(sizes.horizon)
    spread_inputs(spoken.spread, spoken.statistics, apart, expected, spoken.phases, anchors, base, inputs)
    return base, inputs


def anchors_at(spoken: Spoken, anchor: int) -> Floats:
    """Return what forecasts are pulled to, shape ``(P, H)``."""
    return np.zeros(spoken.made.shape[:2]) if anchor == ZERO else spoken.made[:, :, NAIVE].copy()


def expected_spreads(volatility: Volatility, batch: Batch, starts: Ints, origins: Ints) -> Floats:
    """Return the standard deviations that a volatility expects at origins, shape ``(P, H)``."""
    variance = volatility.next_variances(batch.values, batch.offsets, starts, origins)
    return volatility.spreads(np.repeat(np.arange(len(batch)), np.diff(starts)), variance, batch.sizes.horizon)
