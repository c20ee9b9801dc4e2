"""The border of the lake: what a contract lets through, what it refuses, and in which order rows are stored."""

from datetime import UTC, date, datetime
from functools import cmp_to_key

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulse_resources.errors import ContractError
from pulse_resources.lake import Column, Rule, TableContract
from pulse_resources.lake.contract import mask_of
from pulse_resources.lake.order import in_order

POSITIVE = Rule("y_is_positive", "y above zero", lambda rows: pc.greater(rows["y"], 0))
PRICES = TableContract(
    name="t/prices",
    description="a price of a day",
    columns=(
        Column("day", pa.date32(), "day"),
        Column("symbol", pa.string(), "ticker"),
        Column("y", pa.float64(), "price", "USD", nullable=True),
    ),
    key=("day", "symbol"),
    partition="day",
    physical="month",
    rules=(POSITIVE,),
)
DAY = date(2024, 1, 5)


def prices(**columns: object) -> pa.Table:
    return pa.table({"day": [DAY, DAY], "symbol": ["a", "b"], "y": [1.0, 2.0]} | columns)


def test_cast_puts_columns_into_the_contract_s_order_and_types() -> None:
    came = pa.table({"y": pa.array([1], pa.int8()), "symbol": ["a"], "day": [datetime.fromisoformat("2024-01-05")]})
    assert PRICES.cast(came).schema.equals(PRICES.schema, check_metadata=True)
    assert PRICES.cast(came).to_pylist() == [{"day": DAY, "symbol": "a", "y": 1.0}]


def test_a_missing_nullable_column_becomes_null() -> None:
    assert PRICES.cast(prices().drop_columns("y"))["y"].to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (prices().drop_columns("symbol"), r"t/prices: column 'symbol' \(string\) is missing; came \['day', 'y'\]"),
        (prices(volume=[1, 2]), r"unexpected columns \['volume'\].*evolve_schema=True"),
        (prices(y=["1.5", "much"]), r"t/prices\.y: expected double, came string"),
        (prices(symbol=[{"a": 1}, {"a": 2}]), r"t/prices\.symbol: expected string, came struct"),
        (prices(symbol=["a", None]), r"t/prices\.symbol: 1 of 2 values are null"),
        (prices(day=[DAY, None]), r"t/prices\.day: 1 of 2 values are null"),
    ],
    ids=["missing", "surplus", "no number", "nested", "null in the key", "null in the partition"],
)
def test_rows_that_do_not_fit_are_refused_by_name(rows: pa.Table, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        PRICES.cast(rows)


def test_an_empty_column_of_the_wrong_kind_is_missing_all_its_values_and_is_refused() -> None:
    with pytest.raises(ContractError, match="2 of 2 values are null"):
        PRICES.cast(prices(symbol=pa.nulls(2)))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_time_of_day_is_not_cut_off_to_make_a_date(unit: str, zone: str | None) -> None:
    noon = pa.array(
        [datetime.fromisoformat(text) for text in ("2024-01-05T12:00", "2024-01-05")], pa.timestamp(unit, zone)
    )
    with pytest.raises(ContractError, match=r"t/prices\.day: expected date32\[day\].*time of day"):
        PRICES.cast(prices(day=noon))


def test_extra_columns_are_kept_behind_the_contract_s_own_when_asked_for() -> None:
    cast = PRICES.cast(prices(volume=[1, 2]).select(["volume", "y", "symbol", "day"]), extra=True)
    assert cast.column_names == ["day", "symbol", "y", "volume"]
    assert cast["volume"].to_pylist() == [1, 2]


@given(st.lists(st.integers(-(2**40), 2**40) | st.none()))
def test_casting_twice_is_casting_once(values: list[int | None]) -> None:
    rows = pa.table(
        {"y": pa.array(values, pa.int64()), "symbol": ["a"] * len(values), "day": pa.array([DAY] * len(values))}
    )
    once = PRICES.cast(rows)
    assert PRICES.cast(once).equals(once)
    assert once["y"].to_pylist() == values


def test_descriptions_and_units_travel_with_the_schema() -> None:
    assert PRICES.schema.field("y").metadata == {b"description": b"price", b"unit": b"USD"}
    assert PRICES.stored_schema.names == ["day", "symbol", "y", "month"]
    assert PRICES.empty().schema == PRICES.schema


def test_rules_count_the_rows_that_break_them_and_null_breaks() -> None:
    rows = PRICES.cast(prices(y=[-1.0, None]))
    assert PRICES.broken_rules(rows) == {"y_is_positive": 2}
    assert mask_of(POSITIVE, rows).to_pylist() == [False, False]
    assert PRICES.broken_rules(PRICES.cast(prices())) == {}
    assert PRICES.broken_rules(PRICES.empty()) == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.dates(date(2024, 1, 1), date(2024, 1, 3))), max_size=12))
