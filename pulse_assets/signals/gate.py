"""The gate between what a source delivered and what bronze accepts: casts, rules, duplicates, times. Pure.

Every row comes out once: accepted with the table's types, or refused with the first rule that it broke.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from pulse_assets.signals.calendars import STEPS_A_YEAR, business_days, infer_freq

POSITIVE_KINDS = ("price", "volatility")
MAX_ID_LENGTH = 128
MISSING_WORDS = ("", "nan", "na", "n/a", "null", "none", ".")
FREQ_SETTLED_BY = 20
"""First known rows that settle a frequency: fewer than any forecast needs, so none hangs on rows known after it."""
PRICES = ("open", "high", "low", "close")
CLOCK_WORDS = ("now", "today")  # pandas reads the wall clock for them
NUMBER_TYPES = ("string", "empty", "floating", "integer", "mixed-integer-float", "decimal", "categorical")
EARLIEST, LATEST = pd.Timestamp("1678-01-01", tz="UTC"), pd.Timestamp("2261-12-31", tz="UTC")
REFUSED_COLUMNS = ("hash", "reason", "detail", "original")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a bronze table needs of a delivery: id column, number columns, and which numbers are required."""

    table: Literal["market_bars", "macro_vintages"]
    identity: str
    numbers: tuple[str, ...]
    required: str


SHAPES = {
    "market_bars": Shape("market_bars", "symbol", (*PRICES, "volume"), "close"),
    "macro_vintages": Shape("macro_vintages", "series_id", ("value",), "value"),
}


@dataclass(frozen=True, slots=True)
class Gated:
    """Rows accepted, in the shape of their bronze table without ``source``, and rows refused with reasons."""

    accepted: pa.Table
    refused: pa.Table


@dataclass(frozen=True, slots=True)
class Receipt:
    """What holds for every row of a delivery: its traits and the moment it was received (UTC)."""

    kind: str
    unit: str
    freq: str | None
    calendar: str
    lag_hours: float
    received_at: datetime


def gate(rows: pa.Table, shape: Shape, receipt: Receipt, origin: str) -> Gated:
    """Cast delivered rows and sort them into accepted and refused.

    Parameters
    ----------
    rows
        Columns as the source protocol names them, text or typed.
    shape
        The bronze table that they are meant for.
    receipt
        Traits and time of receipt.
    origin
        Where they came from; part of the hash of a refusal.

    Returns
    -------
    Gated
        Reasons: ``missing_column``, ``unknown_freq``, ``unknown_calendar`` (once for a whole delivery), ``missing_id``,
        ``field_too_large``, ``wrong_type``, ``missing_value``, ``not_finite``, ``not_positive``, ``high_below_low``,
        ``future_timestamp``, ``known_before_event`` and ``duplicate_key``.
    """
    whole = _wrong_as_a_whole(rows, shape, receipt)
    if whole is not None:
        return Gated(_no_rows(), refusals([whole], origin))
    # pandas metadata would turn columns into an index, and a null would turn the integer 5 into 5.0
    raw = rows.to_pandas(ignore_metadata=True, integer_object_nulls=True, date_as_object=False)
    frame, reasons, details = _cast(raw, shape, receipt)
    _apply_rules(frame, reasons, details, shape, receipt)
    bad = reasons.ne("").to_numpy()
    broken = zip(reasons[bad], details[bad], _originals(raw[bad]), strict=True)
    accepted = _finish(frame[~bad].reset_index(drop=True), shape, receipt)
    return Gated(pa.Table.from_pandas(accepted, preserve_index=False), refusals(broken, origin))


