"""Turns score rows into targets: one record for each truth of a series, model and bucket, beside naive. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.buckets import bucket_codes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NAIVE, SEASONAL = "naive", "seasonal_naive"
MEASURES = ("wis", "wis_naive", "wis_seasonal", "covered_50", "covered_80", "covered_95", "pit", "move", "naive_error")
"""What is known of a target; ``move`` is how far its median moved between origins, the rest are means over its rows."""


@dataclass(frozen=True)
class Targets:
    """Targets of K cells (series, model, bucket), in flat arrays of N, by cell, then day, then event time.

    Parameters
    ----------
    series, model, bucket
        Of each cell, places among the names that were handed in, shape ``(K,)``.
    offsets
        Cell k owns targets ``offsets[k]:offsets[k + 1]``.
    day
        On which the truth became known, days since 1970, shape ``(N,)``.
    values
        Shape ``(N, 9)``, columns :data:`MEASURES`; NaN where there is nothing to say.
    """

    series: Ints
    model: Ints
    bucket: Ints
    offsets: Ints
    day: Ints
    values: Floats


def targets_of(scores: pa.Table, ids: Sequence[str], models: Sequence[str]) -> Targets:
    """Return the targets of some series and models; rows of others are left out.

    Forecasts of one truth from several origins and horizons of a bucket share its fate: they count as one, averaged. A
    forecast counts only beside the naive forecast of the same truth from the same origin and horizon: a model that was
    silent on hard days would look skilled beside a sum over all days.

    Parameters
    ----------
    scores
        Columns ``as_of, origin, unique_id, model, h, ds, error, wis, pit, covered_50, covered_80, covered_95``.
    ids, models
        Names; ``naive`` among the models.
    """
    series, model = _places(scores["unique_id"], ids), _places(scores["model"], models)
    keep = (series >= 0) & (model >= 0)
    rows = scores.filter(pa.array(keep))
    series, model = series[keep], model[keep]
    h, origin = rows["h"].to_numpy().astype(np.int64), rows["origin"].cast(pa.int32()).to_numpy().astype(np.int64)
    ds, day = rows["ds"].cast(pa.int64()).to_numpy(), rows["as_of"].cast(pa.int32()).to_numpy().astype(np.int64)
    bucket = bucket_codes(h)
    same = (series, ds, origin, h)
    naive = _beside(same, model == list(models).index(NAIVE))
    seasonal = _beside(same, model == list(models).index(SEASONAL)) if SEASONAL in models else np.full(len(h), -1)
    wis, error = (rows[name].to_numpy().astype(np.float64) for name in ("wis", "error"))
    values = {
        "wis": wis,
        "wis_naive": wis[naive],
        "wis_seasonal": np.where(seasonal >= 0, wis[seasonal], np.nan),
        **{
            name: rows[name].cast(pa.float64()).to_numpy() for name in ("covered_50", "covered_80", "covered_95", "pit")
        },
        "move": _moves(rows, series, model, ds, origin, h),
        "naive_error": np.abs(error[naive]),
    }
    table = np.column_stack([values[name] for name in MEASURES]) if len(h) else np.empty((0, len(MEASURES)))
    order = np.lexsort((h, origin, ds, day, bucket, model, series))
    order = order[naive[order] >= 0]
    return _averaged([part[order] for part in (series, model, bucket, day, ds)], table[order])


def _averaged(keys: list[Ints], table: Floats) -> Targets:
    """Average the rows of each target, added in their order; of the PIT the newest origin's counts."""
    count = len(table)
    new = np.ones(count, bool)
    if count:
        new[1:] = np.any([np.diff(key) != 0 for key in keys], axis=0)
    begins = np.flatnonzero(new)
    sizes = np.diff(np.append(begins, count))
    values = np.add.reduceat(table, begins, axis=0) / sizes[:, None] if count else table
    last = begins + sizes - 1
    values[:, MEASURES.index("pit")] = table[last, MEASURES.index("pit")]
    series, model, bucket, day, _ = (key[begins] for key in keys)
    cell = np.ones(len(begins), bool)
    if len(begins):
        cell[1:] = (np.diff(series) != 0) | (np.diff(model) != 0) | (np.diff(bucket) != 0)
    firsts = np.flatnonzero(cell)
    return Targets(
        series[firsts], model[firsts], bucket[firsts], np.append(firsts, len(begins)).astype(np.int64), day, values
    )


def _beside(keys: tuple[Ints, ...], wanted: Bools) -> Ints:
    """Return for each row the wanted row that shares its keys, -1 where there is none."""
    order = np.lexsort((~wanted, *reversed(keys)))  # the wanted one leads those that share a key
    begins = np.zeros(len(order), bool)
    begins[:1] = True
    for key in keys:
        begins[1:] |= np.diff(key[order]) != 0
    if not len(order):
        return np.empty(0, np.int64)
    first = order[begins][np.cumsum(begins) - 1]
    found = np.empty(len(order), np.int64)
    found[order] = np.where(wanted[first], first, -1)
    return found


def _moves(rows: pa.Table, series: Ints, model: Ints, ds: Ints, origin: Ints, h: Ints) -> Floats:
    """Return how far the median moved since the origin before, NaN for the first origin of a truth."""
    median = rows["y"].to_numpy().astype(np.float64) - rows["error"].to_numpy()
    order = np.lexsort((-h, origin, ds, model, series))
    found = np.full(len(h), np.nan)
    if len(order) > 1:
        same = np.all([np.diff(key[order]) == 0 for key in (series, model, ds)], axis=0)
        found[order[1:]] = np.where(same, np.abs(np.diff(median[order])), np.nan)
    return found


def _places(column: pa.ChunkedArray, names: Sequence[str]) -> Ints:
    found = pc.index_in(column, pa.array(list(names), column.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy().astype(np.int64))