def test_duplicate_keys_are_the_rows_beyond_one_a_key(keys: list[tuple[str, date]]) -> None:
    rows = pa.table(
        {
            "day": pa.array([day for _, day in keys], pa.date32()),
            "symbol": pa.array([symbol for symbol, _ in keys], pa.string()),
            "y": pa.array([1.0] * len(keys), pa.float64()),
        }
    )
    surplus = len(keys) - len(set(keys))
    assert PRICES.broken_rules(rows).get("key_is_unique", 0) == surplus


def test_the_fingerprint_changes_with_the_shape_and_not_with_the_words() -> None:
    changed = [
        {"columns": PRICES.columns[:2]},
        {"key": ("day",)},
        {"physical": "year"},
        {"name": "t/other"},
        {"columns": (*PRICES.columns[:2], Column("y", pa.float64(), "price", "EUR", nullable=True))},
    ]
    assert len({PRICES.fingerprint, *(variant(**change).fingerprint for change in changed)}) == 1 + len(changed)
    assert variant(description="other words").fingerprint == PRICES.fingerprint


def variant(**change: object) -> TableContract:
    names = ("name", "description", "columns", "key", "partition", "physical")
    return TableContract(**{name: getattr(PRICES, name) for name in names} | change)


def test_a_contract_that_contradicts_itself_is_refused_when_it_is_declared() -> None:
    with pytest.raises(ContractError, match=r"\['when'\] named by the contract but not among its columns"):
        variant(key=("day", "when"))
    with pytest.raises(ContractError, match="folders by month need a date or timestamp partition column"):
        variant(partition="symbol")
    with pytest.raises(ContractError, match="folders by month need a date or timestamp partition column"):
        variant(partition=None)


def test_a_column_that_does_not_exist_is_named() -> None:
    with pytest.raises(ContractError, match="t/prices: no column 'nope'"):
        PRICES.type_of("nope")


# The order of rows, beside an implementation that anybody can check by eye.

VALUES = st.tuples(st.integers(0, 3) | st.none(), st.sampled_from(["", "a", "b"]) | st.none())


def compare(left: tuple[object, ...], right: tuple[object, ...]) -> int:
    """Compare column by column; null is larger than everything."""
    for one, other in zip(left, right, strict=True):
        if one == other:
            continue
        if one is None or other is None:
            return 1 if one is None else -1
        return -1 if one < other else 1  # type: ignore[operator]
    return 0


@given(st.lists(VALUES, max_size=14), st.sampled_from([["a"], ["b"], ["a", "b"], ["b", "a"]]))
@example([(1, "a"), (0, "b")], ["a", "b"])
@example([(0, "a"), (0, "a")], ["a", "b"])
@example([(None, "a"), (0, "a")], ["a"])
def test_rows_come_out_as_a_slow_stable_sort_orders_them(
    values: list[tuple[int | None, str | None]], columns: list[str]
) -> None:
    numbered = [(*value, place) for place, value in enumerate(values)]
    rows = pa.table(
        {
            "a": pa.array([a for a, _ in values], pa.int64()),
            "b": pa.array([b for _, b in values], pa.string()),
            "place": pa.array(range(len(values)), pa.int64()),
        }
    )
    pick = [["a", "b"].index(column) for column in columns]

    def by_columns(one: tuple[object, ...], other: tuple[object, ...]) -> int:
        return compare(tuple(one[i] for i in pick), tuple(other[i] for i in pick))

    ordered, unique = in_order(rows, columns)
    expected = sorted(numbered, key=cmp_to_key(by_columns))
    assert list(zip(*(ordered[name].to_pylist() for name in ("a", "b", "place")), strict=True)) == expected
    sorted_keys = [tuple(value[i] for i in pick) for value in values]
    if not any(None in key for key in sorted_keys):
        assert unique == (len(set(sorted_keys)) == len(sorted_keys))
    elif unique:  # with null it may only err on the safe side, where the key is then counted
        assert len(set(sorted_keys)) == len(sorted_keys)


def test_rows_already_in_order_stay_as_they_came() -> None:
    rows = pa.table({"at": pa.array([datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 2)]), "n": [3, 1, 2]})
    chunks = pa.concat_tables([rows.slice(0, 1), rows.slice(1)])
    ordered, unique = in_order(chunks, ["at", "n"])
    assert ordered.equals(rows)
    assert unique
    assert in_order(chunks, ["at"])[1] is False


def test_columns_in_chunks_of_any_length_are_compared_across_their_borders() -> None:
    rows = pa.concat_tables([pa.table({"n": [2]}), pa.table({"n": pa.array([], pa.int64())}), pa.table({"n": [1, 2]})])
    ordered, unique = in_order(rows, ["n"])
    assert (ordered["n"].to_pylist(), unique) == ([1, 2, 2], False)
