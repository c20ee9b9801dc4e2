"""From a long table of anyone's to series that can be forecast, each fault with a reason code. Pure.

Faults of the table (a missing column, an unknown frequency, mixed time zones) are errors; faults of one series
(duplicate stamps, no finite value, a value that no scale takes) cost that series alone and are told by its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.calendars import steps_between

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ALIASES = {"h": "h", "H": "h", "D": "D", "B": "B", "W": "W", "M": "MS", "MS": "MS", "ME": "MS"} | {
    **dict.fromkeys(("Q", "QS", "QE"), "QS"),
    **dict.fromkeys(("Y", "A", "YS", "YE", "AS"), "YS"),
}
"""Names of frequencies that are understood, and the one Pulse uses; a suffix such as ``-SUN`` is left aside."""
GAP_POLICIES = ("ffill", "zero", "none")
REASONS = {
    "DUPLICATE_STAMPS": "two values for one time stamp, and nothing says which came later",
    "NO_VALUES": "no finite value",
    "TOO_SHORT": "fewer observations than a forecast needs",
    "OFF_SCALE": "a value too large, or one that its kind does not allow: a price of zero, for example",
    "GAPS_FILLED": "steps without a value were filled; the forecast stands",
    "HAS_GAPS": "steps without a value, and the gap policy forbids to fill them or they outnumber the values",
    "TOO_FINE": "several values within one step of the frequency; aggregate them first",
    "NOT_NEW": "an update for a time that is known already; a revision needs a new fit",
    "NOT_FITTED": "an update for a series that was not there when the panel was fitted",
    "NOT_FINITE": "its jumps over many orders of magnitude leave no finite quantile",
    "CONSTANT": "it never moved, so its intervals have no width",
    "MEMBER_RAISED": "a model from outside raised on it; the forecast stands without that model",
    "MEMBER_SHAPE": "a model from outside gave it a wrong number of steps; the forecast stands without that model",
    "MEMBER_NONFINITE": "a model from outside gave it no finite numbers; the forecast stands without that model",
    "EXOGENOUS_MISSING": "exogenous values are missing at its end or for steps ahead; the forecast stands without",
}
"""Reason codes of series, in words."""
FATAL = ("DUPLICATE_STAMPS", "NO_VALUES", "TOO_SHORT", "OFF_SCALE", "HAS_GAPS", "TOO_FINE", "NOT_FINITE")
MOST_FILLED, SPARE = 3, 1_000
"""A series may be filled by three times its values and a thousand steps; what is sparser has another frequency."""


@dataclass(frozen=True)
class Series:
    """S series, sorted by id: observations one step apart.

    Parameters
    ----------
    ids
        Shape ``(S,)``.
    values, offsets
        Finite observations, shape ``(N,)``, and where each series begins, shape ``(S + 1,)``.
    newest
        Time stamp of each series' last observation: microseconds since 1970, or steps where stamps are integers.
    stamps
        ``datetime`` or ``integer``.
    reasons
        Reason code by id, for the series that have one; series with a fatal one are not among ``ids``.
    """

    ids: npt.NDArray[np.object_]
    values: Floats
    offsets: Ints
    newest: Ints
    stamps: str
    reasons: Mapping[str, str]

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.ids)


def frequency(name: str) -> str:
    """Return Pulse's name of a frequency.

    Raises
    ------
    ValueError
        It is not known.

    Examples
    --------
    >>> frequency("W-SUN")
    'W'
    """
    found = ALIASES.get(name.split("-")[0])
    if found is None:
        raise ValueError(f"frequency {name!r} is not known; use one of {', '.join(sorted(ALIASES))}")
    return found


def read_series(table: pa.Table, freq: str, *, gap_policy: str = "ffill") -> Series:
    """Read a long table of one frequency.

    Parameters
    ----------
    table
        Columns ``unique_id`` (text), ``ds`` (timestamps, dates, ISO text or integers) and ``y`` (numbers; null and NaN
        are gaps), any order. With ``known_at`` the value known last counts where one stamp has several.
    freq
        See :data:`ALIASES`.
    gap_policy
        What becomes of a missing step: ``ffill`` repeats the value before it, ``zero`` takes 0, ``none`` refuses the
        series.

    Raises
    ------
    ValueError
        A column is missing or has the wrong type, time zones are mixed, or an option is not known.
    """
    freq = frequency(freq)
    if gap_policy not in GAP_POLICIES:
        raise ValueError(f"gap policy {gap_policy!r} is not known; use one of {', '.join(GAP_POLICIES)}")
    ids, codes, stamps, y, kind = _columns(table, freq)
    codes, stamps, y, twice = _in_order(table, codes, stamps, y)
    reasons: dict[str, str] = {str(ids[code]): "DUPLICATE_STAMPS" for code in np.unique(codes[twice])}
    finite = np.isfinite(y)
    silent = (np.bincount(codes, minlength=len(ids)) > 0) & (np.bincount(codes, finite, len(ids)) == 0)
    reasons |= {str(ids[code]): "NO_VALUES" for code in np.flatnonzero(silent)}
    if not finite.all():
        codes, stamps, y = codes[finite], stamps[finite], y[finite]
    steps = _steps(codes, stamps, freq, kind)
    reasons = {str(ids[code]): "TOO_FINE" for code in np.unique(codes[1:][steps == 0])} | reasons
    missing = np.bincount(codes[1:], np.maximum(steps - 1, 0), len(ids)) if len(codes) > 1 else np.zeros(len(ids))
    sparse = missing > MOST_FILLED * np.bincount(codes, minlength=len(ids)) + SPARE
    for code in np.flatnonzero(missing):
        refused = gap_policy == "none" or sparse[code]
        reasons.setdefault(str(ids[code]), "HAS_GAPS" if refused else "GAPS_FILLED")
    fatal = np.array([reasons.get(str(name)) in FATAL for name in ids], bool)
    kept = ~fatal[codes] if len(codes) else np.empty(0, bool)
    if not kept.all():
        codes, stamps, y = codes[kept], stamps[kept], y[kept]
        steps = _steps(codes, stamps, freq, kind)
    codes, stamps, y = _filled(codes, stamps, y, steps, gap_policy)
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    offsets = np.append(starts, len(codes)).astype(np.int64)
    names = ids[codes[starts]] if len(starts) else ids[:0]
    newest = stamps[offsets[1:] - 1] if len(names) else np.empty(0, np.int64)
    return Series(names, y, offsets, newest, kind, reasons)


def _columns(table: pa.Table, freq: str) -> tuple[npt.NDArray[np.object_], Ints, Ints, Floats, str]:
    """Return sorted ids, their codes, stamps as integers, values, and what stamps are."""
    missing = [name for name in ("unique_id", "ds", "y") if name not in table.column_names]
    if missing:
        raise ValueError(f"the table lacks {', '.join(missing)}; it has {', '.join(table.column_names)}")
    if not len(table):
        raise ValueError("the table has no rows")
    column = table["unique_id"].combine_chunks()
    column = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
    if column.null_count:
        raise ValueError(f"unique_id is missing in {column.null_count:,} rows; every row needs its series")
    names = column.dictionary.cast(pa.string()).to_numpy(zero_copy_only=False)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    codes = rank[column.indices.to_numpy(zero_copy_only=False)]
    try:
        y = table["y"].cast(pa.float64()).fill_null(np.nan).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"y must be numbers: {error}") from error
    stamps, kind = stamps_of(table["ds"], freq)
    return names[order], codes, stamps, y, kind


def stamps_of(column: pa.ChunkedArray, freq: str) -> tuple[Ints, str]:
    """Return time stamps as microseconds since 1970, or steps where they are integers, and which of both they are."""
    if column.null_count:
        raise ValueError(f"ds is missing in {column.null_count:,} rows; every row needs its time stamp")
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64()).to_numpy(), "integer"
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parsed(column)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None and freq != "h":
        column = pc.local_timestamp(column)  # a day is a day where the clock hung; hours repeat there in autumn
    try:
        return column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy(), "datetime"
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"ds must be timestamps, dates, ISO text or integers; came {column.type}: {error}") from error


def _parsed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse ISO text as the clock showed it; either no stamp names a time zone or all do, and then the same one."""
    clock = pc.replace_substring_regex(column, r"^(.*?\d\d:\d\d(:\d\d(\.\d+)?)?).*$", r"\1")
    zones = pc.replace_substring_regex(column, r"^.*?\d\d:\d\d(:\d\d(\.\d+)?)?", "")
    dated = pc.match_substring(column, ":")
    found = sorted(set(pc.unique(zones.filter(dated)).to_pylist()))
    if len(found) > 1:
        named = ", ".join(repr(zone) for zone in found[:4])
        raise ValueError(f"ds mixes time zones ({named}); write all stamps in one")
    try:
        days = pc.all(pc.less_equal(pc.utf8_length(column), 10)).as_py()
        return column.cast(pa.date32()) if days else clock.cast(pa.timestamp("us"))
    except pa.ArrowInvalid as error:
        raise ValueError(f"ds has a stamp that is no ISO date or time: {error}") from error


