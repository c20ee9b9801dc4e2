"""One answer read as a table, whatever bytes it holds."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_resources.sources.daily_bars import read_table
from pulse_resources.sources.http_answer import Answer


def _objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(["date", "close", "data"]) | st.text(), values)


def test_numbers_in_json_keep_every_digit() -> None:
    rows, _ = read_table(Answer(b'[{"date": "2026-02-27", "close": 0.10000000000000000001}]'), "here")
    assert rows["close"].to_pylist() == ["0.10000000000000000001"]


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode), st.sampled_from([None, "application/json"]))
def test_no_body_breaks_the_reader(body: Any, content_type: str | None) -> None:
    rows, problems = read_table(Answer(body, content_type=content_type), "here")
    assert rows.column_names or problems or json.loads(body) in ([], {"data": []}, [{}])


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda it: st.lists(it) | _objects(it)))
def test_no_json_breaks_the_reader(value: Any) -> None:
    rows, _ = read_table(Answer(json.dumps(value).encode(), content_type="application/json"), "here")
    assert all(str(field.type) == "string" for field in rows.schema)


@pytest.mark.parametrize("depth", [500, 900, 990, 100_000])
def test_deeply_nested_json_does_not_exhaust_the_stack(depth: int) -> None:
    body = b'[{"date": "2026-02-27", "close": ' + b"[" * depth + b"]" * depth + b"}]"
    rows, problems = read_table(Answer(body), "here")
    assert len(rows) + len(problems) == 1
