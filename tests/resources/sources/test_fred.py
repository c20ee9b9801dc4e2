"""FRED's observations from a local server that pages and keeps vintages as FRED does."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pulse_resources.errors import ConfigError, PermanentFailure, TransientFailure
from pulse_resources.sources.fred import FredSource
from pulse_resources.sources.protocol import VINTAGE_COLUMNS, Source

KEY = "0123456789abcdef0123456789abcdef"
VINTAGES = [
    ("2025-10-01", "2026-01-29", "100.1"),
    ("2025-10-01", "2026-02-26", "100.3"),
    ("2025-07-01", "2025-10-30", "99.0"),
    ("2025-07-01", "2025-11-26", "."),
    ("2025-07-01", "2025-12-23", "99.2"),
]


def observations(rows: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [
        {"realtime_start": known, "realtime_end": "9999-12-31", "date": ds, "value": value} for ds, known, value in rows
    ]


@pytest.fixture
def fred_like(server: Any) -> Callable[..., Any]:
    """Build a reply that pages its rows and refuses a wrong key, in FRED's words."""

    def build(rows: list[Any], *, count: int | None = None, largest_page: int = 10**9) -> Any:
        def reply(handler: Any) -> None:
            if handler.query.get("api_key") != KEY:
                text = (
                    f"Bad Request. The value for variable api_key ({handler.query.get('api_key')}) is not registered."
                )
                return server.status(400, json.dumps({"error_code": 400, "error_message": text}).encode())(handler)
            offset = int(handler.query["offset"])
            page = rows[offset : offset + min(int(handler.query["limit"]), largest_page)]
            said = {"count": len(rows) if count is None else count, "offset": offset, "observations": page}
            return server.ok(json.dumps(said).encode(), {"Content-Type": "application/json"})(handler)

        return reply

    return build


@pytest.fixture
def fred(server: Any, fake_time: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FredSource]:
    """Build a source of the local server, with the right key in the environment."""
    monkeypatch.setenv("FRED_API_KEY", KEY)

    def build(series: Any = ("GDP",), **options: Any) -> FredSource:
        http = {"clock": fake_time.clock, "sleep": fake_time.sleep, "tries": 2} | options.pop("http", {})
        return FredSource("fred", series, url=f"http://127.0.0.1:{server.server_port}/obs", http=http, **options)

    return build


def test_every_row_says_since_when_it_was_known(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    server.at("/obs", fred_like(observations(VINTAGES[:2])))
    (delivery,) = fred().fetch({})
    assert delivery.table == "macro_vintages"
    assert delivery.rows.to_pylist() == [
        {"series_id": "GDP", "ds": "2025-10-01", "value": "100.1", "known_at": "2026-01-29T22:00:00+00:00"},
        {"series_id": "GDP", "ds": "2025-10-01", "value": "100.3", "known_at": "2026-02-26T22:00:00+00:00"},
    ]
    assert tuple(delivery.rows.column_names) == VINTAGE_COLUMNS


def test_all_vintages_are_asked_for_whatever_is_held(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    server.at("/obs", fred_like(observations(VINTAGES)))
    list(fred().fetch({"GDP": datetime(2026, 1, 1, tzinfo=UTC)}))
    query = server.asked[0].query
    assert (query["realtime_start"], query["realtime_end"]) == ("1776-07-04", "9999-12-31")
    assert (query["output_type"], query["file_type"], query["series_id"]) == ("1", "json", "GDP")
    assert "observation_start" not in query


def test_pages_join_to_the_whole_series(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    rows = observations([("2025-10-01", f"2026-01-{day:02}", f"{day}") for day in range(1, 26)])
    server.at("/obs", fred_like(rows))
    (delivery,) = fred(page_rows=10).fetch({})
    assert delivery.rows["value"].to_pylist() == [str(day) for day in range(1, 26)]
    assert [asked.query["offset"] for asked in server.asked] == ["0", "10", "20"]


def test_a_server_with_smaller_pages_than_asked_for_is_read_whole(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    server.at("/obs", fred_like(observations(VINTAGES[:3]), largest_page=1))
    (delivery,) = fred().fetch({})
    assert len(delivery.rows) == 3


def test_requests_keep_to_the_allowed_rate(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any], fake_time: Any
) -> None:
    server.at("/obs", fred_like(observations(VINTAGES[:3])))
    list(fred(page_rows=1).fetch({}))
    assert fake_time.slept == [0.5, 0.5]


def test_marks_for_no_value_are_counted_in_one_problem(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    server.at("/obs", fred_like(observations([*VINTAGES, ("2025-04-01", "2025-07-30", ".")])))
    (delivery,) = fred().fetch({})
    assert len(delivery.rows) == 4
    (problem,) = delivery.problems
    assert (problem.reason, problem.detail[:6]) == ("missing_value", "2 of 6")
    assert problem.original == ". from 2025-04-01 to 2025-07-01"


def test_rows_do_not_claim_when_they_were_known(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    server.at("/obs", fred_like(observations(VINTAGES[:1])))
    (delivery,) = fred(vintages=False).fetch({})
    assert delivery.rows.to_pylist() == [{"series_id": "GDP", "ds": "2025-10-01", "value": "100.1"}]
    assert not {"realtime_start", "observation_start"} & set(server.asked[0].query)


def test_it_asks_for_what_is_new_and_for_a_year_of_revisions(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    server.at("/obs", fred_like(observations(VINTAGES[:1])))
    list(fred(vintages=False, overlap_days=365).fetch({"GDP": datetime(2026, 1, 1, tzinfo=UTC)}))
    assert server.asked[0].query["observation_start"] == "2025-01-01"


@pytest.mark.parametrize(("freq", "days"), [("QS", 150), ("MS", 75), ("D", 2), (None, 150)])
def test_the_assumed_lag_follows_the_frequency(fred: Callable[..., FredSource], freq: str | None, days: int) -> None:
    assert fred(freq=freq).traits["GDP"].lag_hours == 24 * days


def test_each_series_has_its_own(server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]) -> None:
    server.at("/obs", fred_like(observations(VINTAGES[:1])))
    source = fred(
        {"GDP": {"unit": "billion USD", "freq": "QS"}, "DGS10": {"kind": "rate", "freq": "B"}}, unit="percent"
    )
    gdp, rate = (delivery.traits for delivery in source.fetch({}))
    assert (gdp.kind, gdp.unit, gdp.freq) == ("macro", "billion USD", "QS")
    assert (rate.kind, rate.unit, rate.freq, rate.lag_hours) == ("rate", "percent", "B", 96.0)


def test_it_is_a_source_that_cannot_tell_whether_anything_changed(fred: Callable[..., FredSource]) -> None:
    assert isinstance(fred(), Source)
    assert fred().fingerprint() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"series": []}, "at least one"),
        ({"series": {"GDP": {"units": "USD"}}}, "trait that does not exist.*units"),
        ({"http": {"retries": 3}}, "wrong option in `http`"),
    ],
)
def test_a_wrong_option_is_named(fred: Callable[..., FredSource], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fred(**options)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>maintenance</html>", "not_json"),
        (b'{"error_code": 500}', "missing_column"),
        (b'{"observations": {"a": 1}}', "missing_column"),
        (b"[]", "missing_column"),
        (b'{"observations": [{"date": "\xff"}]}', "not_utf8"),
        (b"", "empty_file"),
    ],
)
def test_what_is_no_observations_is_a_problem_and_the_other_series_land(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any], body: Any, reason: str
) -> None:
    server.at("/obs", server.ok(body), fred_like(observations(VINTAGES[:2])))
    bad, good = fred(["BAD", "GDP"]).fetch({})
    assert [problem.reason for problem in bad.problems] == [reason]
    assert (len(bad.rows), tuple(bad.rows.column_names)) == (0, VINTAGE_COLUMNS)
    assert len(good.rows) == 2


