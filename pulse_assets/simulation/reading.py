"""What the simulator reads from silver: levels by series as known on a day. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Days = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]
Levels = Mapping[str, tuple[Days, Floats]]


def levels_of(silver: pa.Table, ids: Iterable[str]) -> dict[str, tuple[Days, Floats]]:
    """Return days and newest known values of some series.

    Parameters
    ----------
    silver
        Columns ``unique_id, ds, y, known_at`` of ``silver/series``, already cut to what was known.
    ids
        Series; those without a row are left out.

    Returns
    -------
    dict
        By series: days, rising, shape ``(n,)``, and the value of each that was known last, shape ``(n,)``.
    """
    wanted = silver.filter(pc.is_in(silver["unique_id"], pa.array(sorted(set(ids)), pa.string())))
    order = [("unique_id", "ascending"), ("ds", "ascending"), ("known_at", "ascending")]
    rows = wanted.sort_by(order).combine_chunks()
    names = rows["unique_id"].to_numpy(zero_copy_only=False)
    days = rows["ds"].cast(pa.int64()).to_numpy().astype("datetime64[us]").astype("datetime64[D]")
    values = rows["y"].to_numpy()
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1])) if len(names) else np.empty(0, np.int64)
    found = {}
    for first, last in zip(starts, [*starts[1:], len(names)], strict=True):
        newest = np.append(days[first + 1 : last] != days[first : last - 1], True)
        found[str(names[first])] = (days[first:last][newest], values[first:last][newest])
    return found


def known_by(silver: pa.Table, day: date) -> pa.Table:
    """Return the rows that had become known by the end of a day (UTC)."""
    end = np.datetime64(day, "us") + np.timedelta64(1, "D")
    return silver.filter(pc.less(silver["known_at"].cast(pa.int64()), int(end.astype(np.int64))))
