"""Contracts of the bronze and silver tables and of the log of ingests."""

import pyarrow as pa
import pyarrow.compute as pc

from pulse_resources.lake import Column, Rule, TableContract

TIME = pa.timestamp("us", "UTC")

SOURCE = Column("source", pa.string(), "Name of the source as configured")
DS = Column("ds", TIME, "Event time: the day, hour or first day of the period that the value is about")
KNOWN_AT = Column("known_at", TIME, "When the row became known; nothing computed for an earlier moment may use it")
TRAITS = (
    Column("kind", pa.string(), "price, return, volatility, rate, macro, sentiment or other"),
    Column("unit", pa.string(), "Unit of the values"),
    Column("freq", pa.string(), "Step of the series: B, D, W, MS, QS, YS or h"),
    Column("calendar", pa.string(), "Days that count as steps: an exchange code, weekday or none"),
)
RECEIPT = (
    KNOWN_AT,
    Column(
        "known_at_basis",
        pa.string(),
        "stated by the source, assumed from its lag, or received (a correction)",
    ),
    Column("received_at", TIME, "When Pulse read the row"),
)


def finite(column: str, *, null_is_fine: bool = False) -> Rule:
    """Return the rule that a number is neither NaN nor infinite."""
    return Rule(
        f"{column}_finite",
        f"{column} to be a finite number",
        lambda rows: pc.fill_null(pc.is_finite(rows[column]), fill_value=null_is_fine),
    )


MARKET_BARS = TableContract(
    name="bronze/market_bars",
    description="One bar of one symbol as a source said it; a correction is a further row with a later known_at",
    columns=(
        SOURCE,
        Column("symbol", pa.string(), "Ticker or name at the source"),
        DS,
        Column("open", pa.float64(), "First price of the bar", "see unit", nullable=True),
        Column("high", pa.float64(), "Highest price", "see unit", nullable=True),
        Column("low", pa.float64(), "Lowest price", "see unit", nullable=True),
        Column("close", pa.float64(), "Last price", "see unit"),
        Column("volume", pa.float64(), "Traded volume", "units of the instrument", nullable=True),
        *TRAITS,
        *RECEIPT,
    ),
    key=("source", "symbol", "ds", "known_at"),
    rows_per_day=500,
    rules=(finite("close"),),
)

MACRO_VINTAGES = TableContract(
    name="bronze/macro_vintages",
    description="One published value of one series; a revision is a further row with a later known_at",
    columns=(
        SOURCE,
        Column("series_id", pa.string(), "Name of the series at the source"),
        DS,
        Column("value", pa.float64(), "Published value", "see unit"),
        *TRAITS,
        *RECEIPT,
    ),
    key=("source", "series_id", "ds", "known_at"),
    rows_per_day=50,
    rules=(finite("value"),),
)

QUARANTINE = TableContract(
    name="bronze/quarantine",
    description="A row, line or file that could not be accepted, with the reason and the original",
    columns=(
        SOURCE,
        Column("hash", pa.string(), "Digest of origin, reason and original; the same refusal is kept once"),
        Column("table", pa.string(), "Bronze table it was meant for"),
        Column("reason", pa.string(), "Rule that it broke"),
        Column("detail", pa.string(), "What was expected and what came"),
        Column("original", pa.string(), "The row as JSON, or the line as text (first 1,000 bytes)"),
        Column("origin", pa.string(), "File, address or package it came from"),
        Column("received_at", TIME, "When it was first refused"),
    ),
    key=("source", "hash"),
    rows_per_day=1,
)

INGESTS = TableContract(
    name="ops/ingests",
    description="One look at one source: what it delivered and what became of it",
    columns=(
        SOURCE,
        Column("started_at", TIME, "When the look began"),
        Column("outcome", pa.string(), "ok, unchanged or failed"),
        Column("rows_delivered", pa.int64(), "Rows that the source handed over", "rows"),
        Column("rows_new", pa.int64(), "Rows appended to bronze", "rows"),
        Column("rows_corrected", pa.int64(), "Of these, corrections of rows already held", "rows"),
        Column("rows_quarantined", pa.int64(), "Rows, lines or files refused", "rows"),
        Column("fingerprint", pa.string(), "State of the source, if it can tell", nullable=True),
        Column("error", pa.string(), "Why it failed", nullable=True),
        Column("bars_version", pa.int64(), "Delta version of bronze/market_bars afterwards"),
        Column("vintages_version", pa.int64(), "Delta version of bronze/macro_vintages afterwards"),
    ),
    key=("source", "started_at"),
    rows_per_day=5,
)

SERIES = TableContract(
    name="silver/series",
    description="One observation of one series in one vintage, on the first weekday on which it was known",
    columns=(
        Column("as_of", pa.date32(), "First weekday partition on which the row was known"),
        Column("unique_id", pa.string(), "Series, as source:name"),
        DS,
        Column("y", pa.float64(), "Value", "see unit"),
        KNOWN_AT,
        *TRAITS,
        SOURCE,
        Column(
            "flags",
            pa.string(),
            "Words that hold for the row: gap, suspected_split, revision, late; else empty",
        ),
    ),
    key=("unique_id", "ds", "known_at"),
    partition="as_of",
    physical="year",
    rows_per_day=600,
    rules=(finite("y"),),
)

TABLES = (MARKET_BARS, MACRO_VINTAGES, QUARANTINE, INGESTS, SERIES)
