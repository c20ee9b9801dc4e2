"""What a source is, and what it hands over.

A source is built from the options that the user wrote (``SourceClass(name=…, **options)``), says in one cheap
call whether anything changed (``fingerprint``), and delivers rows as it received them (``fetch``). It never drops
a row: what it cannot read becomes a :class:`Problem`. Casting, rules and duplicates belong to the gate in
``pulse_assets.signals``, so a delivered column may hold text.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

BronzeTable = Literal["market_bars", "macro_vintages"]

BAR_COLUMNS = ("symbol", "ds", "open", "high", "low", "close", "volume", "known_at")
"""Columns of a bar delivery; ``symbol, ds, close`` are required, the rest optional."""
VINTAGE_COLUMNS = ("series_id", "ds", "value", "known_at")
"""Columns of a vintage delivery; ``series_id, ds, value`` are required, ``known_at`` optional."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is true of every row of a delivery.

    Parameters
    ----------
    kind
        ``price``, ``return``, ``volatility``, ``rate``, ``macro``, ``sentiment`` or ``other``; prices must be positive.
    unit
        Unit of the values, for example ``USD``, ``index points`` or ``percent per year``.
    freq
        ``B`` (weekdays or sessions), ``D``, ``W``, ``MS``, ``QS``, ``YS``, ``h``; None lets silver infer it.
    calendar
        ``XNYS`` for exchange sessions (any code of exchange-calendars), ``weekday``, or ``none``.
    lag_hours
        Hours from ``ds`` until a row without ``known_at`` counts as known. The row says that this was assumed.
    """

    kind: str = "price"
    unit: str = "USD"
    freq: str | None = None
    calendar: str = "weekday"
    lag_hours: float = 22.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a source could not read: one line, one file or one answer, kept with its original text."""

    reason: str
    detail: str
    original: str
    origin: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rows of one bronze table as received, with the names of where they came from.

    Parameters
    ----------
    table
        Bronze table that the rows are meant for.
    rows
        Columns named as in :data:`BAR_COLUMNS` or :data:`VINTAGE_COLUMNS`, text or already typed.
    traits
        What holds for all of them.
    origin
        File, address or package that they were read from; shown to the user, so it carries no secret.
    problems
        What could not be read from the same origin.
    """

    table: BronzeTable
    rows: pa.Table
    traits: Traits
    origin: str
    problems: tuple[Problem, ...] = field(default=())


@runtime_checkable
class Source(Protocol):
    """A place that rows come from."""

    name: str

    def fingerprint(self) -> str | None:
        """Return a text that changes whenever :meth:`fetch` would deliver something else; None if unknowable."""

    def fetch(self, since: Mapping[str, datetime]) -> Iterator[Delivery]:
        """Yield deliveries.

        Parameters
        ----------
        since
            Newest ``ds`` already held for each symbol or series of this source (UTC), so that a remote source
            asks only for what is new. A source may deliver more: known rows are recognised.

        Raises
        ------
        TransientFailure
            The origin did not answer in time; a later run may succeed.
        PermanentFailure
            The origin refused, or answered with something that is no data.
        """
