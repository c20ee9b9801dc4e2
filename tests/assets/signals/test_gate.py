"""The gate: every row comes out once, with the reason that a person can act on."""

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.signals.calendars import infer_freq
from pulse_assets.signals.gate import SHAPES, Gated, Receipt, gate, refusals
from pulse_assets.signals.tables import MACRO_VINTAGES, MARKET_BARS

NOW = datetime(2024, 6, 28, 23, tzinfo=UTC)
PRICES = Receipt("price", "USD", "B", "weekday", 22.0, NOW)
NUMBERS = Receipt("other", "index", "MS", "none", 0.0, NOW)
BARS, VINTAGES = SHAPES["market_bars"], SHAPES["macro_vintages"]


def bars(receipt: Receipt = PRICES, **columns: object) -> Gated:
    """Gate bars: a good row of AAA, with some columns replaced or added."""
    given_columns = {"symbol": ["AAA"], "ds": ["2024-06-27"], "close": ["10"]} | columns
    return gate(pa.table(given_columns), BARS, receipt, "a.csv")


def reasons(gated: Gated) -> list[str]:
    return gated.refused["reason"].to_pylist()


def test_a_good_row_comes_out_typed_with_the_traits_of_its_delivery() -> None:
    row = bars().accepted.to_pylist()[0]
    assert row["close"] == 10.0
    assert row["ds"] == datetime(2024, 6, 27, tzinfo=UTC)
    assert (row["kind"], row["unit"], row["freq"], row["calendar"]) == ("price", "USD", "B", "weekday")
    assert row["received_at"] == NOW


@pytest.mark.parametrize(
    ("columns", "reason", "said"),
    [
        ({"symbol": [" "]}, "missing_id", "symbol is empty"),
        ({"symbol": pa.nulls(1)}, "missing_id", "symbol is empty"),
        ({"symbol": ["A" * 129]}, "field_too_large", "over 128 characters"),
        ({"ds": ["soon"]}, "wrong_type", "ds to be a date"),
        ({"ds": [""]}, "wrong_type", "ds to be a date"),
        ({"ds": ["2024-02-30"]}, "wrong_type", "came 2024-02-30"),
        ({"ds": ["1066-10-14"]}, "wrong_type", "came 1066-10-14"),
        ({"ds": pa.array([2**30], pa.date32())}, "wrong_type", "ds to be a date"),
        ({"ds": pa.array([2**62], pa.timestamp("us"))}, "wrong_type", "ds to be a date"),
        ({"known_at": ["later"]}, "wrong_type", "known_at to be a date"),
        ({"close": ["1,234.50"]}, "wrong_type", "close to be a number, came 1,234.50"),
        ({"close": ["ten"]}, "wrong_type", "close to be a number, came ten"),
        ({"close": pa.array([True])}, "wrong_type", "close to be a number"),
        ({"close": pa.array([NOW])}, "wrong_type", "close to be a number"),
        ({"close": pa.array([[1.0]])}, "wrong_type", "close to be a number"),
        ({"close": pa.array([{"x": 1.0}])}, "wrong_type", "close to be a number"),
        ({"volume": ["many"]}, "wrong_type", "volume to be a number, came many"),
        ({"close": ["NaN"]}, "missing_value", "close to hold a value"),
        ({"close": [float("nan")]}, "missing_value", "close to hold a value"),
        ({"close": pa.nulls(1)}, "missing_value", "close to hold a value"),
        ({"close": ["inf"]}, "not_finite", "every number to be finite"),
        ({"close": [float("-inf")]}, "not_finite", "every number to be finite"),
        ({"open": [float("inf")]}, "not_finite", "every number to be finite"),
        ({"close": ["-3"]}, "not_positive", "a price above zero, came -3.0"),
        ({"close": ["0"]}, "not_positive", "a price above zero"),
        ({"low": ["-1"]}, "not_positive", "a price above zero"),
        ({"high": ["9"]}, "high_below_low", "low <= open, close <= high"),
        ({"low": ["11"]}, "high_below_low", "low <= open, close <= high"),
        ({"ds": ["2024-07-01"]}, "future_timestamp", "ds up to 2024-06-29"),
        ({"known_at": ["2024-07-01"]}, "future_timestamp", "known_at up to 2024-06-29"),
        ({"known_at": ["2024-06-26"]}, "known_before_event", "known_at not before ds"),
    ],
)
def test_a_wrong_row_is_refused_with_its_reason(columns: dict[str, object], reason: str, said: str) -> None:
    gated = bars(**columns)
    assert reasons(gated) == [reason]
    assert said in gated.refused["detail"][0].as_py()
    assert len(gated.accepted) == 0