def _wrong_as_a_whole(rows: pa.Table, shape: Shape, receipt: Receipt) -> tuple[str, str, str] | None:
    """Return reason, detail and original if no row of the delivery can be judged."""
    needed = (shape.identity, "ds", shape.required)
    absent = [name for name in needed if name not in rows.column_names]
    if absent:
        detail = f"expected columns {list(needed)}, missing {absent}; came {rows.column_names} with {len(rows)} rows"
        return "missing_column", detail, json.dumps(rows.column_names)
    if receipt.freq is not None and receipt.freq not in STEPS_A_YEAR:
        detail = f"freq {receipt.freq!r} is none of {list(STEPS_A_YEAR)}; {len(rows)} rows"
        return "unknown_freq", detail, receipt.freq
    try:
        business_days(receipt.calendar)
    except ValueError as error:
        return "unknown_calendar", f"{error}; {len(rows)} rows", receipt.calendar
    return None


def refusals(broken: "Iterator[tuple[str, str, str]] | list[tuple[str, str, str]]", origin: str) -> pa.Table:
    """Return quarantine rows (``hash, reason, detail, original``) for ``(reason, detail, original)`` triples."""
    rows = [(_digest(origin, *triple), *triple) for triple in broken]
    columns = list(zip(*rows, strict=True)) or [()] * len(REFUSED_COLUMNS)
    return pa.table({name: pa.array(list(c), pa.string()) for name, c in zip(REFUSED_COLUMNS, columns, strict=True)})


