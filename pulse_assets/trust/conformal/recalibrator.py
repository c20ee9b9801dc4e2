"""Recalibrates the forecasts of one day after another: tables in, tables out. Pure."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.numerics.normal_scores import values_at
from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.trust.buckets import BUCKETS, bucket_codes
from pulse_assets.trust.conformal import learning
from pulse_assets.trust.conformal.learning import Arrived
from pulse_assets.trust.conformal.rows import Rows
from pulse_assets.trust.conformal.thresholds import METHODS, RAW, Issued, issue

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kept = npt.NDArray[np.float32]
MICROSECONDS_A_DAY = 86_400_000_000


class Recalibrator:
    """Carries windows, rates and issued thresholds from day to day.

    Parameters
    ----------
    frequencies
        Frequency of every series; series of one frequency lend each other their scores.
    """

    def __init__(self, frequencies: Mapping[str, str]) -> None:
        self.rows = Rows(frequencies)
        self.state = learning.fresh_state(0)

    def learn(self, scores: pa.Table, *, judged: bool = True) -> None:
        """Take in what became known on some days.

        Parameters
        ----------
        scores
            Columns ``as_of, unique_id, model, h, ds, origin, z`` of ``gold/scores``, in any order.
        judged
            Whether issued thresholds are judged too; without, scores only enter the windows.
        """
        if len(scores):
            self._learn(self._arrived(scores), judged=judged)

    def remember(self, pending: pa.Table) -> None:
        """Take up thresholds that were issued before, whose truths may still come.

        Parameters
        ----------
        pending
            Columns ``as_of, unique_id, model, h, ds, z`` of ``gold/calibrated``, in any order.
        """
        day = _days(pending["as_of"])
        if (np.diff(day) < 0).any():
            order = np.argsort(day, kind="stable")
            pending, day = pending.take(pa.array(order)), day[order]
        self._await(self._rows_of(pending), _event_times(pending), _lists(pending["z"]), day)

    def restore(self, newest: pa.Table) -> None:
        """Take up the rates of the last day; those of all other rows start anew.

        Parameters
        ----------
        newest
            Columns ``unique_id, model, h, rates`` of ``gold/calibrated``.
        """
        rows = self._rows_of(newest)
        self.state.rates[:] = LEVELS
        self.state.rates[rows] = _lists(newest["rates"])

    def calibrate(self, scores: pa.Table, forecasts: pa.Table) -> pa.Table:
        """Return the forecasts of some days with their quantiles moved, by ascending ``as_of``.

        Parameters
        ----------
        scores
            As in :meth:`learn`, of these days.
        forecasts
            Columns of ``gold/forecasts``; what became known on the day of an origin is used for it.

        Returns
        -------
        pyarrow.Table
            Columns of ``gold/calibrated`` up to ``model_version``.
        """
        made = _days(forecasts["as_of"])
        if (np.diff(made) < 0).any():
            forecasts = forecasts.take(pa.array(np.argsort(made, kind="stable")))
            made = np.sort(made)
        arrived, rows, ds = self._arrived(scores), self._rows_of(forecasts), _event_times(forecasts)
        parts, rates, done = [], np.empty((len(rows), len(LEVELS)), np.float32), 0
        for day in np.unique(made):
            known = int(np.searchsorted(arrived.day, day, side="right"))
            self._learn(arrived.part(done, known))
            low, high = np.searchsorted(made, (day, day + 1))
            parts.append(self._issued(rows[low:high], ds[low:high], int(day), rates[low:high]))
            done = known
        self._learn(arrived.part(done, len(arrived.rows)))
        none = Issued(np.empty((0, len(LEVELS))), np.empty(0, np.int8), np.empty(0, np.int64))
        issued = Issued(*(np.concatenate(column) for column in zip(none, *parts, strict=True)))
        return _moved_table(forecasts, issued, rates)

    def _issued(self, rows: Ints, ds: Ints, day: int, rates: Kept) -> Issued:
        """Issue the thresholds of a day; write the rates that the next day begins with, as they are kept."""
        groups = np.unique(self.rows.group[rows], return_inverse=True)[1]
        found = issue(self.state, rows, groups, self.rows.overlap[rows], day - self.rows.memory[rows])
        self._await(rows, ds, found.thresholds.astype(np.float32), np.full(len(rows), day))
        rates[:] = self.state.rates[rows]
        self.state.rates[:] = LEVELS
        self.state.rates[rows] = rates
        return found

    def _await(self, rows: Ints, ds: Ints, thresholds: Kept, day: Ints) -> None:
        until = np.maximum(day, ds // MICROSECONDS_A_DAY) + self.rows.patience[rows]
        self.state = learning.await_truths(self.state, rows, ds, thresholds, day, until)

    def _learn(self, arrived: Arrived, *, judged: bool = True) -> None:
        steps = learning.STEP / np.sqrt(np.sqrt(self.rows.overlap[arrived.rows]))
        learning.learn(self.state, arrived, steps, judged=judged)

    def _arrived(self, scores: pa.Table) -> Arrived:
        """Return truths in order, each once for a row: by the newest origin that was made before it."""
        rows, ds, day = self._rows_of(scores), _event_times(scores), _days(scores["as_of"])
        order = _in_order(day, ds, rows)
        same = (np.diff(rows[order]) == 0) & (np.diff(ds[order]) == 0)
        if same.any():
            order = np.lexsort((_days(scores["origin"]), rows, ds, day))
            same = (np.diff(rows[order]) == 0) & (np.diff(ds[order]) == 0)
        order = order[np.append(~same, True)[: len(order)]]
        return Arrived(rows[order], ds[order], day[order], scores["z"].to_numpy().astype(np.float64)[order])

    def _rows_of(self, table: pa.Table) -> Ints:
        rows = self.rows.of(table)
        more = len(self.rows) - len(self.state.seen)
        if more:
            self.state = learning.with_rows(self.state, more)
        return rows


def moved_quantiles(quantiles: Floats, thresholds: Floats) -> Floats:
    """Return quantiles taken at other normal scores; none is negative where the raw forecast could not be.

    Parameters
    ----------
    quantiles, thresholds
        Shape ``(n, 23)``; thresholds never fall in a row.

    Examples
    --------
    >>> from pulse_assets.numerics.normal_scores import KNOTS
    >>> moved_quantiles(10 + KNOTS[None, :], KNOTS[None, :] + 1)[0, 11].item()
    11.0
    """
    moved = values_at(quantiles, thresholds)
    moved = np.where(quantiles[:, :1] >= 0, np.maximum(moved, 0.0), moved)
    return np.asarray(np.maximum.accumulate(moved, axis=1))


def _moved_table(forecasts: pa.Table, issued: Issued, rates: Kept) -> pa.Table:
    raw = np.column_stack([forecasts[name].to_numpy() for name in QUANTILE_COLUMNS])
    moved = moved_quantiles(raw, issued.thresholds)
    quantiles = np.where((issued.method != RAW)[:, None], moved, raw)
    return pa.table(
        {
            **{name: forecasts[name] for name in ("as_of", "unique_id", "model", "h", "ds")},
            "bucket": pa.array(np.array(BUCKETS, object)[bucket_codes(forecasts["h"].to_numpy())], pa.string()),
            "mean": forecasts["mean"].to_numpy() + _mean(quantiles) - _mean(raw),
            **{name: quantiles[:, level] for level, name in enumerate(QUANTILE_COLUMNS)},
            "targets": issued.held,
            "method": pa.array(np.array(METHODS, object)[issued.method], pa.string()),
            "z": _as_lists(issued.thresholds.astype(np.float32)),
            "rates": _as_lists(rates),
            "model_version": forecasts["model_version"],
        }
    )


def _mean(quantiles: Floats) -> Floats:
    """Return the mean of the levels, added in one order."""
    total = np.zeros(len(quantiles))
    for level in range(quantiles.shape[1]):
        total += quantiles[:, level]
    return np.asarray(total / quantiles.shape[1])


def _in_order(day: Ints, ds: Ints, rows: Ints) -> Ints:
    """Return places by day, then event time, then row; by one sort of 64-bit keys where these fit."""
    if not len(rows):
        return np.empty(0, np.int64)
    places = np.unique(ds, return_inverse=True)[1]
    events, many = int(places.max()) + 1, int(rows.max()) + 1
    if (int(day.max()) - int(day.min()) + 1) * events * many < 2**62:
        return np.argsort(((day - day.min()) * events + places) * many + rows, kind="stable")
    return np.lexsort((rows, ds, day))


def _lists(column: pa.ChunkedArray) -> Kept:
    return np.asarray(column.combine_chunks().flatten().to_numpy().reshape(len(column), len(LEVELS)))


def _as_lists(values: Kept) -> pa.ListArray:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(offsets, values.ravel())


def _days(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.cast(pa.int32()).to_numpy().astype(np.int64))


def _event_times(table: pa.Table) -> Ints:
    return np.asarray(table["ds"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy())
