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
Bools = npt.NDArray[np.bool_]
MEASURES = ("wis", "covered_80", "covered_95")


@dataclass(frozen=True)
class Status:
    """Which series are known, stale and forecast on D days: each of shape ``(D, S)``."""

    ids: tuple[str, ...]
    freqs: tuple[str, ...]
    known: Bools
    fresh: Bools


def daily_sums(scores: pa.Table, days: Sequence[date], ids: Sequence[str], models: Sequence[str]) -> dict[str, Floats]:
    """Return, for each day, series and model, the number of truths and the sums of their mean scores.

    Forecasts of one truth from several origins and horizons count as one: they share its fate.

    Parameters
    ----------
    scores
        ``as_of, unique_id, model, ds, origin, h`` and the measures; any order.
    days, ids, models
        Axes of the result, shape ``(D, S, M)``; days ascending, ids and models sorted. Other rows are ignored.
    """
    shape = (len(days), len(ids), len(models))
    sums = {name: np.zeros(shape) for name in ("targets", *MEASURES)}
    axes = [_index(scores[name], values) for name, values in (("as_of", days), ("unique_id", ids), ("model", models))]
    keep = np.all([axis >= 0 for axis in axes], axis=0)
    if not keep.any():
        return sums
    cell = np.ravel_multi_index([axis[keep] for axis in axes], shape)
    ds, origin = (
        scores[name].cast(kind).to_numpy()[keep] for name, kind in (("ds", pa.int64()), ("origin", pa.int32()))
    )
    order = np.lexsort((scores["h"].to_numpy()[keep], origin, ds, cell))
    cell, ds = cell[order], ds[order]
    begins = np.flatnonzero(np.diff(cell, prepend=-1) | np.diff(ds, prepend=ds[0] - 1))
    sizes = np.diff(np.append(begins, len(cell)))
    truths = cell[begins]
    firsts = np.flatnonzero(np.diff(truths, prepend=-1))
    at = np.unravel_index(truths[firsts], shape)
    sums["targets"][at] = np.diff(np.append(firsts, len(truths)))
    for name in MEASURES:
        values = scores[name].cast(pa.float64()).to_numpy()[keep][order]
        sums[name][at] = np.add.reduceat(np.add.reduceat(values, begins) / sizes, firsts)
    return sums


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
        M names, sorted.
    forecast
        Whether forecasts exist, shape ``(D, S, M)``.
    """
    shape = forecast.shape
    windows = {name: np.zeros(shape) for name in ("targets", *MEASURES)}
    for freq in sorted(set(status.freqs)):
        chosen = np.flatnonzero(np.array(status.freqs) == freq)
        ids = [status.ids[number] for number in chosen]
        daily = daily_sums(scores[freq], history[freq], ids, models)
        for name, sums in daily.items():
            windows[name][:, chosen] = window_sums(sums, window_days(freq, policy))
    naive = list(models).index(NAIVE)
    return Evidence(
        targets=windows["targets"],
        wis=windows["wis"],
        wis_naive=np.broadcast_to(windows["wis"][:, :, naive : naive + 1], shape),
        covered_80=windows["covered_80"],
        covered_95=windows["covered_95"],
        stale=status.known & ~status.fresh,
        short=status.fresh & ~forecast.all(axis=2),
    )


def _index(column: pa.ChunkedArray, values: Sequence[object]) -> npt.NDArray[np.int64]:
    found = pc.index_in(column, pa.array(values, column.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy().astype(np.int64))
