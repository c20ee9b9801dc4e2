"""Turns score rows into the evidence of the licence gate: windows of scored truths for each day. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.licences import NAIVE, Evidence, Policy, window_days, window_sums

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MEASURES = ("wis", "covered_80", "covered_95")
SUMS = ("targets", "wis_naive", *MEASURES)


@dataclass(frozen=True)
class Status:
    """Which series are known, stale and forecast on D days: each of shape ``(D, S)``."""

    ids: tuple[str, ...]
    freqs: tuple[str, ...]
    known: Bools
    fresh: Bools


def daily_sums(scores: pa.Table, days: Sequence[date], ids: Sequence[str], models: Sequence[str]) -> dict[str, Floats]:
    """Return, for each day, series and model, the number of truths and the sums of their mean scores.

    Forecasts of one truth from several origins and horizons count as one: they share its fate. A forecast counts only
    beside the naive forecast of the same truth from the same origin and horizon: a model that was silent on hard days
    would look skilled beside a sum over all days.

    Parameters
    ----------
    scores
        ``as_of, unique_id, model, ds, origin, h`` and the measures; any order.
    days, ids, models
        Axes of the result, shape ``(D, S, M)``; days ascending, ids and models sorted, ``naive`` among the models.
        Other rows are ignored.
    """
    shape = (len(days), len(ids), len(models))
    sums = {name: np.zeros(shape) for name in SUMS}
    axes = [_index(scores[name], values) for name, values in (("as_of", days), ("unique_id", ids), ("model", models))]
    keep = np.all([axis >= 0 for axis in axes], axis=0)
    if not keep.any():
        return sums
    cell = np.ravel_multi_index([axis[keep] for axis in axes], shape)
    ds, origin, h = (
        scores[name].cast(kind).to_numpy()[keep]
        for name, kind in (("ds", pa.int64()), ("origin", pa.int32()), ("h", pa.int16()))
    )
    beside = _naive_rows(cell // len(models), ds, origin, h, axes[2][keep] == list(models).index(NAIVE))
    order = np.lexsort((h, origin, ds, cell))
    order = order[beside[order] >= 0]
    if not len(order):
        return sums
    cell, ds = cell[order], ds[order]
    begins = np.flatnonzero(np.diff(cell, prepend=-1) | np.diff(ds, prepend=ds[0] - 1))
    sizes = np.diff(np.append(begins, len(cell)))
    truths = cell[begins]
    firsts = np.flatnonzero(np.diff(truths, prepend=-1))
    at = np.unravel_index(truths[firsts], shape)
    sums["targets"][at] = np.diff(np.append(firsts, len(truths)))
    values = {name: scores[name].cast(pa.float64()).to_numpy()[keep] for name in MEASURES}
    chosen = {"wis_naive": values["wis"][beside[order]], **{name: of[order] for name, of in values.items()}}
    for name, of in chosen.items():
        sums[name][at] = np.add.reduceat(np.add.reduceat(of, begins) / sizes, firsts)
    return sums


def _naive_rows(series: Ints, ds: Ints, origin: Ints, h: Ints, is_naive: Bools) -> Ints:
    """Return for each row that of the naive forecast of the same truth, origin and horizon, -1 where there is none."""
    keys = (series, ds, origin, h)
    order = np.lexsort((~is_naive, *reversed(keys)))  # naive leads those that share a key
    begins = np.zeros(len(order), bool)
    begins[:1] = True
    for key in keys:
        begins[1:] |= np.diff(key[order]) != 0
    first = order[begins][np.cumsum(begins) - 1]
    found = np.empty(len(order), np.int64)
    found[order] = np.where(is_naive[first], first, -1)
    return found


def gather(
    scores: Mapping[str, pa.Table],
    status: Status,
    history: Mapping[str, Sequence[date]],
    models: Sequence[str],
    forecast: Bools,
    policy: Policy,
) -> Evidence:
    """Return the evidence at each of the last D days of ``history``.

    Parameters
    ----------
    scores
        By frequency: score rows of the days in ``history``.
    status
        What is known of each series, shape ``(D, S)``.
    history
        By frequency: the days of its first window, which ends at the first of the D days, followed by the other days.
    models
        M names, sorted, ``naive`` among them.
    forecast
        Whether forecasts exist, shape ``(D, S, M)``.
    """
    windows = {name: np.zeros(forecast.shape) for name in SUMS}
    for freq in sorted(set(status.freqs)):
        chosen = np.flatnonzero(np.array(status.freqs) == freq)
        ids = [status.ids[number] for number in chosen]
        daily = daily_sums(scores[freq], history[freq], ids, models)
        for name, sums in daily.items():
            windows[name][:, chosen] = window_sums(sums, window_days(freq, policy))
    return Evidence(
        targets=windows["targets"],
        wis=windows["wis"],
        wis_naive=windows["wis_naive"],
        covered_80=windows["covered_80"],
        covered_95=windows["covered_95"],
        stale=status.known & ~status.fresh,
        short=status.fresh & ~forecast[:, :, list(models).index(NAIVE)],
        forecast=forecast,
    )


def _index(column: pa.ChunkedArray, values: Sequence[object]) -> npt.NDArray[np.int64]:
    found = pc.index_in(column, pa.array(values, column.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy().astype(np.int64))
