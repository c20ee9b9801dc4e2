"""CSV bytes into text columns: what can be read is read, the rest is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_resources.sources.csv_text import MAX_LINE_BYTES, parse_csv

HEADER = b"ds,close\n"
GOOD = b"2024-06-03,1\n"
ROW = {"ds": "2024-06-03", "close": "1"}


def test_every_column_is_text() -> None:
    rows, problems = parse_csv(HEADER + b"2024-06-03,1e5\n,\n", "a.csv")
    assert rows.to_pylist() == [{"ds": "2024-06-03", "close": "1e5"}, {"ds": "", "close": ""}]
    assert problems == []


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
def test_the_delimiter_is_found_in_the_header(delimiter: bytes) -> None:
    rows, problems = parse_csv((HEADER + GOOD).replace(b",", delimiter), "a.csv")
    assert (rows.to_pylist(), problems) == ([ROW], [])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_way(end: bytes) -> None:
    rows, problems = parse_csv((HEADER + GOOD * 2).replace(b"\n", end), "a.csv")
    assert (rows.to_pylist(), problems) == ([ROW, ROW], [])


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + HEADER + GOOD,
        b"\n \r\n" + HEADER + GOOD,
        HEADER + b"\n" + GOOD + b"\n\n",
        HEADER + GOOD.strip(),
        b'"ds","close"\n"2024-06-03","1"\n',
    ],
    ids=["byte-order mark", "blank lines before", "blank lines within", "no last line end", "quotes"],
)
def test_harmless_variations_are_read(body: bytes) -> None:
    rows, problems = parse_csv(body, "a.csv")
    assert (rows.to_pylist(), problems) == ([ROW], [])


def test_a_first_column_without_a_name_stays_the_first() -> None:
    rows, problems = parse_csv(b"\tds\tclose\n0\t2024-06-03\t1\n", "a.csv")
    assert rows.to_pylist() == [{"": "0"} | ROW]
    assert problems == []


@pytest.mark.parametrize(
    ("line", "reason", "said"),
    [
        (b"2024-06-04,caf\xe9", "not_utf8", "line 3 has a byte at 14 that is no UTF-8"),
        (b"2024-06-04," + b"9" * MAX_LINE_BYTES, "field_too_large", f"line 3 has {MAX_LINE_BYTES + 11} bytes"),
        (b'2024-06-04,"1', "open_quote", "line 3 opens a quote and does not close it"),
        (b"2024-06-04", "wrong_field_count", "expected 2 fields, came 1"),
        (b"2024-06-04,1,2", "wrong_field_count", "expected 2 fields, came 3"),
    ],
)
def test_a_bad_line_is_a_problem_and_its_neighbours_are_read(line: bytes, reason: str, said: str) -> None:
    rows, problems = parse_csv(HEADER + GOOD + line + b"\n" + GOOD, "a.csv")
    assert rows.to_pylist() == [ROW, ROW]
    assert [problem.reason for problem in problems] == [reason]
    assert said in problems[0].detail
    assert len(problems[0].original) <= 1_000


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_file"),
        (b" \n\r\n", "empty_file"),
        (HEADER, "empty_file"),
        (b"ds,close,close\n2024-06-03,1,2\n", "bad_header"),
        (b"ds,close,W\xe4hrung\n2024-06-03,1,EUR\n", "bad_header"),
        (b'ds,"close\n2024-06-03,1\n', "bad_header"),
        ("ds,close\n2024-06-03,1\n".encode("utf-16"), "bad_header"),
        (b"x" * 70_000 + b"\n1\n", "bad_header"),
    ],
)
def test_a_file_without_a_readable_header_or_rows_is_one_problem(body: bytes, reason: str) -> None:
    rows, problems = parse_csv(body, "a.csv")
    assert len(rows) == 0
    assert [problem.reason for problem in problems] == [reason]
    assert problems[0].origin == "a.csv"


LINES = st.lists(
    st.one_of(st.just(GOOD.strip()), st.sampled_from([b"caf\xe9,1", b"1,2,3", b'"', b"x", b"a,b"])), max_size=15
)


@given(LINES)
def test_every_line_is_a_row_or_a_problem(lines: list[bytes]) -> None:
    rows, problems = parse_csv(HEADER + b"\n".join(lines) + b"\n", "a.csv")
    told = [problem for problem in problems if problem.reason != "empty_file"]
    assert len(rows) + len(told) == len(lines)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_in_another_way(body: bytes) -> None:
    rows, problems = parse_csv(b"a,b\n" + body, "a.csv")
    assert len(rows) or problems