def test_incomplete_observations_are_counted_in_one_problem(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    rows = [*observations(VINTAGES[:2]), {"date": "2025-10-01", "value": "1"}, "note", None]
    server.at("/obs", fred_like(rows))
    (delivery,) = fred().fetch({})
    assert len(delivery.rows) == 2
    (problem,) = delivery.problems
    assert (problem.reason, problem.detail[:6]) == ("missing_column", "3 of 5")


def test_fewer_rows_than_announced_are_transient(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    server.at("/obs", fred_like(observations(VINTAGES), count=99))
    with pytest.raises(TransientFailure, match=r"5 rows came, announced were .99."):
        list(fred().fetch({}))


def test_a_series_that_changes_between_two_pages_is_transient(
    server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]
) -> None:
    server.at("/obs", fred_like(observations(VINTAGES)), fred_like(observations([*VINTAGES, *VINTAGES])))
    with pytest.raises(TransientFailure, match=r"announced were .5, 10."):
        list(fred(page_rows=3).fetch({}))


def test_endless_pages_end(server: Any, fred: Callable[..., FredSource], fred_like: Callable[..., Any]) -> None:
    server.at("/obs", fred_like(observations(VINTAGES[:1]) * 101))
    with pytest.raises(PermanentFailure, match="more than 100 pages"):
        list(fred(page_rows=1).fetch({}))


def test_a_missing_key_names_its_variable(fred: Callable[..., FredSource], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRED_API_KEY")
    with pytest.raises(ConfigError, match="FRED_API_KEY"):
        next(fred().fetch({}))


def test_a_wrong_key_fails_for_good_in_the_words_of_the_server_but_without_the_key(
    server: Any,
    fred: Callable[..., FredSource],
    fred_like: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FRED_API_KEY", "wrong-0123456789")
    server.at("/obs", fred_like([]))
    with pytest.raises(PermanentFailure, match=r"api_key \(\*\*\*\) is not registered") as caught:
        list(fred().fetch({}))
    assert "0123456789" not in f"{caught.value} {caught.value!r} {caplog.text}"
    assert server.asked[0].query["api_key"] == "wrong-0123456789"


def test_the_key_is_in_no_delivery_log_record_or_cache_file(
    server: Any,
    fred: Callable[..., FredSource],
    fred_like: Callable[..., Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.at("/obs", fred_like([*observations(VINTAGES), "note"]))
    deliveries = list(fred(["GDP", "CPI"], http={"cache_dir": tmp_path}).fetch({}))
    kept = "".join(f"{path}{path.read_bytes()!r}" for path in tmp_path.iterdir())
    assert KEY not in f"{deliveries}{caplog.text}{kept}"


def test_unchanged_vintages_come_from_the_cache(server: Any, fred: Callable[..., FredSource], tmp_path: Path) -> None:
    body = json.dumps({"count": 1, "observations": observations(VINTAGES[:1])}).encode()
    server.at("/obs", server.with_etag(body, '"v1"'))
    source = fred(http={"cache_dir": tmp_path})
    assert [len(it.rows) for _ in range(2) for it in source.fetch({})] == [1, 1]
    assert server.asked[1].headers["If-None-Match"] == '"v1"'
