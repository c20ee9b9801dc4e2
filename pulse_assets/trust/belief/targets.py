"""Turns score rows into targets: one record for each truth of a series, model and bucket, beside naive. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.buckets import BUCKETS, bucket_codes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NAIVE, SEASONAL = "naive", "seasonal_naive"
MEASURES = ("wis", "wis_naive", "wis_seasonal", "covered_50", "covered_80", "covered_95", "pit", "move", "naive_error")
"""What is known of a target; ``move`` is how far its median moved between origins, the rest are means over its rows."""
READ = ("as_of", "origin", "unique_id", "model", "h", "ds", "y", "error", "wis", "pit", *MEASURES[3:6])
"""What is read of scores."""


@dataclass(frozen=True)
class Targets:
    """N targets by cell, then day, then event time.

    Parameters
    ----------
    cell
        Series, model and bucket of each, as :func:`parts_of_cell` takes it apart, shape ``(N,)``, rising.
    day
        On which the truth became known, days since 1970, shape ``(N,)``.
    values
        Shape ``(N, 9)``, columns :data:`MEASURES`; NaN where there is nothing to say.
    """

    cell: Ints
    day: Ints
    values: Floats


def parts_of_cell(cell: Ints, models: int) -> tuple[Ints, Ints, Ints]:
    """Return the places of series, model and bucket of cells.

    Examples
    --------
    >>> series, model, bucket = parts_of_cell(np.array([0, 17]), models=2)
    >>> series.tolist(), model.tolist(), bucket.tolist()
    ([0, 2], [0, 0], [0, 1])
    """
    pair, bucket = np.divmod(cell, len(BUCKETS))
    series, model = np.divmod(pair, models)
    return series, model, bucket


def targets_of(scores: pa.Table, ids: Sequence[str], models: Sequence[str]) -> Targets:
    """Return the targets of some series and models; rows of others are left out.

    Forecasts of one truth from several origins and horizons of a bucket share its fate: they count as one, averaged. A
    forecast counts only beside the naive forecast of the same truth from the same origin and horizon: a model that was
    silent on hard days would look skilled beside a sum over all days.

    Parameters
    ----------
    scores
        Columns :data:`READ`, one row a ``(unique_id, model, ds, origin, h)``, in any order.
    ids, models
        Names; ``naive`` among the models.
    """
    series, model = _places(scores["unique_id"], ids), _places(scores["model"], models)
    keep = (series >= 0) & (model >= 0)
    if not keep.any():
        return Targets(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, len(MEASURES))))
    rows, pair = scores.filter(pa.array(keep)), (series * len(models) + model)[keep]
    h = rows["h"].to_numpy().astype(np.int64)
    ds, origin = (_ranks(rows[name].cast(kind)) for name, kind in (("ds", pa.int64()), ("origin", pa.int32())))
    starts = int(origin.max()) + 1, int(h.max()) + 1
    truths = int(ds.max()) + 1
    key = ((pair * truths + ds) * starts[0] + origin) * starts[1] + h
    order = np.argsort(key, kind="stable")  # by series, model, event time, origin: horizons, so buckets, fall
    sorted_rows = _Sorted(rows, order, key[order], h[order], truths * starts[0] * starts[1], starts[0] * starts[1])
    return sorted_rows.targets(pair[order], list(models))


@dataclass(frozen=True)
class _Sorted:
    """Rows in order of their key, in which a model is one ``step`` from the next, and a truth one ``truth``."""

    rows: pa.Table
    order: Ints
    key: Ints
    h: Ints
    step: int
    truth: int

    def column(self, name: str) -> Floats:
        return np.asarray(self.rows[name].cast(pa.float64()).to_numpy()[self.order])

    def targets(self, pair: Ints, models: list[str]) -> Targets:
        naive = self._beside(pair, models, NAIVE)
        kept = np.flatnonzero(naive >= 0)
        cell = pair * len(BUCKETS) + bucket_codes(self.h)
        day = self.rows["as_of"].cast(pa.int32()).to_numpy()[self.order].astype(np.int64)
        table = self._table(naive, self._beside(pair, models, SEASONAL), kept)
        return _averaged(cell[kept], (self.key // self.truth)[kept], day[kept], table)

    def _beside(self, pair: Ints, models: list[str], wanted: str) -> Ints:
        """Return for each row that of another model's forecast of the same truth, origin and horizon, else -1."""
        if wanted not in models:
            return np.full(len(pair), -1)
        theirs = self.key + (models.index(wanted) - pair % len(models)) * self.step
        place = np.minimum(np.searchsorted(self.key, theirs), len(self.key) - 1)
        return np.where(self.key[place] == theirs, place, -1)

    def _table(self, naive: Ints, seasonal: Ints, kept: Ints) -> dict[str, Floats]:
        wis, error = self.column("wis"), self.column("error")
        moves = np.abs(np.diff(self.column("y") - error, prepend=np.nan))
        moves[np.flatnonzero(np.diff(self.key // self.truth)) + 1] = np.nan  # the first origin of the next truth
        return {
            "wis": wis[kept],
            "wis_naive": wis[naive[kept]],
            "wis_seasonal": np.where(seasonal[kept] >= 0, wis[seasonal[kept]], np.nan),
            **{name: self.column(name)[kept] for name in MEASURES[3:7]},
            "move": moves[kept],
            "naive_error": np.abs(error[naive[kept]]),
        }


def _averaged(cell: Ints, truth: Ints, day: Ints, table: dict[str, Floats]) -> Targets:
    """Average the rows of each target, added in their order; of the PIT the newest origin's counts."""
    count = len(cell)
    new = np.ones(count, bool)
    new[1:] = (np.diff(cell) != 0) | (np.diff(truth) != 0)
    begins = np.flatnonzero(new)
    sizes = np.diff(np.append(begins, count))
    values = np.empty((len(begins), len(MEASURES)))
    cell, day = cell[begins], day[begins]
    order = np.lexsort((day, cell))  # stable: event times of one day stay in order
    for place, name in enumerate(MEASURES):
        column = table[name]
        if name == "pit":
            mean = column[begins + sizes - 1]
        elif name == "move":
            mean = _mean_of_known(column, begins)
        else:
            mean = np.add.reduceat(column, begins) / sizes if len(begins) else column
        values[:, place] = mean[order]
    return Targets(cell[order], day[order], values)


def _mean_of_known(column: Floats, begins: Ints) -> Floats:
    known = ~np.isnan(column)
    if not len(begins):
        return column
    total, count = np.add.reduceat(np.where(known, column, 0.0), begins), np.add.reduceat(known.astype(float), begins)
    return np.asarray(np.divide(total, count, out=np.full(len(begins), np.nan), where=count > 0))


def joined(parts: Sequence[Targets], low: int, high: int) -> Targets:
    """Return the targets of cells ``low … high - 1``, from parts whose days follow one another."""
    spans = [slice(*np.searchsorted(part.cell, (low, high)).tolist()) for part in parts]
    chosen = list(zip(parts, spans, strict=True))
    cell = np.concatenate([np.empty(0, np.int64), *(part.cell[span] for part, span in chosen)])
    order = np.argsort(cell, kind="stable")
    day = np.concatenate([np.empty(0, np.int64), *(part.day[span] for part, span in chosen)])
    values = np.concatenate([np.empty((0, len(MEASURES))), *(part.values[span] for part, span in chosen)])
    return Targets(cell[order], day[order], values[order])


def _ranks(column: pa.ChunkedArray) -> Ints:
    """Return the place of each value among the different ones."""
    coded = column.combine_chunks().dictionary_encode()
    values = coded.dictionary.to_numpy()
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(values)] = np.arange(len(values))
    return np.asarray(rank[coded.indices.to_numpy()])


def _places(column: pa.ChunkedArray, names: Sequence[str]) -> Ints:
    found = pc.index_in(column, pa.array(list(names), column.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy().astype(np.int64))