@pytest.mark.parametrize(
    ("receipt", "columns", "reason", "said"),
    [
        (
            PRICES,
            {"symbol": ["AAA"], "ds": ["2024-06-27"]},
            "missing_column",
            "missing ['close']; came ['symbol', 'ds']",
        ),
        (
            Receipt("price", "USD", "fortnight", "weekday", 22.0, NOW),
            {"symbol": ["AAA"], "ds": ["2024-06-27"], "close": ["1"]},
            "unknown_freq",
            "freq 'fortnight' is none of",
        ),
        (
            Receipt("price", "USD", "B", "XNYSE", 22.0, NOW),
            {"symbol": ["AAA"], "ds": ["2024-06-27"], "close": ["1"]},
            "unknown_calendar",
            "use `weekday`, `none` or an exchange code such as XNYS",
        ),
    ],
)
def test_a_delivery_that_is_wrong_as_a_whole_is_refused_once(
    receipt: Receipt, columns: dict[str, object], reason: str, said: str
) -> None:
    gated = gate(pa.table(columns), BARS, receipt, "a.csv")
    assert reasons(gated) == [reason]
    assert said in gated.refused["detail"][0].as_py()


def test_the_second_of_two_rows_with_one_key_is_refused() -> None:
    gated = bars(symbol=["AAA"] * 2, ds=["2024-06-27"] * 2, close=["1", "2"])
    assert gated.accepted["close"].to_pylist() == [1.0]
    assert reasons(gated) == ["duplicate_key"]


def test_a_refused_row_takes_no_good_row_with_it() -> None:
    gated = bars(symbol=["AAA"] * 2, ds=["2024-06-27"] * 2, close=["-1", "2"])
    assert gated.accepted["close"].to_pylist() == [2.0]
    assert reasons(gated) == ["not_positive"]


def test_two_vintages_of_one_event_time_are_two_rows() -> None:
    gated = bars(symbol=["AAA"] * 2, ds=["2024-06-03"] * 2, close=["1", "2"], known_at=["2024-06-04", "2024-06-11"])
    assert len(gated.accepted) == 2


def test_a_volatility_must_be_positive_but_a_rate_need_not() -> None:
    columns = {"series_id": ["X"], "ds": ["2024-01-01"], "value": ["-0.5"]}
    volatility = Receipt("volatility", "percent", "B", "weekday", 0.0, NOW)
    rate = Receipt("rate", "percent", "B", "weekday", 0.0, NOW)
    assert reasons(gate(pa.table(columns), VINTAGES, volatility, "x")) == ["not_positive"]
    assert len(gate(pa.table(columns), VINTAGES, rate, "x").accepted) == 1


def test_the_original_is_kept_as_json() -> None:
    refused = bars(close=["ten"]).refused.to_pylist()[0]
    assert json.loads(refused["original"]) == {"symbol": "AAA", "ds": "2024-06-27", "close": "ten"}


def test_the_hash_of_a_refusal_depends_on_where_it_came_from_and_on_nothing_else() -> None:
    triple = [("wrong_type", "expected", "original")]
    assert refusals(triple, "a")["hash"] == refusals(triple, "a")["hash"]
    assert refusals(triple, "a")["hash"] != refusals(triple, "b")["hash"]


def test_known_at_is_what_the_source_states() -> None:
    row = bars(known_at=["2024-06-27T20:15:00+02:00"]).accepted.to_pylist()[0]
    assert row["known_at"] == datetime(2024, 6, 27, 18, 15, tzinfo=UTC)
    assert row["known_at_basis"] == "stated"