def _cast(raw: pd.DataFrame, shape: Shape, receipt: Receipt) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Return typed columns and, for each row, the first cast that failed."""
    frame = pd.DataFrame(index=raw.index)
    reasons = pd.Series("", index=raw.index, dtype=object)
    details = reasons.copy()
    identity = raw[shape.identity].astype("string").str.strip()
    frame[shape.identity] = identity
    _refuse(reasons, details, identity.isna() | identity.eq(""), "missing_id", f"{shape.identity} is empty")
    _refuse(
        reasons,
        details,
        identity.str.len().gt(MAX_ID_LENGTH),
        "field_too_large",
        f"{shape.identity} has over {MAX_ID_LENGTH} characters",
    )
    for name in ("ds", "known_at"):
        if name in raw:
            frame[name] = _times(raw[name])
            expected = f"{name} to be a date or time such as 2024-01-31"
            _refuse(
                reasons,
                details,
                frame[name].isna() & ~(_missing(raw[name]) & (name != "ds")),
                "wrong_type",
                expected,
                raw[name],
            )
    for name in shape.numbers:
        if name not in raw:
            frame[name] = np.nan
            continue
        frame[name], missing = _numbers(raw[name]), _missing(raw[name])
        _refuse(reasons, details, frame[name].isna() & ~missing, "wrong_type", f"{name} to be a number", raw[name])
        if name == shape.required:
            _refuse(reasons, details, missing, "missing_value", f"{name} to hold a value", raw[name])
    if "known_at" not in frame:
        frame["known_at"] = pd.NaT
    stated = frame["known_at"].notna()
    received = pd.Timestamp(receipt.received_at)
    assumed = frame["ds"] + pd.Timedelta(hours=receipt.lag_hours)
    tomorrow = frame["ds"] > received  # its event time lies ahead of us only by the clock
    latest = frame["ds"].where(tomorrow, received)
    assumed = assumed.where(assumed < latest, latest)  # what was received is known
    frame["known_at"] = pd.to_datetime(frame["known_at"].where(stated, assumed), utc=True)
    frame["known_at_basis"] = np.where(stated, "stated", "assumed")
    return frame, reasons, details


def _apply_rules(frame: pd.DataFrame, reasons: pd.Series, details: pd.Series, shape: Shape, receipt: Receipt) -> None:
    now = pd.Timestamp(receipt.received_at)
    infinite = pd.Series(np.isinf(frame[list(shape.numbers)].to_numpy()).any(axis=1), index=frame.index)
    _refuse(
        reasons,
        details,
        infinite,
        "not_finite",
        "every number to be finite",
        frame[shape.required],
    )
    if receipt.kind in POSITIVE_KINDS:
        prices = [name for name in shape.numbers if name != "volume"]
        _refuse(
            reasons,
            details,
            (frame[prices] <= 0).any(axis=1),
            "not_positive",
            f"a {receipt.kind} above zero",
            frame[shape.required],
        )
    if shape.table == "market_bars":
        low = frame["low"] > frame[["open", "high", "close"]].min(axis=1)
        high = frame["high"] < frame[["open", "low", "close"]].max(axis=1)
        _refuse(reasons, details, low | high, "high_below_low", "low <= open, close <= high", frame["high"])
    ahead = now + timedelta(days=1)  # a source east of UTC may already live in tomorrow
    _refuse(reasons, details, frame["ds"] > ahead, "future_timestamp", f"ds up to {ahead:%Y-%m-%d}", frame["ds"])
    _refuse(
        reasons,
        details,
        frame["known_at"] > ahead,
        "future_timestamp",
        f"known_at up to {ahead:%Y-%m-%d}",
        frame["known_at"],
    )
    early = frame["known_at"] < frame["ds"]
    _refuse(reasons, details, early, "known_before_event", "known_at not before ds", frame["known_at"])
    good = frame[reasons.eq("")]
    again = good.duplicated([shape.identity, "ds", "known_at"], keep="first").reindex(frame.index, fill_value=False)
    expected = f"one row for each {shape.identity}, ds and known_at; the first was kept"
    _refuse(reasons, details, again, "duplicate_key", expected, frame["ds"])


def _finish(frame: pd.DataFrame, shape: Shape, receipt: Receipt) -> pd.DataFrame:
    if receipt.freq is None:
        first = frame.sort_values(["known_at", "ds"]).groupby(shape.identity).head(FREQ_SETTLED_BY)
        default = "B" if shape.table == "market_bars" else "D"
        times = first["ds"].dt.tz_localize(None).groupby(first[shape.identity])
        freqs = times.agg(lambda ds: infer_freq(ds.to_numpy(), default))
        frame["freq"] = frame[shape.identity].map(freqs).astype(object)
    else:
        frame["freq"] = receipt.freq
    return frame.assign(
        kind=receipt.kind,
        unit=receipt.unit,
        calendar=receipt.calendar,
        received_at=pd.Timestamp(receipt.received_at),
    )


def _times(column: pd.Series) -> pd.Series:
    """Return UTC times; what is none, or lies outside 1678–2261, becomes NaT."""
    if pd.api.types.is_datetime64_any_dtype(column):
        times: pd.Series = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
        return times.where(times.between(EARLIEST, LATEST)).astype("datetime64[us, UTC]")
    text = column.astype("string").str.strip()
    text = text.mask(text.str.lower().isin(CLOCK_WORDS))
    return pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601").astype("datetime64[us, UTC]")


def _numbers(column: pd.Series) -> pd.Series:
    """Return floats, rounded as Python rounds them; what is no number, such as a time or a truth value, becomes NaN."""
    if pd.api.types.infer_dtype(column, skipna=True) not in NUMBER_TYPES:
        return pd.Series(np.nan, index=column.index)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if column.dtype == object:  # to_numeric misses the last bit of long decimals
        good = numbers.notna()
        numbers[good] = column[good].astype(float)
    return numbers


def _missing(column: pd.Series) -> pd.Series:
    return column.isna() | column.astype("string").str.strip().str.lower().isin(MISSING_WORDS)


def _refuse(
    reasons: pd.Series,
    details: pd.Series,
    broken: pd.Series,
    reason: str,
    expected: str,
    came: pd.Series | None = None,
) -> None:
    """Give the reason to rows that broke this rule and no earlier one."""
    fresh = broken.fillna(value=True).astype(bool) & reasons.eq("")
    if not fresh.any():
        return
    reasons[fresh] = reason
    shown = "" if came is None else ", came " + came[fresh].astype(str).str.slice(0, 80)
    details[fresh] = f"expected {expected}" + shown


def _originals(bad: pd.DataFrame) -> list[str]:
    return [json.dumps(row, default=str)[:1_000] for row in bad.to_dict("records")]


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=12).hexdigest()


def _no_rows() -> pa.Table:
    return pa.table({})
