"""Reads CSV bytes into text columns, keeping what cannot be read as problems; casting is the gate's business."""

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pacsv

from pulse_resources.sources.protocol import Problem

MAX_LINE_BYTES = 65_536
SHOWN_BYTES = 1_000
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
        (``not_utf8``), over 64 KiB (``field_too_large``) or has another number of fields (``wrong_field_count``). No
        content at all is the problem ``empty_file``, a header with equal names ``bad_header``; then the table is empty.

    Examples
    --------
    >>> rows, problems = parse_csv(b"ds,close\\n2024-01-02,1.5\n2024-01-03\n", "a.csv")
    >>> rows.to_pylist(), problems[0].reason
    ([{'ds': '2024-01-02', 'close': '1.5'}], 'wrong_field_count')
    """
    problems: list[Problem] = []
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        return pa.table({}), [Problem("empty_file", "expected a header line and rows, came nothing", "", origin)]
    if not _is_clean(body):
        body = _without_bad_lines(body, origin, problems)
    header = body.lstrip(b"\r\n").split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    delimiter = max(DELIMITERS, key=header.count)
    names = pacsv.read_csv(io.BytesIO(f"{header}\n".encode()), parse_options=_parsing(delimiter)).column_names
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
    rows = pacsv.read_csv(io.BytesIO(body), parse_options=_parsing(delimiter, invalid), convert_options=text)
    if not len(rows) and not problems:
        problems.append(Problem("empty_file", "expected rows below the header, came none", header, origin))
    return rows, problems


def _parsing(delimiter: str, invalid: object = None) -> pacsv.ParseOptions:
    return pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=invalid)


def _is_clean(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return max(map(len, body.splitlines())) <= MAX_LINE_BYTES


def _without_bad_lines(body: bytes, origin: str, problems: list[Problem]) -> bytes:
    return b"\n".join(_good_lines(body, origin, problems)) + b"\n"


def _good_lines(body: bytes, origin: str, problems: list[Problem]) -> Iterator[bytes]:
    for number, line in enumerate(body.splitlines(), start=1):
        shown = line[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
        if len(line) > MAX_LINE_BYTES:
            detail = f"line {number} has {len(line)} bytes, at most {MAX_LINE_BYTES} are read"
            problems.append(Problem("field_too_large", detail, shown, f"{origin}:{number}"))
            continue
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            detail = f"line {number}: byte {error.start} is no UTF-8; save the file as UTF-8"
            problems.append(Problem("not_utf8", detail, shown, f"{origin}:{number}"))
            continue
        yield line
