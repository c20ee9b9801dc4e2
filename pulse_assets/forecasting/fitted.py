"""A fitted panel that takes in new observations in place, at the cost of those observations alone. Pure.

What the panel taught stays frozen; every filter, loss and spread moves on. The forecasts are, bit for bit, those of
walking over the whole history again with the same panel model.
"""

from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.api import Forecast, as_forecast
from pulse_assets.forecasting.engine import MapBlocks, inline
from pulse_assets.forecasting.frames import read_series, steps_apart
from pulse_assets.forecasting.kinds import to_scale
from pulse_assets.forecasting.lag_forecasts import move_tails, tail_length
from pulse_assets.forecasting.lags import lags_of
from pulse_assets.forecasting.learning import PanelModel, fit_models
from pulse_assets.forecasting.pool import PARTS, hear_lags, listen
from pulse_assets.forecasting.prepared import Prepared, prepare
from pulse_assets.forecasting.speaking import outlook_of
from pulse_assets.forecasting.walk_state import State, new_state

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Fitted:
    """Series that were walked to their newest observation, and the panel model that serves them.

    Made by :meth:`fit`; :meth:`update` moves it on, :meth:`forecast` speaks from where it stands.
    """

    def __init__(self, ready: Prepared, model: PanelModel) -> None:
        batch = ready.batch
        self.ready = ready
        self.model = model
        self.counts: Ints = np.diff(batch.offsets)
        self.fitted_on = self.counts.copy()
        self.newest = ready.series.newest.copy()
        self.reasons = dict(ready.series.reasons)
        self._places = {str(name): place for place, name in enumerate(ready.series.ids)}
        self._state: State = new_state(len(batch), batch.sizes)
        self._tails = batch
        self._gone, self._before = np.zeros(len(batch), np.int64), np.zeros((len(batch), 2))
        self._spoken = listen(batch, np.arange(len(batch) + 1), self.counts, self._state)
        self._variance = np.empty(0)
        if model.volatility is not None:
            arrays = (batch.values, batch.offsets, np.arange(len(batch) + 1), self.counts)
            self._variance = model.volatility.next_variances(*arrays)
        self._keep_tails(np.empty(0), np.zeros(len(batch) + 1, np.int64))
        self._hear(np.arange(len(batch)))

    @classmethod
    def fit(cls, table: pa.Table, *, map_blocks: MapBlocks = inline, **options: Any) -> Self:  # noqa: ANN401
        """Fit a table; options as for :func:`~pulse_assets.forecasting.api.forecast`."""
        ready = prepare(table, **options)
        counts = np.diff(ready.batch.offsets)
        return cls(ready, fit_models(ready.batch, counts[:, None], [ready.prior], map_blocks)[0])

    @classmethod
    def frozen(cls, table: pa.Table, model: PanelModel, fitted_on: dict[str, int], **options: Any) -> Self:  # noqa: ANN401
        """Walk over a whole table with a panel model that was fitted before, on the first observations of each series.

        Parameters
        ----------
        model
            What the panel had taught.
        fitted_on
            How many observations of each series it was fitted on.
        """
        made = cls(prepare(table, **options), model)
        made.fitted_on = np.array([fitted_on.get(str(name), 0) for name in made.ready.series.ids], np.int64)
        made._hear(np.arange(len(made.counts)))
        return made

    def update(self, table: pa.Table) -> Self:
        """Take in observations that follow the newest ones of their series.

        A stamp that is not after the newest one is refused with the reason ``NOT_NEW`` (a revision changes the past:
        fit again), an unknown series with ``NOT_FITTED``; a step left out is filled with the value before it.

        Raises
        ------
        ValueError
            The table is not one that :func:`~pulse_assets.forecasting.api.forecast` takes.
        """
        rows = read_series(table, self.ready.freq)
        if rows.stamps != self.ready.series.stamps:
            raise ValueError(f"stamps were {self.ready.series.stamps} when fitted; came {rows.stamps}")
        self.reasons |= {name: reason for name, reason in rows.reasons.items() if reason != "GAPS_FILLED"}
        pieces: dict[int, Floats] = {}
        for number, name in enumerate(rows.ids):
            place = self._places.get(str(name))
            first, last = rows.offsets[number], rows.offsets[number + 1]
            if place is None:
                self.reasons[str(name)] = "NOT_FITTED"
                continue
            values = to_scale(rows.values[first:last], np.full(last - first, self.ready.scale[place]))
            if np.isnan(values).any():
                self.reasons[str(name)] = "OFF_SCALE"
                continue
            missing = self._missing(place, int(rows.newest[number]), len(values))
            if missing < 0:
                self.reasons[str(name)] = "NOT_NEW"
                continue
            pieces[place] = np.concatenate([np.full(missing, self._last_value(place)), values])
            self.newest[place] = rows.newest[number]
        self._walk_on(pieces)
        return self

    def forecast(self) -> Forecast:
        """Forecast every series from its newest observation; see :func:`~pulse_assets.forecasting.api.forecast`."""
        batch, expected = self.ready.batch, np.empty((0, 0))
        if self.model.volatility is not None:
            every = np.arange(len(self.counts))
            expected = self.model.volatility.spreads(every, self._variance, batch.sizes.horizon)
        said = outlook_of(self.model, self._spoken, expected, batch.sizes, batch.anchor)
        series = replace(self.ready.series, newest=self.newest, reasons=self.reasons)
        return as_forecast(replace(self.ready, series=series), said, self.model)

    def _missing(self, place: int, newest: int, count: int) -> int:
        """Return how many steps lie between the newest known observation and the first of ``count`` new ones."""
        newest_known, stamps = self.newest[place : place + 1], self.ready.series.stamps
        steps = steps_apart(newest_known, np.array([newest]), self.ready.freq, stamps)
        return int(steps[0]) - count

    def _last_value(self, place: int) -> float:
        return float(self._tails.values[self._tails.offsets[place + 1] - 1])

    def _walk_on(self, pieces: dict[int, Floats]) -> None:
        if not pieces:
            return
        lengths = np.zeros(len(self.counts), np.int64)
        for place, values in pieces.items():
            lengths[place] = len(values)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        new = np.concatenate([pieces[place] for place in sorted(pieces)])
        moved = np.flatnonzero(lengths)
        self.counts = self.counts + lengths
        starts = np.concatenate(([0], np.cumsum(lengths > 0)))
        fresh = replace(self.ready.batch, values=new, offsets=offsets)
        spoken = listen(fresh, starts, self.counts[moved], self._state)
        for name in PARTS:
            getattr(self._spoken, name)[moved] = getattr(spoken, name)
        self._move_variance(new, offsets)
        self._keep_tails(new, offsets)
        self._hear(moved)

    def _move_variance(self, new: Floats, offsets: Ints) -> None:
        """Take the new observations into the conditional variances, one after the other."""
        if self.model.volatility is None:
            return
        newest = self._tails.values[self._tails.offsets[1:] - 1]
        lengths = np.diff(offsets)
        for step in range(int(lengths.max(initial=0))):
            moved = np.flatnonzero(lengths > step)
            value, part = new[offsets[:-1][moved] + step], self.model.volatility.take(moved)
            self._variance[moved] = part.update(self._variance[moved], newest[moved], value)
            newest[moved] = value

    def _keep_tails(self, new: Floats, offsets: Ints) -> None:
        batch, sizes = self._tails, self.ready.batch.sizes
        season = max(sizes.season, 1)
        keep = tail_length(lags_of(sizes.season, sizes.season_2), season, sizes.stride)
        room = np.minimum(np.diff(batch.offsets) + np.diff(offsets), keep)
        values, places = np.empty(int(room.sum())), np.empty(len(batch) + 1, np.int64)
        may_log = batch.may_log.copy()
        arrays = (batch.values, batch.offsets, new, offsets, season, keep, may_log, self._gone, self._before)
        move_tails(*arrays, values, places)
        self._tails = replace(batch, values=values, offsets=places, may_log=may_log)

    def _hear(self, moved: Ints) -> None:
        """Bring the map on lags up to date for some series."""
        part = self._spoken.take(moved)
        starts = np.searchsorted(moved, np.arange(len(self.counts) + 1))
        before = (self._gone, self._before)
        hear_lags(self._tails, starts, self.counts[moved], self.fitted_on, self.model.lag_map, part, before)
        for name in ("made", "loss"):
            getattr(self._spoken, name)[moved] = getattr(part, name)
