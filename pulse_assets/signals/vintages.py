"""Which delivered rows say something new: first releases, stated revisions, corrections noticed on receipt. Pure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class Fresh:
    """Rows to append, and how many of them correct a row already held."""

    rows: pa.Table
    corrected: int


def fresh_rows(accepted: pa.Table, held: pa.Table, identity: str, values: tuple[str, ...]) -> Fresh:
    """Return the accepted rows that the table does not hold yet.

    A row that says for its ``(identity, ds)`` what is already known is left out. One whose source states no time of
    knowledge, or restates its newest vintage under a time already taken, and says something else, is a correction: it
    counts as known from its receipt on, because nobody could have known it before. Rewriting a vintage that a later
    one has replaced says nothing about the present and is left out: what was known then stays as it was.

    Parameters
    ----------
    accepted
        Rows of one source that passed the gate, one a key.
    held
        Rows of the same source: the identity, ``ds, known_at, known_at_basis`` and the value columns.
    identity
        Id column.
    values
        Columns that are compared; NaN equals NaN.
    """
    if not len(accepted) or not len(held):
        return Fresh(accepted, 0)
    new, old = accepted.to_pandas(), held.to_pandas().sort_values([identity, "ds", "known_at"])
    pair, exact = [identity, "ds"], [identity, "ds", "known_at"]
    latest = old.drop_duplicates(pair, keep="last")
    newest = old[old["known_at_basis"] != "received"].drop_duplicates(pair, keep="last")
    stated = (new["known_at_basis"] == "stated").to_numpy()
    found, same = _compare(new, latest, pair, values)
    taken, _ = _compare(new, old, exact)
    is_newest, _ = _compare(new, newest, exact)
    said_before = np.where(stated, taken, found)
    correction = said_before & found & ~same & (~stated | is_newest)
    new.loc[correction, "known_at"] = new.loc[correction, "received_at"]
    new.loc[correction, "known_at_basis"] = "received"
    rows = pa.Table.from_pandas(new[~said_before | correction], schema=accepted.schema, preserve_index=False)
    return Fresh(rows, int(correction.sum()))


def keep_settled(rows: pa.Table, held: pa.Table, identity: str) -> pa.Table:
    """Return the rows with the frequency of the first row held of their series, where there is one.

    A frequency inferred from one delivery must not change a series: a folder may hold one file a day.

    Parameters
    ----------
    rows
        Rows to append, with ``freq``.
    held
        Rows of the same source: the identity, ``known_at`` and ``freq``.
    """
    if not len(rows) or not len(held):
        return rows
    first = held.to_pandas().sort_values("known_at", kind="stable").drop_duplicates(identity)
    place = pc.index_in(rows[identity], pa.array(first[identity], pa.string()))
    settled = pa.chunked_array([pa.array(first["freq"], pa.string())]).take(place)
    at = rows.column_names.index("freq")
    return rows.set_column(at, rows.schema.field(at), pc.coalesce(settled, rows["freq"]))


def _compare(
    new: pd.DataFrame, old: pd.DataFrame, on: list[str], values: tuple[str, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each new row whether an old row has its key, and whether that one has the same values."""
    merged = new[[*on, *values]].merge(old[[*on, *values]], on=on, how="left", suffixes=("", "_held"), indicator="side")
    equal = np.ones(len(merged), bool)
    for name in values:
        ours, theirs = merged[name].to_numpy(float), merged[f"{name}_held"].to_numpy(float)
        equal &= (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return (merged["side"] == "both").to_numpy(), equal
