"""FRED and ALFRED: macro series with every vintage, so that a forecast sees what was known, not what was revised.

Follows https://fred.stlouisfed.org/docs/api/fred/series_observations.html; whether a value makes sense is the gate's
business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

import pyarrow as pa

from pulse_resources.errors import ConfigError, PermanentFailure, TransientFailure
from pulse_resources.sources.http_answer import Answer
from pulse_resources.sources.http_client import HttpClient
from pulse_resources.sources.protocol import Delivery, Problem, Traits
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

URL = "https://api.stlouisfed.org/fred/series/observations"
FIRST_VINTAGE = "1776-07-04"
LAST_VINTAGE = "9999-12-31"
KNOWN_AT = "T22:00:00+00:00"
"""ALFRED gives the day of a vintage without its hour; at 22:00 UTC every release of that day is out."""
LAG_DAYS = {"h": 2, "D": 2, "B": 4, "W": 14, "MS": 75, "QS": 150, "YS": 500}
"""Days from the start of a period to its publication, on the safe side; only assumed where no vintage says it."""
MISSING = "."
MOST_PAGES = 100

Record = dict[str, Any]


class FredSource:
    """Asks FRED's ``series/observations`` for each series, by default with all vintages.

    Parameters
    ----------
    name
        Name of the source; it prefixes the ids of its series.
    series
        Series ids, or ``{id: {"unit": …, "kind": …, "freq": …}}`` for series that differ in their traits.
    url
        Address of ``series/observations``.
    api_key_env
        Environment variable with the API key. The key is never shown.
    vintages
        True: every row says since when it was known: 22:00 UTC of its ``realtime_start``. All vintages are asked
        for each time, as FRED moves ``realtime_start`` forward to the start of the period asked for, which would
        turn old values into false revisions. False: the newest value only, known ``lag_hours`` after ``ds``.
    kind, unit, freq, calendar, lag_hours
        See :class:`~pulse_resources.sources.protocol.Traits`. ``lag_hours`` None takes :data:`LAG_DAYS` by ``freq``.
    realtime_start
        First vintage. FRED gives at most 2000 vintages in one answer, so a daily series needs a late one, or
        ``vintages=False``; values older than it count as known on that day.
    overlap_days
        Without vintages: how far before the newest held row to ask again, so that revisions are seen.
    page_rows
        Rows in one answer; FRED allows 100000.
    http
        Options of :class:`~pulse_resources.sources.http_client.HttpClient`. FRED allows 120 requests a minute,
        hence ``min_interval_s`` is 0.5 if not given.

    Raises
    ------
    ConfigError
        No series, a trait that does not exist, or a wrong HTTP option.
    """

    def __init__(
        self,
        name: str,
        series: Sequence[str] | Mapping[str, Mapping[str, object]],
        url: str = URL,
        api_key_env: str = "FRED_API_KEY",
        vintages: bool = True,
        kind: str = "macro",
        unit: str = "unknown",
        freq: str | None = None,
        calendar: str = "none",
        lag_hours: float | None = None,
        realtime_start: str = FIRST_VINTAGE,
        overlap_days: int = 400,
        page_rows: int = 100_000,
        http: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self.api_key_env = api_key_env
        self.vintages = vintages
        self.realtime_start = str(realtime_start)
        self.overlap = timedelta(days=overlap_days)
        self.page_rows = page_rows
        common = {"kind": kind, "unit": unit, "freq": freq, "calendar": calendar, "lag_hours": lag_hours}
        self.traits = {one: self._traits(common | own) for one, own in _by_series(series).items()}
        self._client = client_of(name, {"min_interval_s": 0.5} | dict(http or {}), ("api_key",))
        if not self.traits:
            raise ConfigError(f"source {name!r}: expected at least one id in `series`, got none")

    def _traits(self, options: dict[str, Any]) -> Traits:
        if options.get("lag_hours") is None:
            options["lag_hours"] = 24.0 * LAG_DAYS.get(str(options["freq"]), LAG_DAYS["QS"])
        try:
            return replace(Traits(), **options)
        except TypeError as error:
            raise ConfigError(f"source {self.name!r}: a series has a trait that does not exist: {error}") from error

    def fingerprint(self) -> None:
        """Return None: only asking the server would tell."""

    def fetch(self, since: Mapping[str, datetime]) -> Iterator[Delivery]:
        """Yield one delivery a series; one that is no observations has no rows and a problem.

        Parameters
        ----------
        since
            Newest ``ds`` held for each series (UTC); used without vintages only.

        Raises
        ------
        ConfigError
            The environment variable with the key is not set.
        TransientFailure, PermanentFailure
            At the end, naming the series that could not be had.
        """
        key = key_of(self.name, self.api_key_env)
        with self._client as client:

            def deliver(series: str) -> Delivery:
                params = self._params(series, since.get(series)) | {"api_key": key}
                return without_secrets(self._delivery(series, *self._observations(client, series, params)), client)

            yield from deliver_each(list(self.traits), deliver)

    def _params(self, series: str, newest: datetime | None) -> dict[str, str]:
        params = {"series_id": series, "file_type": "json", "sort_order": "asc", "limit": str(self.page_rows)}
        if self.vintages:
            params |= {"realtime_start": self.realtime_start, "realtime_end": LAST_VINTAGE, "output_type": "1"}
        elif newest is not None:
            params["observation_start"] = (newest.astimezone(UTC).date() - self.overlap).isoformat()
        return params

    def _observations(
        self, client: HttpClient, series: str, params: dict[str, str]
    ) -> tuple[list[object], list[Problem]]:
        """Read page after page; an unreadable one ends the series, and what came before it is kept."""
        records: list[object] = []
        counts: set[int] = set()
        for _ in range(MOST_PAGES):
            offset = {"offset": str(len(records))}
            answer = client.get(self.url, params | offset, cache_key=f"{self.url} {self.vintages} {series} {offset}")
            page, count, problems = _page(answer, f"{self.url} ({series})")
            records += page
            counts.add(count)
            if problems:
                return records, problems
            if len(counts) > 1 or (not page and len(records) < count):
                raise TransientFailure(
                    f"{series}: {len(records)} rows came, announced were {sorted(counts)}; ask again later"
                )
            if len(records) >= count:
                return records, []
        raise PermanentFailure(f"{series}: {count} rows need more than {MOST_PAGES} pages; raise `page_rows`")

    def _delivery(self, series: str, records: list[object], problems: list[Problem]) -> Delivery:
        origin = f"{self.url} ({series})"
        needed = ("date", "value", "realtime_start") if self.vintages else ("date", "value")
        whole = [it for it in records if _has(it, needed)]
        broken = next((it for it in records if not _has(it, needed)), None)
        if len(whole) < len(records):
            detail = f"{len(records) - len(whole)} of {len(records)} observations lack one of {', '.join(needed)}"
            problems.append(Problem("missing_column", detail, (as_text(broken) or "null")[: 2 * SHOWN], origin))
        held = [it for it in whole if it["value"] != MISSING]
        if len(held) < len(whole):
            dates = sorted(as_text(it["date"]) or "" for it in whole if it["value"] == MISSING)
            detail = f"{len(dates)} of {len(whole)} observations hold no value but FRED's mark for none"
            problems.append(Problem("missing_value", detail, f"{MISSING} from {dates[0]} to {dates[-1]}", origin))
        return Delivery("macro_vintages", self._rows(series, held), self.traits[series], origin, tuple(problems))

    def _rows(self, series: str, observations: list[Record]) -> pa.Table:
        columns = {
            "series_id": [series] * len(observations),
            "ds": [as_text(it["date"]) for it in observations],
            "value": [as_text(it["value"]) for it in observations],
        }
        if self.vintages:
            columns["known_at"] = [as_text(it["realtime_start"] + KNOWN_AT) for it in observations]
        return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _by_series(series: Sequence[str] | Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    if isinstance(series, Mapping):
        return {one: dict(own) for one, own in series.items()}
    return {one: {} for one in ([series] if isinstance(series, str) else series)}


def _has(record: object, names: Sequence[str]) -> TypeGuard[Record]:
    return isinstance(record, dict) and all(isinstance(record.get(name), str) for name in names)


def _page(answer: Answer, origin: str) -> tuple[list[object], int, list[Problem]]:
    """Return the observations of one answer, how many there are in all, and why it is unreadable."""
    value, problems = parse_json(answer.body, origin)
    if problems:
        return [], 0, problems
    observations = value.get("observations") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(observations, list):
        detail = "expected an object with a list of `observations`; look at what came and check `url`"
        return [], 0, [Problem("missing_column", detail, shown(answer.body), origin)]
    count = str(value.get("count"))
    return observations, int(count) if count.isdecimal() and len(count) < 12 else len(observations), []