def _in_order(table: pa.Table, codes: Ints, stamps: Ints, y: Floats) -> tuple[Ints, Ints, Floats, Bools]:
    """Return rows by series and stamp, later knowledge replacing earlier, and which rows still share a stamp."""
    step = np.diff(codes)
    if len(codes) < 2 or bool(((step > 0) | ((step == 0) & (np.diff(stamps) > 0))).all()):
        return codes, stamps, y, np.zeros(len(codes), bool)
    keys: tuple[npt.NDArray[np.generic], ...] = (stamps, codes)
    known = None
    if "known_at" in table.column_names:
        known = table["known_at"].cast(pa.timestamp("us"), safe=False).cast(pa.int64()).fill_null(0).to_numpy()
        keys = (known, *keys)
    order = np.lexsort(keys)
    codes, stamps, y = codes[order], stamps[order], y[order]
    same = (np.diff(codes) == 0) & (np.diff(stamps) == 0)
    if known is None:
        return codes, stamps, y, np.append(same, False)
    last = np.append(~same, True)
    tied = np.append(False, same & (np.diff(known[order]) == 0))
    return codes[last], stamps[last], y[last], tied[last]


def _steps(codes: Ints, stamps: Ints, freq: str, kind: str) -> Ints:
    """Return the steps between neighbouring rows, 1 where a new series begins; shape ``(N - 1,)``."""
    steps = np.ones(max(len(codes) - 1, 0), np.int64)
    inside = np.flatnonzero(np.diff(codes) == 0)
    steps[inside] = steps_apart(stamps[inside], stamps[inside + 1], freq, kind)
    return steps


