"""Lays silver rows out as a ledger that a kernel can walk: what was told, in the order in which it became known. Pure.

Unlike a panel for forecasting it keeps every vintage, since revisions and duplicates are what it is asked about.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.calendars import steps_between

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]

TIME = pa.timestamp("us", "UTC")
COLUMNS = ["unique_id", "ds", "y", "known_at", "kind", "freq", "calendar"]
HALF_STEP = {"W": np.timedelta64(3, "D"), "QS": np.timedelta64(31, "D"), "YS": np.timedelta64(184, "D")}
"""By how much an event time may move within its week, quarter or year and still count for that one."""


@dataclass(frozen=True)
class Ledger:
    """S series told in R rows about E event times; times in microseconds since 1970 (UTC).

    Parameters
    ----------
    ids, kind, freq, calendar
        One entry a series, sorted by id, shape ``(S,)``; the traits are those of the row that was known first.
    known, values, event
        One entry a row, shape ``(R,)``, by series and then in the order of knowledge; ``event`` is the place of its
        event time. A value that is not finite tells nothing.
    row_offsets, event_offsets
        Shape ``(S + 1,)``: which rows and event times are a series' own.
    ds, step
        One entry an event time, shape ``(E,)``, rising within a series; ``step`` counts steps of its calendar.
    """

    ids: Texts
    kind: Texts
    freq: Texts
    calendar: Texts
    known: Ints
    values: Floats
    event: Ints
    row_offsets: Ints
    event_offsets: Ints
    ds: Ints
    step: Ints

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.ids)


def keep_ledger(rows: pa.Table, last_end: int) -> Ledger:
    """Lay out the silver rows that were known before a moment.

    Parameters
    ----------
    rows
        Columns :data:`COLUMNS`, in any order of rows; ``y`` may be null, NaN or infinite, nothing else null.
    last_end
        Microseconds since 1970: rows known at or after it are left out.

    Raises
    ------
    ValueError
        A column is missing, or a frequency or calendar is none.
    """
    absent = [name for name in COLUMNS if name not in rows.column_names]
    if absent:
        raise ValueError(f"expected columns {COLUMNS}, missing {absent}; came {rows.column_names}")
    early = pc.less(rows["known_at"].cast(TIME), pa.scalar(last_end).cast(TIME))
    rows = rows if pc.all(early).as_py() else rows.filter(early)
    codes, ids = _series_of(rows)
    ds, known = (rows[name].cast(TIME).cast(pa.int64()).to_numpy() for name in ("ds", "known_at"))
    y = np.asarray(rows["y"].cast(pa.float64()).to_numpy(), float)
    order = _in_order(codes, known, ds, y)
    codes, ds, known, y = codes[order], ds[order], known[order], y[order]
    row_offsets = np.searchsorted(codes, np.arange(len(ids) + 1))
    first = pa.array(order[row_offsets[:-1]])
    kind, freq, calendar = (rows[name].take(first).to_numpy() for name in ("kind", "freq", "calendar"))
    event, of, times = _event_times(codes, ds)
    return Ledger(
        ids=ids,
        kind=kind,
        freq=freq,
        calendar=calendar,
        known=known,
        values=y,
        event=event,
        row_offsets=row_offsets,
        event_offsets=np.searchsorted(of, np.arange(len(ids) + 1)),
        ds=times,
        step=_steps(freq, calendar, ds[row_offsets[:-1]], of, times),
    )


def alike(freq: Texts, calendar: Texts) -> Iterator[tuple[str, str, Bools]]:
    """Yield each frequency and calendar that occurs, and which series have it."""
    for pair in sorted(set(zip(freq, calendar, strict=True))):
        yield *pair, (freq == pair[0]) & (calendar == pair[1])


def _series_of(rows: pa.Table) -> tuple[Ints, Texts]:
    """Return the place of each row's series among the sorted ids, and these."""
    if not len(rows):
        return np.array([], np.int64), np.array([], object)
    names = pa.concat_arrays(rows["unique_id"].dictionary_encode().unify_dictionaries().chunks)
    ids = names.dictionary.to_numpy(zero_copy_only=False)
    place = np.empty(len(ids), np.int64)
    order = np.argsort(ids)
    place[order] = np.arange(len(ids))
    return place[names.indices.to_numpy()], ids[order]


def _in_order(codes: Ints, known: Ints, ds: Ints, y: Floats) -> Ints:
    """Return the order by series, knowledge and event time; where these agree by value, so that no order came in."""
    order = np.lexsort((ds, known, codes))
    same = [np.diff(column[order]) == 0 for column in (codes, known, ds)]
    return np.lexsort((y, ds, known, codes)) if np.logical_and.reduce(same).any() else order


def _event_times(codes: Ints, ds: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the place of each row's event time, and series and time of each event time."""
    order = np.lexsort((ds, codes))
    fresh = (np.diff(codes[order], prepend=-1) != 0) | (np.diff(ds[order], prepend=np.iinfo(np.int64).min) != 0)
    place = np.empty(len(ds), np.int64)
    place[order] = np.cumsum(fresh) - 1
    chosen = order[fresh]
    return place, codes[chosen], ds[chosen]


def _steps(freq: Texts, calendar: Texts, first: Ints, of: Ints, ds: Ints) -> Ints:
    """Count the steps of each event time from the one that was known first, which a series may not change later."""
    step = np.zeros(len(ds), np.int64)
    for name, exchange, ours in alike(freq, calendar):
        if name not in ("h", "D", "B", "W", "MS", "QS", "YS"):
            raise ValueError(f"freq {name!r} of {int(ours.sum())} series is none of h, D, B, W, MS, QS, YS")
        mine = ours[of]
        start = first[of[mine]].astype("datetime64[us]")
        late = HALF_STEP.get(name, np.timedelta64(0, "us"))
        when = np.asarray(ds[mine].astype("datetime64[us]") + late, "datetime64[us]")
        step[mine] = steps_between(start, when, name, exchange)
    return step
