"""Daily bars over HTTP: one CSV or JSON answer a symbol, as Stooq and many others give them.

Which address holds the bars of a symbol, and which of an answer's columns are ours, belong here. How to ask politely
is the business of :mod:`.http_client`, what all sources of that sort need is in :mod:`.remote`, and whether a price
makes sense is the gate's.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

import pyarrow as pa

from pulse_resources.errors import ConfigError
from pulse_resources.sources.csv_text import parse_csv
from pulse_resources.sources.http_answer import Answer
from pulse_resources.sources.protocol import BAR_COLUMNS, Delivery, Problem, Traits
from pulse_resources.sources.remote import (
    SHOWN,
    as_text,
    client_of,
    deliver_each,
    key_of,
    parse_json,
    shown,
    without_secrets,
)

ALIASES = {
    "ds": ("ds", "date", "datetime", "timestamp", "time", "day"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close", "adj close", "adj_close", "adjclose", "adjusted_close", "price", "last"),
    "volume": ("volume", "vol"),
    "known_at": ("known_at",),
}
REQUIRED = ("ds", "close")
# from_batches, as every other way to an empty table imports pandas
NO_BARS = pa.Table.from_batches([], pa.schema([(name, pa.string()) for name in ("symbol", *REQUIRED)]))
MOST_COLUMNS = 200
_EXAMPLE = {"symbol": "A", "start": date(2020, 1, 1), "end": date(2020, 1, 2)}


class DailyBarsSource:
    """Asks one address a symbol for its daily bars.

    Parameters
    ----------
    name
        Name of the source; it prefixes the ids of its series.
    url
        Address with ``{symbol}`` and, if the server can narrow, ``{start}`` and ``{end}``: dates, so that
        ``{start:%Y%m%d}`` chooses the format. Stooq is ``https://stooq.com/q/d/l/?s={symbol}&i=d``.
    symbols
        As the server knows them.
    columns
        ``{ours: theirs}`` for columns whose names are not understood; ours are ``ds, open, high, low, close,
        volume, known_at``.
    kind, unit, freq, calendar, lag_hours
        See :class:`~pulse_resources.sources.protocol.Traits`.
    start
        First date to ask for when nothing is held yet.
    overlap_days
        How far before the newest held row to ask again, so that corrections are seen.
    api_key_env, api_key_param
        Environment variable with the key, and the query parameter that carries it. The value is never shown.
    http
        Options of :class:`~pulse_resources.sources.http_client.HttpClient`, for example ``{"min_interval_s": 1}``.

    Raises
    ------
    ConfigError
        No symbol, a placeholder that does not exist, a column that is none of ours, or a wrong HTTP option.
    """

    def __init__(
        self,
        name: str,
        url: str,
        symbols: Sequence[str],
        columns: Mapping[str, str] | None = None,
        kind: str = "price",
        unit: str = "USD",
        freq: str | None = "B",
        calendar: str = "weekday",
        lag_hours: float = 22.0,
        start: str | date = "1970-01-01",
        overlap_days: int = 7,
        api_key_env: str | None = None,
        api_key_param: str = "apikey",
        http: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self.symbols = [symbols] if isinstance(symbols, str) else list(symbols)
        self.columns = dict(columns or {})
        self.traits = Traits(kind, unit, freq, calendar, lag_hours)
        self.start = _as_date(name, start)
        self.overlap = timedelta(days=overlap_days)
        self.api_key_env = api_key_env
        self.api_key_param = api_key_param
        self._client = client_of(name, http, (api_key_param, "api_key", "token"))
        self._check()

    def _check(self) -> None:
        if not self.symbols:
            raise ConfigError(f"source {self.name!r}: expected at least one of `symbols`, got none")
        unknown = sorted(set(self.columns) - set(ALIASES))
        if unknown:
            raise ConfigError(f"source {self.name!r}: columns {unknown} are none of ours; ours are {sorted(ALIASES)}")
        try:
            narrowed = self.url.format_map(_EXAMPLE) != self.url.format_map(_EXAMPLE | {"symbol": "B"})
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise ConfigError(
                f"source {self.name!r}: expected {{symbol}}, {{start}} and {{end}} in `url`, "
                f"got {error}; double a brace that is meant as such"
            ) from error
        if len(self.symbols) > 1 and not narrowed:
            raise ConfigError(f"source {self.name!r}: {len(self.symbols)} symbols need {{symbol}} in `url`")

    def fingerprint(self) -> None:
        """Return None: only asking the server would tell."""

    def fetch(self, since: Mapping[str, datetime]) -> Iterator[Delivery]:
        """Yield one delivery a symbol; one that is no table has no rows and a problem.

        Parameters
        ----------
        since
            Newest ``ds`` held for each symbol (UTC); ``{start}`` is ``overlap_days`` before it.

        Raises
        ------
        TransientFailure, PermanentFailure
            At the end, naming the symbols that could not be had.
        """
        params = {self.api_key_param: key_of(self.name, self.api_key_env)} if self.api_key_env else None
        with self._client as client:

            def deliver(symbol: str) -> Delivery:
                address = self._address(symbol, since.get(symbol))
                answer = client.get(address, params, cache_key=f"{self.name} {self.url} {symbol}")
                return without_secrets(self._delivery(symbol, answer, new=symbol not in since), client)

            yield from deliver_each(self.symbols, deliver)

    def _address(self, symbol: str, newest: datetime | None) -> str:
        today = self._client.clock().date()
        start = self.start if newest is None else newest.astimezone(UTC).date() - self.overlap
        return self.url.format(symbol=quote(symbol, safe=""), start=min(start, today), end=today)

    def _delivery(self, symbol: str, answer: Answer, *, new: bool) -> Delivery:
        origin = f"{self.url.split('?')[0].split('{')[0]} ({symbol})"
        rows, problems = read_table(answer, origin)
        names = self._names(rows.column_names)
        missing = [ours for ours in REQUIRED if ours not in names]
        if missing and rows.column_names:
            detail = f"expected columns for {', '.join(missing)}, came {rows.column_names}; name them in `columns`"
            problems.append(Problem("missing_column", detail, shown(answer.body), origin))
        elif not len(rows) and answer.body.strip() and all(problem.reason == "empty_file" for problem in problems):
            detail = "expected the history of a symbol that is not held yet, came no rows; check its name"
            problems = [Problem("empty_file", detail, shown(answer.body), origin)] if new else []
        bars = NO_BARS
        if not missing:
            bars = rows.select(list(names.values())).rename_columns(list(names))
            bars = bars.add_column(0, "symbol", pa.array([symbol] * len(bars), pa.string()))
        return Delivery("market_bars", bars, self.traits, origin, tuple(problems))

    def _names(self, came: Sequence[str]) -> dict[str, str]:
        """Return ours → theirs, in our order; names given in ``columns`` win over aliases."""
        lower = {name.strip().lower(): name for name in reversed(came)}
        found: dict[str, str] = {}
        for ours in (column for column in BAR_COLUMNS if column in ALIASES):
            wanted = [self.columns[ours].strip().lower()] if ours in self.columns else ALIASES[ours]
            theirs = next((lower[alias] for alias in wanted if alias in lower), None)
            if theirs is not None:
                found[ours] = theirs
        return found


def read_table(answer: Answer, origin: str) -> tuple[pa.Table, list[Problem]]:
    """Read an answer that should be a table, CSV or JSON; all columns become text.

    Returns
    -------
    tuple of pyarrow.Table and list of Problem
        Without columns, and with a problem, if it is no table at all.

    Examples
    --------
    >>> read_table(Answer(b'[{"date": "2026-02-27", "close": 1.50}]'), "here")[0].to_pylist()
    [{'date': '2026-02-27', 'close': '1.50'}]
    >>> read_table(Answer(b"No data"), "here")[1][0].reason
    'not_csv'
    """
    start = answer.body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in (b"{", b"[") or "json" in (answer.content_type or "").lower():
        return _read_json(answer.body, origin)
    header = answer.body.strip().split(b"\n", 1)[0]
    if start == b"<" or (header and not any(mark in header for mark in b",;\t|")):
        detail = "expected a CSV table, came a page or a sentence; read it and check the address, key and limits"
        return pa.table({}), [Problem("not_csv", detail, shown(answer.body), origin)]
    try:
        return parse_csv(answer.body, origin)
    except pa.ArrowException as error:
        return pa.table({}), [Problem("not_csv", f"expected a CSV table: {error}", shown(answer.body), origin)]


def _read_json(body: bytes, origin: str) -> tuple[pa.Table, list[Problem]]:
    value, problems = parse_json(body, origin)
    if problems:
        return pa.table({}), problems
    records = value.get("data") if isinstance(value, dict) else value
    if not isinstance(records, list):
        detail = 'expected a list of records or {"data": [records]}, came something else; check the address and key'
        return pa.table({}), [Problem("not_json", detail, shown(body), origin)]
    known = [record for record in records if isinstance(record, dict)]
    strangers = [as_text(record) or "null" for record in records if not isinstance(record, dict)]
    problems = [Problem("not_json", "expected a record", text[: 2 * SHOWN], origin) for text in strangers]
    names = list(dict.fromkeys(name for record in known for name in record))[:MOST_COLUMNS]
    columns = {as_text(name): pa.array([as_text(it.get(name)) for it in known], pa.string()) for name in names}
    return pa.table(columns), problems


def _as_date(name: str, text: str | date) -> date:
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError as error:
        raise ConfigError(f"source {name!r}: expected a date like 2020-01-31 in `start`, got {text!r}") from error
