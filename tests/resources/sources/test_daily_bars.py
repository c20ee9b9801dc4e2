"""Daily bars from a local server, right and wrong ones."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pulse_resources.errors import ConfigError, PermanentFailure, TransientFailure
from pulse_resources.sources.daily_bars import DailyBarsSource
from pulse_resources.sources.protocol import BAR_COLUMNS, Source

CSV = b"Date,Open,High,Low,Close,Volume\n2026-02-26,1.0,2.0,0.5,1.50,10\n2026-02-27,1.5,2.5,1.0,2.00,20\n"
RECORDS = [{"date": "2026-02-26", "close": 1.50, "volume": 10}, {"date": "2026-02-27", "close": None, "open": 2}]
HELD = datetime(2026, 2, 27, tzinfo=UTC)


@pytest.fixture
def bars_from(server: Any, fake_time: Any) -> Callable[..., DailyBarsSource]:
    """Build a source of ``/bars/SYMBOL`` on the local server."""

    def build(symbols: list[str], query: str = "", **options: Any) -> DailyBarsSource:
        http = {"clock": fake_time.clock, "sleep": fake_time.sleep, "tries": 2} | options.pop("http", {})
        url = f"http://127.0.0.1:{server.server_port}/bars/{{symbol}}{query}"
        return DailyBarsSource("web", url, symbols, http=http, **options)

    return build


def test_a_csv_becomes_text_bars_of_its_symbol(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/spx", server.ok(CSV))
    (delivery,) = bars_from(["spx"]).fetch({})
    assert delivery.table == "market_bars"
    assert delivery.problems == ()
    assert delivery.rows.to_pylist()[0] == {
        "symbol": "spx", "ds": "2026-02-26", "open": "1.0", "high": "2.0", "low": "0.5", "close": "1.50", "volume": "10"
    }  # fmt: skip


@pytest.mark.parametrize("body", [RECORDS, {"data": RECORDS, "status": "ok"}], ids=["list", "data"])
def test_json_records_become_the_same_text(server: Any, bars_from: Callable[..., DailyBarsSource], body: Any) -> None:
    server.at("/bars/spx", server.ok(json.dumps(body).encode(), {"Content-Type": "application/json"}))
    (delivery,) = bars_from(["spx"]).fetch({})
    assert delivery.rows.to_pylist() == [
        {"symbol": "spx", "ds": "2026-02-26", "open": None, "close": "1.5", "volume": "10"},
        {"symbol": "spx", "ds": "2026-02-27", "open": "2", "close": None, "volume": None},
    ]


def test_the_close_is_preferred_to_the_adjusted_close(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/spx", server.ok(b"Date,Adj Close,Close\n2026-02-27,1,2\n"))
    server.at("/bars/ndx", server.ok(b"Date,Adj Close\n2026-02-27,1\n"))
    assert [it.rows["close"].to_pylist() for it in bars_from(["spx", "ndx"]).fetch({})] == [["2"], ["1"]]


def test_named_columns_win_over_what_we_would_guess(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/spx", server.ok(b"Tag,Date,Adj Close,Close\n2026-02-27,x,1,2\n"))
    (delivery,) = bars_from(["spx"], columns={"ds": "Tag", "close": "adj close"}).fetch({})
    assert delivery.rows.select(["ds", "close"]).to_pylist() == [{"ds": "2026-02-27", "close": "1"}]


def test_an_undecodable_line_is_a_problem_and_the_others_land(
    server: Any, bars_from: Callable[..., DailyBarsSource]
) -> None:
    server.at("/bars/spx", server.ok(CSV + b"2026-03-02,1,1,1,\xff\xfe,1\n"))
    (delivery,) = bars_from(["spx"]).fetch({})
    assert len(delivery.rows) == 2
    assert [problem.reason for problem in delivery.problems] == ["not_utf8"]


def test_all_columns_are_ours(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/spx", server.ok(b"Date,Close,Ticker,Dividend\n2026-02-27,1,^SPX,0\n"))
    (delivery,) = bars_from(["spx"]).fetch({})
    assert set(delivery.rows.column_names) <= set(BAR_COLUMNS)


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"Date,Open\n2026-02-27,1\n", "text/csv", "missing_column"),
        (b"Close\n1\n", "text/csv", "not_csv"),
        (b"<!DOCTYPE html><html><body>Please, log in</body></html>", "text/html", "not_csv"),
        (b"No data", "text/csv", "not_csv"),
        (b"Exceeded the daily hits limit", "text/csv", "not_csv"),
        (b"", "text/csv", "empty_file"),
        (b"", "application/json", "empty_file"),
        (b"Date,Close\n", "text/csv", "empty_file"),
        (b"[]", "application/json", "empty_file"),
        (b'{"error": "limit"}', "application/json", "not_json"),
        (b'[{"date": "2026-02-27", "cl', "application/json", "not_json"),
        (b"<html>busy</html>", "application/json; charset=utf-8", "not_json"),
        (b'[{"date": "\xff"}]', "application/json", "not_utf8"),
        (b'[{"day": "2026-02-27", "value": 1}]', "application/json", "missing_column"),
        (b"[1, 2]", "application/json", "not_json"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_a_problem_and_the_other_symbols_land(
    server: Any, bars_from: Callable[..., DailyBarsSource], body: Any, content_type: str | None, reason: str
) -> None:
    server.at("/bars/bad", server.ok(body, {"Content-Type": content_type}))
    server.at("/bars/spx", server.ok(CSV))
    bad, good = bars_from(["bad", "spx"]).fetch({})
    assert {problem.reason for problem in bad.problems} == {reason}
    assert len(bad.rows) == 0
    assert {"symbol", "ds", "close"} <= set(bad.rows.column_names)
    assert all("(bad)" in problem.origin for problem in bad.problems)
    assert len(good.rows) == 2


def test_the_original_is_kept_with_the_problem(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/spx", server.ok(b"Exceeded the daily hits limit"))
    (delivery,) = bars_from(["spx"]).fetch({})
    assert delivery.problems[0].original == "Exceeded the daily hits limit"


@pytest.mark.parametrize("body", [b"Date,Close\n", b"[]"])
def test_nothing_new_for_a_held_symbol_is_no_problem(
    server: Any, bars_from: Callable[..., DailyBarsSource], body: Any
) -> None:
    server.at("/bars/spx", server.ok(body))
    (delivery,) = bars_from(["spx"]).fetch({"spx": HELD})
    assert (len(delivery.rows), delivery.problems) == (0, ())


def test_a_strange_record_does_not_spoil_the_others(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/spx", server.ok(json.dumps([RECORDS[0], "note", None]).encode()))
    (delivery,) = bars_from(["spx"]).fetch({})
    assert len(delivery.rows) == 1
    assert [problem.original for problem in delivery.problems] == ["note", "null"]


def test_a_missing_symbol_fails_after_all_others_were_delivered(
    server: Any, bars_from: Callable[..., DailyBarsSource]
) -> None:
    for symbol in ("a", "c"):
        server.at(f"/bars/{symbol}", server.ok(CSV))
    deliveries = bars_from(["a", "b", "c"]).fetch({})
    assert [next(deliveries).rows["symbol"][0].as_py() for _ in range(2)] == ["a", "c"]
    with pytest.raises(PermanentFailure, match=r"1 of 3 failed \(b\).*404"):
        next(deliveries)


def test_a_busy_server_makes_the_failure_transient(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/b", server.status(503))
    with pytest.raises(TransientFailure, match=r"2 of 2 failed \(a, b\)"):
        list(bars_from(["a", "b"]).fetch({}))


def test_it_asks_from_a_few_days_before_the_newest_row(
    server: Any, bars_from: Callable[..., DailyBarsSource], fake_time: Any
) -> None:
    server.at("/bars/spx", server.ok(CSV))
    list(bars_from(["spx"], "?d1={start:%Y%m%d}&to={end}").fetch({"spx": HELD}))
    assert server.asked[0].query == {"d1": "20260220", "to": "2026-03-02"}


def test_it_asks_for_everything_at_first(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/spx", server.ok(CSV))
    list(bars_from(["spx"], "?from={start}", start="1990-01-01").fetch({}))
    assert server.asked[0].query == {"from": "1990-01-01"}


def test_a_symbol_is_quoted(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    list_of = bars_from(["^a/b?c&d"])
    with pytest.raises(PermanentFailure):
        list(list_of.fetch({}))
    assert server.asked[0].path == "/bars/%5Ea%2Fb%3Fc%26d"


def test_the_key_comes_from_the_environment_and_is_shown_nowhere(
    server: Any, bars_from: Callable[..., DailyBarsSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARS_KEY", "s3cr3t-0123456789")
    server.at("/bars/a", server.status(403, b"wrong key s3cr3t-0123456789"))
    server.at("/bars/b", server.ok(b"Too many requests for key s3cr3t-0123456789"))
    server.at("/bars/c", server.ok(b"x" * 495 + b"s3cr3t-0123456789"))
    source = bars_from(["a", "b", "c"], api_key_env="BARS_KEY", api_key_param="token")
    deliveries = source.fetch({})
    delivery = next(deliveries)
    assert delivery.problems[0].original == "Too many requests for key ***"
    assert "s3cr3t" not in f"{delivery}{next(deliveries)}"
    with pytest.raises(PermanentFailure) as caught:
        next(deliveries)
    assert "0123456789" not in str(caught.value)
    assert server.asked[0].query["token"] == "s3cr3t-0123456789"


def test_a_missing_key_names_its_variable(
    bars_from: Callable[..., DailyBarsSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BARS_KEY", raising=False)
    with pytest.raises(ConfigError, match="BARS_KEY"):
        next(bars_from(["a"], api_key_env="BARS_KEY").fetch({}))


def test_unchanged_bars_come_from_the_cache_although_the_last_day_moves(
    server: Any, bars_from: Callable[..., DailyBarsSource], fake_time: Any, tmp_path: Path
) -> None:
    server.at("/bars/spx", server.with_etag(CSV, '"v1"'))
    source = bars_from(["spx"], "?to={end}", http={"cache_dir": str(tmp_path)})
    for _ in range(2):
        assert [len(it.rows) for it in source.fetch({})] == [2]
    fake_time.sleep(86_400)
    assert [len(it.rows) for it in source.fetch({})] == [2]
    assert [bool(it.headers["If-None-Match"]) for it in server.asked] == [False, True, False]
    assert len(list(tmp_path.iterdir())) == 1


def test_it_is_a_source_that_cannot_tell_whether_anything_changed(bars_from: Callable[..., DailyBarsSource]) -> None:
    source = bars_from(["a"])
    assert isinstance(source, Source)
    assert source.fingerprint() is None


def test_traits_are_what_the_user_said(server: Any, bars_from: Callable[..., DailyBarsSource]) -> None:
    server.at("/bars/vix", server.ok(CSV))
    source = bars_from(["vix"], kind="volatility", unit="percent per year", calendar="XNYS", lag_hours=1.0)
    (delivery,) = source.fetch({})
    traits = delivery.traits
    assert (traits.kind, traits.unit, traits.freq, traits.calendar) == (
        "volatility",
        "percent per year",
        "B",
        "XNYS",
    )
    assert traits.lag_hours == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": []}, "at least one"),
        ({"url": "http://h/{ticker}"}, "'ticker'"),
        ({"url": "http://h/{"}, "double a brace"),
        ({"url": "http://h/all", "symbols": ["a", "b"]}, "2 symbols need {symbol}"),
        ({"columns": {"price": "Close"}}, "none of ours"),
        ({"start": "yesterday"}, "2020-01-31"),
        ({"http": {"timeout": 3}}, "wrong option in `http`.*timeout"),
        ({"http": {"tries": 0}}, "tries must be above zero"),
        ({"http": {"timeout_s": "3"}}, "wrong option in `http`"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DailyBarsSource(**({"name": "web", "url": "http://h/{symbol}", "symbols": ["a"]} | options))