def steps_apart(earlier: Ints, later: Ints, freq: str, kind: str) -> Ints:
    """Return the steps between stamps of a series, shape ``(N,)``; ``kind`` is what stamps are.

    Examples
    --------
    >>> steps_apart(np.array([3]), np.array([7]), "D", "integer").tolist()
    [4]
    """
    if kind == "integer":
        return np.asarray(later - earlier)
    before, after = earlier.astype("datetime64[us]"), later.astype("datetime64[us]")
    if freq == "W":  # a holiday moves a release by a day or two
        return np.asarray(np.rint((after - before) / np.timedelta64(7, "D")).astype(np.int64))
    return steps_between(before, after, freq, "weekday" if freq == "B" else "none")


def _filled(codes: Ints, stamps: Ints, y: Floats, steps: Ints, gap_policy: str) -> tuple[Ints, Ints, Floats]:
    """Fill missing steps inside series."""
    if not (steps > 1).any():
        return codes, stamps, y
    repeats = np.append(np.maximum(steps, 1), 1)
    filled = np.repeat(y, repeats)
    if gap_policy == "zero":
        added = np.ones(len(filled), bool)
        added[np.cumsum(repeats) - repeats] = False
        filled[added] = 0.0
    return np.repeat(codes, repeats), np.repeat(stamps, repeats), filled
