"""Reads CSV bytes into text columns, keeping what cannot be read as problems; casting is the gate's business."""

import io
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pacsv

from pulse_resources.sources.protocol import Problem

MAX_LINE_BYTES = 65_536
SHOWN_BYTES = 1_000
BLANK_LINES = re.compile(rb"\A(?:[ \t]*[\r\n])+")
DELIMITERS = (",", ";", "\t", "|")


def parse_csv(body: bytes, origin: str) -> tuple[pa.Table, list[Problem]]:
    r"""Parse CSV text with a header line.

    Parameters
    ----------
    body
        UTF-8, with or without byte-order mark; the delimiter is the most frequent of ``, ; tab |`` in the header.
    origin
        File or address, for the problems.

    Returns
    -------
    tuple of pyarrow.Table and list of Problem
        All columns as strings under the header's names, and one problem for each line that is no UTF-8
        (``not_utf8``), over 64 KiB (``field_too_large``), leaves a quote open (``open_quote``; values hold no line
        breaks) or has another number of fields (``wrong_field_count``). No content at all is the problem
        ``empty_file``, a header that is such a line or has equal names ``bad_header``; then the table is empty.

    Examples
    --------
    >>> rows, problems = parse_csv(b"ds,close\n2024-01-02,1.5\n2024-01-03\n", "a.csv")
    >>> rows.to_pylist(), problems[0].reason
    ([{'ds': '2024-01-02', 'close': '1.5'}], 'wrong_field_count')
    """
    problems: list[Problem] = []
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        return pa.table({}), [Problem("empty_file", "expected a header line and rows, came nothing", "", origin)]
    body = BLANK_LINES.sub(b"", body)
    if not _is_clean(body):
        lines = body.splitlines()
        wrong = _wrong(lines[0])
        if wrong is not None:
            return pa.table({}), [Problem("bad_header", f"the header line {wrong[1]}", _readable(lines[0]), origin)]
        body = b"\n".join(_good_lines(lines, origin, problems)) + b"\n"
    header = body.splitlines()[0].decode("utf-8")
    delimiter = max(DELIMITERS, key=header.count)
    names = pacsv.read_csv(io.BytesIO(f"{header}\n".encode()), parse_options=_parsing(delimiter)).column_names
    names = [name.strip() for name in names]
    if len(set(names)) < len(names):
        return pa.table({}), [
            *problems,
            Problem("bad_header", f"two columns share a name in {names}", header, origin),
        ]

    def invalid(row: pacsv.InvalidRow) -> str:
        detail = f"expected {row.expected_columns} fields, came {row.actual_columns}"
        problems.append(Problem("wrong_field_count", detail, str(row.text)[:SHOWN_BYTES], origin))
        return "skip"

    text = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    below = pacsv.ReadOptions(column_names=names, skip_rows=1)
    rows = pacsv.read_csv(
        io.BytesIO(body + b"\n"), read_options=below, parse_options=_parsing(delimiter, invalid), convert_options=text
    )
    if not len(rows) and not problems:
        problems.append(Problem("empty_file", "expected rows below the header, came none", header, origin))
    return rows, problems


def _parsing(delimiter: str, invalid: object = None) -> pacsv.ParseOptions:
    return pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=invalid)


def _is_clean(body: bytes) -> bool:
    lines = body.splitlines()
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if b'"' in body and any(line.count(b'"') % 2 for line in lines):
        return False
    return max(map(len, lines)) <= MAX_LINE_BYTES


def _good_lines(lines: list[bytes], origin: str, problems: list[Problem]) -> Iterator[bytes]:
    for number, line in enumerate(lines, start=1):
        wrong = _wrong(line)
        if wrong is None:
            yield line
        else:
            problems.append(Problem(wrong[0], f"line {number} {wrong[1]}", _readable(line), f"{origin}:{number}"))


def _wrong(line: bytes) -> tuple[str, str] | None:
    """Return reason and detail of a line that the parser must not see."""
    if len(line) > MAX_LINE_BYTES:
        return "field_too_large", f"has {len(line)} bytes, at most {MAX_LINE_BYTES} are read"
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return "not_utf8", f"has a byte at {error.start} that is no UTF-8; save the file as UTF-8"
    if line.count(b'"') % 2:
        return "open_quote", "opens a quote and does not close it; values cannot hold line breaks"
    return None


def _readable(line: bytes) -> str:
    return line[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