def test_known_at_is_assumed_from_the_lag_where_nothing_is_stated() -> None:
    gated = bars(symbol=["A", "B"], ds=["2024-06-20"] * 2, close=["1", "1"], known_at=["", "2024-06-21"])
    assert gated.accepted["known_at"].to_pylist()[0] == datetime(2024, 6, 20, 22, tzinfo=UTC)
    assert gated.accepted["known_at_basis"].to_pylist() == ["assumed", "stated"]


def test_what_was_received_is_known() -> None:
    slow = Receipt("price", "USD", "B", "weekday", 24.0 * 40, NOW)
    row = bars(slow).accepted.to_pylist()[0]
    assert (row["known_at"], row["known_at_basis"]) == (NOW, "assumed")


def test_a_source_east_of_utc_may_already_live_in_tomorrow() -> None:
    row = bars(ds=["2024-06-29"]).accepted.to_pylist()[0]
    assert row["known_at"] == row["ds"] == datetime(2024, 6, 29, tzinfo=UTC)


def test_known_at_never_comes_from_the_wall_clock() -> None:
    later = Receipt("price", "USD", "B", "weekday", 22.0, datetime(2200, 1, 1, tzinfo=UTC))
    gated = bars(later, symbol=["A", "B"], ds=["now", " Today "], close=["1", "1"])
    assert reasons(gated) == ["wrong_type", "wrong_type"]


def test_frequency_is_inferred_for_each_series() -> None:
    months = pd.date_range("2024-01-01", periods=5, freq="MS")
    days = pd.bdate_range("2024-01-01", periods=15)
    rows = {
        "symbol": ["M"] * 5 + ["B"] * 15,
        "ds": [f"{ds:%Y-%m-%d}" for ds in (*months, *days)],
        "close": ["1"] * 20,
    }
    gated = bars(Receipt("price", "USD", None, "weekday", 22.0, NOW), **rows)
    freqs = dict(zip(gated.accepted["symbol"].to_pylist(), gated.accepted["freq"].to_pylist(), strict=True))
    assert freqs == {"M": "MS", "B": "B"}


@given(st.lists(st.integers(0, 20_000), max_size=60))
def test_frequency_looks_only_at_the_first_thirty(later: list[int]) -> None:
    first = np.arange("2000-01-03", "2000-03-01", dtype="datetime64[D]").astype("datetime64[us]")
    first = first[np.is_busday(first.astype("datetime64[D]"))][:30]
    beyond = first[-1] + np.array(later, "timedelta64[h]") + np.timedelta64(1, "h")
    assert infer_freq(np.concatenate([beyond.astype("datetime64[us]"), first])) == infer_freq(first) == "B"


NASTY_NUMBERS = st.one_of(
    st.floats(width=64).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.sampled_from(
        ["", " ", "nan", "NULL", "n/a", ".", "inf", "-inf", "0", "-0.0", "1e308", "1e999", "1_0", "0x1", "\u0661"]
    ),
    st.text(max_size=8),
)
NASTY_TIMES = st.one_of(
    st.dates(date(1600, 1, 1), date(2300, 1, 1)).map(str),
    st.sampled_from(
        ["", "now", "today", "NaT", "2024", "2024-W05", "20240131", "2024-06-27T10:00Z", "31/01/2024", "-1", "1e9"]
    ),
    st.sampled_from(["2024-06-03", "2024-06-04"]),
    st.text(max_size=12),
)
IDS = st.one_of(st.sampled_from(["A", "B", " A ", "", "nan"]), st.text(max_size=5), st.just("x" * 200))
ROWS = st.lists(st.tuples(IDS, NASTY_TIMES, NASTY_NUMBERS, NASTY_NUMBERS, NASTY_TIMES), max_size=12)


@settings(max_examples=60)
@given(ROWS, st.sampled_from([None, "B"]), st.sampled_from(["price", "other"]))
def test_every_row_comes_out_exactly_once(rows: list[tuple[str, ...]], freq: str | None, kind: str) -> None:
    names = ["symbol", "ds", "close", "high", "known_at"]
    columns = list(zip(*rows, strict=True)) or [()] * 5
    table = pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)})
    gated = gate(table, BARS, Receipt(kind, "USD", freq, "weekday", 22.0, NOW), "a.csv")
    assert len(gated.accepted) + len(gated.refused) == len(table)
    assert all(gated.refused["reason"].to_pylist())
    assert all(gated.refused["detail"].to_pylist())


