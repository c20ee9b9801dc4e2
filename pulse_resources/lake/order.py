"""Puts rows in the contract's order, at the cost of one comparison of neighbours when they already are."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def in_order(rows: pa.Table, columns: Sequence[str]) -> tuple[pa.Table, bool]:
    """Return the rows sorted ascending by the columns, and whether no two rows agree in all of them.

    Parameters
    ----------
    rows
        Any number of rows; null sorts last and never counts as equal.
    columns
        Sort columns, the most significant first.

    Examples
    --------
    >>> rows, unique = in_order(pa.table({"a": [2, 1, 2]}), ["a"])
    >>> rows["a"].to_pylist(), unique
    ([1, 2, 2], False)
    """
    rows = rows.combine_chunks()
    if len(rows) < 2:
        return rows, True
    not_after, before = _neighbours(rows, columns)
    if not not_after:
        rows = rows.sort_by([(column, "ascending") for column in columns])
        _, before = _neighbours(rows, columns)
    return rows, before


def _neighbours(rows: pa.Table, columns: Sequence[str]) -> tuple[bool, bool]:
    """Return whether each row is <= the next one, and whether each is < it."""
    less, equal = None, None
    for column in reversed(columns):
        values = rows[column]
        this, following = values.slice(0, len(values) - 1), values.slice(1)
        lower = pc.fill_null(pc.less(this, following), fill_value=False)
        same = pc.fill_null(pc.equal(this, following), fill_value=False)
        less = lower if less is None else pc.or_(lower, pc.and_(same, less))
        equal = same if equal is None else pc.and_(same, equal)
    return bool(pc.all(pc.or_(less, equal)).as_py()), bool(pc.all(less).as_py())
