"""From bronze rows to silver series: one id space, one value column, flags, the partition of first knowledge. Pure."""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.calendars import partition_days, steps_between

SPLIT_RATIOS = np.array([2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0])
SPLIT_TOLERANCE = 0.02
OUTPUT = ["as_of", "unique_id", "ds", "y", "known_at", "kind", "unit", "freq", "calendar", "source", "flags"]


def to_series(bars: pa.Table, vintages: pa.Table, first: date, last: date, start: date) -> pa.Table:
    """Return the silver rows of the partitions ``first`` … ``last``.

    Parameters
    ----------
    bars, vintages
        All bronze rows known by the end of ``last``; earlier ones are needed to flag the rows of the range.
    first, last
        First and last partition, weekdays.
    start
        First partition that exists; it also holds everything known before it.

    Returns
    -------
    pyarrow.Table
        Columns of ``silver/series``. Flags: ``gap`` (steps of its calendar are missing before the row),
        ``suspected_split`` (a price moved by a usual split ratio within 2 %; the value stays as it came), ``revision``
        (the same event time was known before with another value), ``late`` (a later event time was known before).
    """
    named = [
        bars.rename_columns([{"symbol": "name", "close": "y"}.get(c, c) for c in bars.column_names]),
        vintages.rename_columns([{"series_id": "name", "value": "y"}.get(c, c) for c in vintages.column_names]),
    ]
    wanted = ["source", "name", "ds", "y", "known_at", "kind", "unit", "freq", "calendar"]
    frame = pa.concat_tables([table.select(wanted) for table in named]).to_pandas()
    if frame.empty:
        return pa.table({name: [] for name in OUTPUT})
    frame["unique_id"] = frame["source"] + ":" + frame["name"]
    frame = frame.sort_values(["unique_id", "known_at", "ds"], kind="stable", ignore_index=True)
    frame["flags"] = _flags(frame)
    days = partition_days(_naive(frame["known_at"]), np.datetime64(start))
    frame["as_of"] = days.astype("datetime64[D]").astype(object)
    chosen = (days >= np.datetime64(first)) & (days <= np.datetime64(last))
    return pa.Table.from_pandas(frame.loc[chosen, OUTPUT], preserve_index=False)


def first_missing(rows: pa.Table, held: pa.Table) -> date | None:
    """Return the first partition of silver rows that the table does not hold yet; None if it holds all.

    Parameters
    ----------
    rows
        Rows as :func:`to_series` makes them.
    held
        ``unique_id, ds, known_at`` of the table.
    """
    keys = ["unique_id", "ds", "known_at"]
    missing = rows.select([*keys, "as_of"]).join(held, keys=keys, join_type="left anti")
    return pc.min(missing["as_of"]).as_py()  # type: ignore[no-any-return]


def _flags(frame: pd.DataFrame) -> pd.Series:
    """Return flags; each row is compared only with rows of its series that were known before it."""
    series = frame.groupby("unique_id", sort=False)
    newest = series["ds"].cummax()
    before = newest.groupby(frame["unique_id"], sort=False).shift()
    seen = frame.duplicated(["unique_id", "ds"])
    follows = (before < frame["ds"]).to_numpy()
    previous_ds, previous_y = _naive(series["ds"].shift()), series["y"].shift().to_numpy(float)
    in_order = follows & (series["ds"].shift() == before).to_numpy()
    ratio = np.where(in_order, frame["y"].to_numpy(float) / np.where(previous_y == 0, np.nan, previous_y), np.nan)
    gap = np.zeros(len(frame), bool)
    ds = _naive(frame["ds"])
    for freq, calendar in frame[["freq", "calendar"]].drop_duplicates().itertuples(index=False):
        rows = in_order & (frame["freq"] == freq).to_numpy() & (frame["calendar"] == calendar).to_numpy()
        gap[rows] = steps_between(previous_ds[rows], ds[rows], freq, calendar) > 1
    words = {
        "gap": gap,
        "suspected_split": _splits(ratio) & (frame["kind"] == "price").to_numpy(),
        "revision": seen.to_numpy(),
        "late": (before > frame["ds"]).to_numpy() & ~seen.to_numpy(),
    }
    text = pd.Series("", index=frame.index)
    for word, holds in words.items():
        text = text.where(~holds, text + np.where(text == "", "", " ") + word)
    return text


def _splits(ratio: np.ndarray) -> np.ndarray:
    """Return which ratios of neighbouring prices lie within 2 % of a usual split or reverse split."""
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.maximum(ratio, 1 / ratio)
        return np.asarray((np.abs(moved[:, None] / SPLIT_RATIOS - 1) < SPLIT_TOLERANCE).any(axis=1))


def _naive(times: pd.Series) -> np.ndarray:
    return np.asarray(times.dt.tz_localize(None).to_numpy("datetime64[us]"))
