"""Recalibrates the forecasts of one day after another: tables in, tables out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.numerics.normal_scores import values_at
from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.trust.buckets import BUCKETS, bucket_codes
from pulse_assets.trust.conformal import adaptive
from pulse_assets.trust.conformal.issued import Issued
from pulse_assets.trust.conformal.rows import Rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Truths:
    """Truths that became known on one day, each once for every series, model and horizon: by its newest origin.

    Parameters
    ----------
    rows
        Columns ``unique_id, model, h``.
    ds
        Event times in microseconds, shape ``(k,)``.
    z
        Normal scores, shape ``(k,)``.
    """

    rows: pa.Table
    ds: Ints
    z: Floats

    @classmethod
    def of(cls, scores: pa.Table) -> "Truths":
        """Return the truths of score rows: columns ``unique_id, model, h, ds, origin, z``; any order."""
        keys = [("unique_id", "ascending"), ("model", "ascending"), ("h", "ascending"), ("ds", "ascending")]
        ordered = scores.sort_by([*keys, ("origin", "ascending")])
        last = np.ones(len(ordered), bool)
        if len(ordered) > 1:
            same = np.ones(len(ordered) - 1, bool)
            for name, _ in keys:
                column = ordered[name].combine_chunks()
                same &= pc.equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
            last[:-1] = ~same
        kept = ordered.filter(pa.array(last))
        return cls(
            kept.select(["unique_id", "model", "h"]),
            kept["ds"].cast(pa.int64()).to_numpy(),
            kept["z"].to_numpy().astype(np.float64),
        )


class Recalibrator:
    """Carries windows, rates and issued thresholds from day to day.

    Parameters
    ----------
    frequencies
        Frequency of every series; series of one frequency lend each other their scores while they are new.
    """

    def __init__(self, frequencies: Mapping[str, str]) -> None:
        self.frequencies = frequencies
        self.rows = Rows()
        self.state = adaptive.fresh_state(0)
        self.issued = Issued()

    def fill(self, truths: Truths, day: date) -> None:
        """Take scores into the windows, without judging thresholds: they were judged before."""
        self._learn(truths, day, judged=False)

    def learn(self, truths: Truths, day: date) -> None:
        """Take in what became known on a day, days ascending."""
        self._learn(truths, day, judged=True)

    def restore(self, own: pa.Table, newest: date) -> None:
        """Take up rates and thresholds from rows that were made before.

        Parameters
        ----------
        own
            Columns ``as_of, unique_id, model, h, ds, z, rates`` of ``gold/calibrated``, by ascending ``as_of``.
        newest
            Its last day: only rows that were forecast then have rates.
        """
        rows = self._rows_of(own)
        day = own["as_of"].cast(pa.int32()).to_numpy().astype(np.int64)
        z, ds = _lists(own["z"]), own["ds"].cast(pa.int64()).to_numpy()
        for number in np.unique(day):
            at = day == number
            self.issued.add(rows[at], ds[at], z[at], int(number))
        at = day == _number(newest)
        self.state.rates[rows[at]] = _lists(own["rates"])[at]
        self.issued.forget(_number(newest))

    def calibrate(self, forecasts: pa.Table, day: date) -> pa.Table:
        """Return the forecasts of a day with their quantiles moved, in the order they came in.

        Parameters
        ----------
        forecasts
            Columns of ``gold/forecasts``, one origin.

        Returns
        -------
        pyarrow.Table
            Columns of ``gold/calibrated`` up to ``model_version``.
        """
        if not len(forecasts):
            return forecasts
        rows, number = self._rows_of(forecasts), _number(day)
        overlap = forecasts["h"].to_numpy().astype(np.int64)
        found, method = adaptive.thresholds(self.state, rows, self._pools(forecasts, rows, number), overlap, number)
        moved = method != adaptive.RAW
        found = found.astype(np.float32).astype(np.float64)  # as they are kept: a range is the same as its days
        self.issued.add(rows, forecasts["ds"].cast(pa.int64()).to_numpy(), found, number)
        self.issued.forget(number)
        rates = self.state.rates[rows].astype(np.float32)
        self.state.rates[:] = LEVELS
        self.state.rates[rows] = rates
        raw = np.column_stack([forecasts[name].to_numpy() for name in QUANTILE_COLUMNS])
        quantiles = np.where(moved[:, None], moved_quantiles(raw, found), raw)
        h = forecasts["h"].to_numpy()
        columns = {
            **{name: forecasts[name] for name in ("as_of", "unique_id", "model", "h", "ds")},
            "bucket": pa.array(np.array(BUCKETS, object)[bucket_codes(h)], pa.string()),
            "mean": forecasts["mean"].to_numpy() + _mean(quantiles) - _mean(raw),
            **{name: quantiles[:, level] for level, name in enumerate(QUANTILE_COLUMNS)},
            "targets": adaptive.held(self.state, rows, number),
            "method": pa.array(np.array(adaptive.METHODS, object)[method], pa.string()),
            "z": pa.array(list(found.astype(np.float32)), pa.list_(pa.float32())),
            "rates": pa.array(list(rates), pa.list_(pa.float32())),
            "model_version": forecasts["model_version"],
        }
        return pa.table(columns)

    def _learn(self, truths: Truths, day: date, *, judged: bool) -> None:
        rows, number = self._rows_of(truths.rows), _number(day)
        issued = np.full((len(rows), len(LEVELS)), np.nan)
        overlap = truths.rows["h"].to_numpy().astype(np.int64)
        if judged:
            issued = self.issued.take(rows, truths.ds)
        for turn in _turns(rows):  # two truths of one row on one day: first the earlier event
            adaptive.learn(self.state, rows[turn], truths.z[turn], issued[turn], overlap[turn], number)

    def _rows_of(self, table: pa.Table) -> Ints:
        rows = self.rows.of(table)
        more = len(self.rows) - len(self.state.seen)
        if more:
            fresh = adaptive.fresh_state(more)
            self.state = adaptive.State(*(np.concatenate(pair) for pair in zip(self.state, fresh, strict=True)))
        return rows

    def _pools(self, forecasts: pa.Table, rows: Ints, day: int) -> Floats:
        """Return for each row the quantiles of comparable ones: same frequency, model and horizon."""
        pools = np.full((len(rows), len(LEVELS)), np.nan)
        groups = _groups(forecasts, self.frequencies)
        for group in range(int(groups.max()) + 1):
            members = groups == group
            pools[members] = adaptive.pooled_quantiles(self.state, np.sort(rows[members]), day)
        return pools


def moved_quantiles(quantiles: Floats, thresholds: Floats) -> Floats:
    """Return quantiles taken at other normal scores; none is negative where the raw forecast could not be.

    Parameters
    ----------
    quantiles, thresholds
        Shape ``(n, 23)``; thresholds never fall in a row.

    Examples
    --------
    >>> moved_quantiles(10 + KNOTS[None, :], KNOTS[None, :] + 1)[0, 11].item()
    11.0
    """
    moved = values_at(quantiles, thresholds)
    moved = np.where(quantiles[:, :1] >= 0, np.maximum(moved, 0.0), moved)
    return np.asarray(np.maximum.accumulate(moved, axis=1))


def _mean(quantiles: Floats) -> Floats:
    """Return the mean of the levels, added in one order."""
    total = np.zeros(len(quantiles))
    for level in range(quantiles.shape[1]):
        total += quantiles[:, level]
    return np.asarray(total / quantiles.shape[1])


def _groups(forecasts: pa.Table, frequencies: Mapping[str, str]) -> Ints:
    """Return a number for each frequency, model and horizon."""
    ids = forecasts["unique_id"].combine_chunks().dictionary_encode()
    of_id = np.array([frequencies.get(name, "") for name in ids.dictionary.to_pylist()])
    freq = np.unique(of_id, return_inverse=True)[1][ids.indices.to_numpy(zero_copy_only=False)]
    model = forecasts["model"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    code = (freq.astype(np.int64) * 1_024 + model) * 4_096 + forecasts["h"].to_numpy()
    return np.asarray(np.unique(code, return_inverse=True)[1], np.int64)


def _turns(rows: Ints) -> list[Ints]:
    """Cut places into turns in which every row comes once, in order."""
    if len(np.unique(rows)) == len(rows):
        return [np.arange(len(rows))]
    order = np.argsort(rows, kind="stable")
    begins = np.flatnonzero(np.diff(rows[order], prepend=-1))
    rank = np.arange(len(rows)) - np.repeat(begins, np.diff(np.append(begins, len(rows))))
    return [np.sort(order[rank == turn]) for turn in range(int(rank.max()) + 1)]


def _lists(column: pa.ChunkedArray) -> Floats:
    flat = column.combine_chunks().flatten().to_numpy().astype(np.float64)
    return np.asarray(flat.reshape(len(column), len(LEVELS)))


def _number(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))
