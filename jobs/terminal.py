"""What every command prints with: consoles, exit codes, tables. Knows neither Dagster nor the lake."""

import sys

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

OK, FAILED, USAGE, REFUSED = 0, 1, 2, 3
EXIT_CODES = (
    "Exit codes: 0 done; 1 a run or a blocking check failed; 2 wrong usage or configuration; "
    "3 done, but rows were refused, a source did not answer (`pulse show quarantine`, `pulse show sources`), "
    "or a series got no forecast."
)
WIDE = 160
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)  # a pipe has no edge to fold at
problems = Console(stderr=True, highlight=False)


def as_rich(rows: pa.Table, title: str, limit: int) -> Table:
    """Return the first rows as a table for a terminal."""
    table = Table(title=Text(title), title_justify="left", header_style="bold", box=None, pad_edge=False)
    for field in rows.schema:
        numeric = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        table.add_column(field.name, justify="right" if numeric else "left", overflow="fold")
    for row in rows.slice(0, limit).to_pylist():
        table.add_row(*(Text(_cell(value)) for value in row.values()))  # Text: a source may write [markup]
    return table


def print_rows(rows: pa.Table, title: str, limit: int) -> None:
    """Print the first rows of a table, and how many are left out."""
    console.print(as_rich(rows, title, limit))
    if len(rows) > limit:
        console.print(f"… {len(rows) - limit:,} more rows (--limit)")
    if not len(rows):
        console.print("no rows")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).removesuffix("+00:00").removesuffix(" 00:00:00")
