"""Which delivered rows say something new: first releases, stated revisions, corrections noticed on receipt. Pure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Fresh:
    """Rows to append, and how many of them correct a row already held."""

    rows: pa.Table
    corrected: int


def fresh_rows(accepted: pa.Table, held: pa.Table, identity: str, values: tuple[str, ...]) -> Fresh:
    """Return the accepted rows that the table does not hold yet.

    A row that says for its ``(identity, ds)`` what is already known is left out. One whose source states no time of
    knowledge, or restates a value under a time already taken, and says something else, is a correction: it counts as
    known from its receipt on, because nobody could have known it before.

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
    latest = _same(new, old.drop_duplicates(pair, keep="last"), pair, values)
    at_key = _same(new, old, exact, values)
    noticed = old[old["known_at_basis"] == "received"].drop_duplicates(pair, keep="last")
    as_noticed = _same(new, noticed, pair, values)
    stated = (new["known_at_basis"] == "stated").to_numpy()
    known = np.where(stated, (at_key == SAME) | ((at_key == DIFFERENT) & (as_noticed == SAME)), latest == SAME)
    correction = ~known & np.where(stated, at_key == DIFFERENT, latest == DIFFERENT)
    new.loc[correction, "known_at"] = new.loc[correction, "received_at"]
    new.loc[correction, "known_at_basis"] = "received"
    rows = pa.Table.from_pandas(new[~known], schema=accepted.schema, preserve_index=False)
    return Fresh(rows, int(correction.sum()))


ABSENT, DIFFERENT, SAME = 0, 1, 2


def _same(new: pd.DataFrame, old: pd.DataFrame, on: list[str], values: tuple[str, ...]) -> np.ndarray:
    """Return for each new row whether the old row under the same key is absent, different or the same."""
    merged = new[[*on, *values]].merge(old[[*on, *values]], on=on, how="left", suffixes=("", "_held"), indicator="side")
    equal = np.ones(len(merged), bool)
    for name in values:
        ours, theirs = merged[name].to_numpy(float), merged[f"{name}_held"].to_numpy(float)
        equal &= (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    found = (merged["side"] == "both").to_numpy()
    return np.where(found, np.where(equal, SAME, DIFFERENT), ABSENT)
