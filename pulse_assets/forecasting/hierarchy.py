"""Which series add up to which: a hierarchy made from groups, and what is wrong with one said in words. Pure."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.uint16]


TOTAL = "total"


NAMES_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """All nodes in the order of their names, and how the bottom series add up to them.

    Attributes
    ----------
    names
        The n nodes, sorted: bottom ids, ``column=group`` for each group, and ``total``.
    summing
        Sparse matrix S of zeros and ones, shape ``(n, b)``; its columns are the bottom series, sorted.
    is_bottom
        Shape ``(n,)``: whether a node is a bottom series.
    """

    names: tuple[str, ...]
    summing: sparse.csr_array
    is_bottom: Bools

    @classmethod
    def from_groups(cls, table: pa.Table) -> "Hierarchy":
        """Build the hierarchy of bottom series from the groups that each belongs to.

        Groupings may cross (sector by country); a node for every pair needs a column that holds the pair.

        Parameters
        ----------
        table
            Column ``unique_id`` of the bottom series, one row each, and one column a grouping, all text.

        Raises
        ------
        ValueError
            Rows or names are missing, null, empty or given twice.

        Examples
        --------
        >>> table = pa.table({"unique_id": ["a", "b", "c"], "sector": ["x", "x", "y"]})
        >>> hierarchy = Hierarchy.from_groups(table)
        >>> hierarchy.names
        ('a', 'b', 'c', 'sector=x', 'sector=y', 'total')
        >>> hierarchy.summing.toarray().astype(int)[3:].tolist()
        [[1, 1, 0], [0, 0, 1], [1, 1, 1]]
        """
        ids, groupings = _columns(table)
        sets = {name: np.unique(group, return_inverse=True) for name, group in groupings.items()}
        nodes = [*ids, TOTAL, *(f"{name}={group}" for name, (groups, _) in sets.items() for group in groups)]
        refuse(_repeated(nodes), "nodes must have names of their own", "rename the bottom series or the group")
        names = tuple(sorted(nodes))
        place = {name: row for row, name in enumerate(names)}
        column = np.argsort(np.argsort(ids, kind="stable"))
        rows = [np.array([place[name] for name in ids]), np.full(len(ids), place[TOTAL])]
        rows += [
            np.array([place[f"{name}={group}"] for group in groups])[code] for name, (groups, code) in sets.items()
        ]
        ones = np.ones(len(ids) * len(rows))
        shape = (len(names), len(ids))
        summing = sparse.csr_array((ones, (np.concatenate(rows), np.tile(column, len(rows)))), shape=shape)
        is_bottom = np.zeros(len(names), bool)
        is_bottom[rows[0]] = True
        return cls(names, summing, is_bottom)

    @property
    def aggregation(self) -> sparse.csr_array:
        """Rows of ``summing`` above the bottom, shape ``(n - b, b)``."""
        return self.summing[~self.is_bottom]


def _columns(table: pa.Table) -> tuple[npt.NDArray[np.object_], dict[str, npt.NDArray[np.object_]]]:
    """Return the bottom ids and the group of each in every grouping."""
    refuse(_repeated(table.column_names), "columns must have names of their own", "rename one of each")
    if "unique_id" not in table.column_names or not table.num_rows:
        raise ValueError(
            "expected a table with a column unique_id and one row for each bottom series, came "
            f"{table.num_rows} rows of {table.column_names}: pass the bottom series and their groups"
        )
    columns = {name: _texts(name, table[name]) for name in table.column_names}
    ids = columns.pop("unique_id")
    refuse(_repeated(ids.tolist()), "unique_id must name a bottom series once", "keep one row for each")
    return ids, columns


def _texts(name: str, column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise ValueError(f"expected text in column {name}, came {column.type}: cast it to strings")
    texts = column.cast(pa.string())
    empty = pc.sum(pc.equal(pc.fill_null(texts, ""), "")).as_py()
    if empty:
        raise ValueError(
            f"expected a text in every row of column {name}, came {empty} null or empty of {len(texts)}: "
            "name the group, such as none"
        )
    return np.asarray(texts.to_numpy(zero_copy_only=False), object)


def _repeated(names: list[str]) -> list[str]:
    found, counts = np.unique(np.array(names, object), return_counts=True)
    return [str(name) for name in found[counts > 1]]


def refuse(names: list[str], expected: str, remedy: str) -> None:
    """Raise ValueError that names the first of some nodes, if there are any."""
    if names:
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        raise ValueError(f"{expected}; came {', '.join(names[:NAMES_SHOWN])}{more}: {remedy}")


def wrong_shape(what: str, expected: str, came: tuple[int, ...]) -> NoReturn:
    """Raise ValueError about an array of the wrong shape."""
    raise ValueError(f"{what} must have shape {expected}, in the order of the hierarchy's names; came {came}")