@settings(max_examples=40)
@given(ROWS)
def test_what_is_accepted_fits_its_table_and_breaks_none_of_its_rules(rows: list[tuple[str, ...]]) -> None:
    names = ["symbol", "ds", "close", "high", "known_at"]
    columns = list(zip(*[*rows, ("GOOD", "2024-06-03", "1", "1", "")], strict=True))
    table = pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)})
    accepted = gate(table, BARS, PRICES, "a.csv").accepted
    stored = MARKET_BARS.cast(accepted.append_column("source", pa.array(["s"] * len(accepted))))
    assert MARKET_BARS.broken_rules(stored) == {}


TYPED = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sampled_from(["A", "B"]), st.text("xyz", min_size=1, max_size=3)),
        st.one_of(
            st.none(),
            st.integers(-8_000_000_000, 8_000_000_000).map(
                lambda t: datetime.fromtimestamp(t, UTC).replace(tzinfo=None)
            ),
        ),
        st.one_of(st.none(), st.floats(width=64), st.floats(0.001, 1e6)),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(TYPED)
def test_text_and_typed_rows_give_the_same_result(rows: list[tuple[str | None, datetime | None, float | None]]) -> None:
    ids, times, values = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    typed = {
        "series_id": pa.array(ids, pa.string()),
        "ds": pa.array(times, pa.timestamp("us")),
        "value": pa.array(values, pa.float64()),
    }
    text = {
        "series_id": pa.array(ids, pa.string()),
        "ds": pa.array([None if t is None else t.isoformat() for t in times], pa.string()),
        "value": pa.array([None if v is None else repr(v) for v in values], pa.string()),
    }
    one, other = (gate(pa.table(columns), VINTAGES, NUMBERS, "x") for columns in (typed, text))
    assert one.accepted.to_pylist() == other.accepted.to_pylist()
    assert reasons(one) == reasons(other)


@pytest.mark.parametrize(
    "ids",
    [pa.array([7, None]), pa.array(["7", None]), pa.array(["7", None]).dictionary_encode(), pa.array([b"7", None])],
    ids=["int", "text", "dictionary", "bytes"],
)
def test_an_id_is_the_same_in_any_type_even_beside_a_null(ids: pa.Array) -> None:
    gated = bars(symbol=ids, ds=pa.array([20240627, None]), close=pa.array([1, None]))
    assert gated.accepted["symbol"].to_pylist() == ["7"]
    assert gated.accepted["ds"].to_pylist() == [datetime(2024, 6, 27, tzinfo=UTC)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_times_of_any_unit_and_zone_become_utc(unit: str, zone: str | None) -> None:
    moment = NOW - timedelta(days=1)
    gated = bars(ds=pa.array([moment], pa.timestamp(unit, zone)))
    assert gated.accepted["ds"].to_pylist() == [moment]


def test_rows_that_pandas_stored_with_an_index_are_read_like_others() -> None:
    frame = pd.DataFrame({"ds": ["2024-06-27"], "symbol": ["AAA"], "close": [1.0]}).set_index("ds")
    assert len(gate(pa.Table.from_pandas(frame), BARS, PRICES, "a.parquet").accepted) == 1


def test_no_rows_give_no_rows() -> None:
    empty = pa.table({"series_id": pa.array([], pa.string()), "ds": pa.nulls(0), "value": pa.nulls(0)})
    gated = gate(empty, VINTAGES, NUMBERS, "x")
    assert (len(gated.accepted), len(gated.refused)) == (0, 0)


def test_accepted_vintages_fit_their_table() -> None:
    rows = pa.table({"series_id": ["CPI"], "ds": ["2024-01-01"], "value": ["308.4"]})
    accepted = gate(rows, VINTAGES, NUMBERS, "x").accepted
    assert MACRO_VINTAGES.cast(accepted.append_column("source", pa.array(["s"])))["value"].to_pylist() == [308.4]
